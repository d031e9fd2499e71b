"""Web, worker and DICOM receiver of the embedded installation as one: started and stopped together, and restarted."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

from django.conf import settings

STOP_SECONDS = 20
SETTLED_SECONDS = 5


class Supervisor:
    """Runs Gunicorn, a Celery worker with beat and, with DICOM_PORT, the receiver as children of this process.

    Use as a context manager; all are stopped on the way out, however it is left.
    """

    def __init__(self, port, bind="127.0.0.1", environment=None):
        listening = f"[{bind}]:{port}" if ":" in bind else f"{bind}:{port}"
        self.address = f"http://{listening}"
        # Mails and reports name the portal by its address; all interfaces are none that a link can lead to.
        reachable = f"http://localhost:{port}" if bind in ("0.0.0.0", "::") else self.address
        self.environment = {"PORTAL_URL": reachable} | dict(os.environ if environment is None else environment)
        self.commands = {
            "web": [
                *[sys.executable, "-m", "gunicorn", "boneage_portal.wsgi", "--bind", listening],
                *["--workers", "1", "--threads", "8", "--worker-class", "gthread", "--timeout", "120"],
                *["--log-level", "warning", "--no-control-socket"],
            ],
            "worker": [
                *[sys.executable, "-m", "celery", "--quiet", "-A", "boneage_portal", "worker"],
                *["--queues", "inference,default", "--beat"],
                *["--pool", "prefork", "--concurrency", "1", "--prefetch-multiplier", "1"],
                *["--hostname", "embedded@%h", "--loglevel", "warning", "--without-gossip", "--without-mingle"],
            ],
        }
        if settings.DICOM_PORT:
            self.commands["DICOM"] = [sys.executable, str(settings.BASE_DIR / "manage.py"), "dicom_receiver"]
        self.children = {}
        self.started = {}

    def __enter__(self):
        for name in self.commands:
            self._start(name)
        return self

    def _start(self, name):
        # Own sessions: Ctrl-C reaches this process only, which then stops the children in order.
        self.started[name] = time.monotonic()
        self.children[name] = subprocess.Popen(
            self.commands[name], cwd=settings.BASE_DIR, env=self.environment, start_new_session=True
        )

    def __exit__(self, *exception):
        for child in self.children.values():
            if child.poll() is None:
                child.terminate()
        deadline = time.monotonic() + STOP_SECONDS
        for child in self.children.values():
            try:
                child.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                os.killpg(child.pid, signal.SIGKILL)
                child.wait()

    def wait_until_ready(self, timeout=60):
        """Return once the web process answers. Raises TimeoutError, or RuntimeError when it has ended."""
        deadline = time.monotonic() + timeout
        # By its name: the address that it listens on is none of the hosts that it answers to.
        host = next(iter(settings.ALLOWED_HOSTS), "").lstrip("*.") or "localhost"
        health = urllib.request.Request(f"{self.address}/healthz/", headers={"Host": host})
        while time.monotonic() < deadline:
            if self.children["web"].poll() is not None:
                raise RuntimeError("The web process ended at its start; its message is above.")
            try:
                urllib.request.urlopen(health, timeout=5)
                return
            except (urllib.error.URLError, OSError):
                time.sleep(0.1)
        raise TimeoutError(f"The web process did not answer within {timeout} seconds.")

    def run(self):
        """Stay until interrupted, and start again whichever of them dies.

        Raises RuntimeError when one dies right after its start: its setup is wrong, and its message is above.
        """
        while True:
            pid, status = os.wait()
            for name, child in self.children.items():
                if child.pid != pid:
                    continue
                child.returncode = os.waitstatus_to_exitcode(status)
                if time.monotonic() - self.started[name] < SETTLED_SECONDS:
                    raise RuntimeError(f"The {name} process does not stay up; its message is above.")
                print(f"The {name} process ended with code {child.returncode}; starting it again.", flush=True)
                self._start(name)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def interrupt_on_terminate():
    """Let SIGTERM end a command like Ctrl-C does, so that the children are stopped too."""

    def interrupt(*_):
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupt)
