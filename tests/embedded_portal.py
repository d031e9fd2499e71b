"""A whole portal of its own, with its processes: on the embedded defaults in a folder, or on given servers."""

import json
import os
import shutil
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

CONSOLE = """
import contextlib, json, sys
import django
django.setup()
from django.db import connections
for line in sys.stdin:
    with contextlib.redirect_stdout(sys.stderr):
        exec(json.loads(line), {})
    connections.close_all()
    print("done", flush=True)
"""
MIGRATE = """
from django.core.management import call_command
call_command("migrate", interactive=False, verbosity=0)
"""
READY = """
from django.core.management import call_command
from boneage_portal import demo
call_command("collectstatic", interactive=False, verbosity=0)
demo.create_people()
"""


class EmbeddedPortal:
    """Use as a context manager, which holds open what `shell` runs in.

    It takes a copy of `tables`, a file of SQLite with them and no rows, or makes its own.
    """

    def __init__(self, folder, tables=None, **variables):
        self.folder = folder
        self.tables = tables
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

    def __enter__(self):
        command = [sys.executable, "-c", CONSOLE]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        self.console = subprocess.Popen(command, cwd=ROOT, env=self.environment, **pipes)
        if self.tables:
            shutil.copy(self.tables, self.folder / "boneage.sqlite3")
        else:
            self.shell(MIGRATE)
        return self

    def __exit__(self, *exception):
        self.console.__exit__(*exception)  # closes its input, at which it ends

    def shell(self, code):
        """Runs the code in a process of this portal, the same every time: to import the portal takes seconds."""
        self.console.stdin.write(json.dumps(code) + "\n")
        self.console.stdin.flush()
        assert self.console.stdout.readline() == "done\n", "The code failed; its message is above."

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
    def running(self, without=()):
        """Web and worker as `manage.py portal` runs them, with the people of the demo. Gives the address."""
        self.shell(READY)
        supervisor = Supervisor(free_port(), environment=self.environment)
        for name in without:
            del supervisor.commands[name]
        with supervisor:
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
