"""A whole portal of its own, with its processes: on the embedded defaults in a folder, or on given servers."""

import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing, contextmanager
from pathlib import Path

import psycopg2
import redis

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
            "REQUIRE_MFA": "off",
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

    def query(self, sql):
        """The first row of an answer of the portal's database."""
        url = self.environment.get("DATABASE_URL")
        with closing(
            psycopg2.connect(url) if url else sqlite3.connect(self.folder / "boneage.sqlite3", timeout=20)
        ) as database:
            cursor = database.cursor()
            cursor.execute(sql)
            return cursor.fetchone()

    def empty_broker(self):
        """Lose every message; returns how many there were."""
        if url := self.environment.get("BROKER_URL"):
            with closing(redis.from_url(url)) as broker:
                count = broker.llen("inference")
                broker.flushdb()
            return count
        messages = list((self.folder / "broker" / "messages").iterdir())
        for message in messages:
            message.unlink()
        return len(messages)

    @property
    def password(self):
        return (self.folder / "demo-password").read_text().strip()
