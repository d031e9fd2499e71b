"""A whole embedded portal in a folder of its own: its database, its broker, its processes."""

import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

from boneage_portal.supervisor import Supervisor, free_port

ROOT = Path(__file__).resolve().parents[1]


class EmbeddedPortal:
    def __init__(self, folder, **variables):
        self.folder = folder
        self.environment = {
            **{name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "BROKER_URL")},
            "DJANGO_SETTINGS_MODULE": "boneage_portal.settings",
            "ENV_FILE": os.devnull,
            "SECRET_KEY": "only-for-tests-0123456789-abcdefghijklmnopqrstuvwxyz",
            "DEBUG": "off",
            "HTTPS": "off",
            "VAR_DIR": str(folder),
            **variables,
        }
        self.manage("migrate")

    def manage(self, *arguments):
        command = [sys.executable, "manage.py", *arguments, "--verbosity", "0"]
        subprocess.run(command, cwd=ROOT, env=self.environment, check=True)

    def shell(self, code):
        self.manage("shell", "-c", code)

    @contextmanager
    def worker(self):
        """A worker with beat, killed at the end."""
        command = [sys.executable, "-m", "celery", "-A", "boneage_portal", "worker", "--beat"]
        command += ["--queues", "inference,default", "--concurrency", "1", "--loglevel", "warning"]
        process = subprocess.Popen(command, cwd=ROOT, env=self.environment, start_new_session=True)
        try:
            yield process
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()

    @contextmanager
    def running(self):
        """Web and worker as `manage.py portal` runs them, with the people of the demo. Gives the address."""
        self.manage("collectstatic", "--no-input")
        self.shell("from boneage_portal import demo; demo.create_people()")
        with Supervisor(free_port(), environment=self.environment) as supervisor:
            supervisor.wait_until_ready()
            yield supervisor.address

    @property
    def password(self):
        return (self.folder / "demo-password").read_text().strip()
