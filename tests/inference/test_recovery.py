"""Real worker processes on the embedded broker, killed and robbed of their messages: no study is lost."""

import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_SECONDS = 90

SUBMIT = """
from datetime import date
import cv2, uuid
from django_scopes import scope
from clinical.accounts.models import Hospital, User
from clinical.patients.models import Patient
from clinical.studies import intake, workflow
from inference.training.phantom import draw_phantom
hospital = Hospital.objects.create(name="H")
doctor = User.objects.create_user("doctor@example.org", name="Doctor")
with scope(hospital=hospital):
    patient = Patient.objects.create(
        hospital=hospital, mrn="1", family_name="Doe", sex="F", date_of_birth=date(2014, 1, 1)
    )
    pixels = cv2.resize(draw_phantom(120, "F", seed=1), (6000, 7500))  # large: decoding leaves time for the kill
    radiograph, _ = intake.store(hospital, cv2.imencode(".png", pixels)[1].tobytes())
    workflow.submit(
        patient=patient, radiograph=radiograph, acquired_on=date(2024, 1, 1), indication="", notices=[],
        submission=uuid.uuid4(), actor=doctor,
    )
"""


class Installation:
    """An embedded portal of its own, in a folder of its own."""

    def __init__(self, folder):
        self.folder = folder
        self.environment = {
            **{name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "BROKER_URL")},
            "DJANGO_SETTINGS_MODULE": "boneage_portal.settings",
            "ENV_FILE": os.devnull,
            "SECRET_KEY": "only-for-tests-0123456789-abcdefghijklmnopqrstuvwxyz",
            "HTTPS": "off",
            "VAR_DIR": str(folder),
            "INFERENCE_LEASE_SECONDS": "3",
            "SWEEP_SECONDS": "1",
        }
        self.manage("migrate", "--verbosity", "0")
        self.manage("shell", "--verbosity", "0", "-c", SUBMIT)

    def manage(self, *arguments):
        subprocess.run([sys.executable, "manage.py", *arguments], cwd=ROOT, env=self.environment, check=True)

    @contextmanager
    def worker(self):
        command = [sys.executable, "-m", "celery", "-A", "boneage_portal", "worker", "--beat"]
        command += ["--queues", "inference,default", "--concurrency", "1", "--loglevel", "warning"]
        process = subprocess.Popen(command, cwd=ROOT, env=self.environment, start_new_session=True)
        try:
            yield process
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()

    def analysis(self):
        with sqlite3.connect(self.folder / "boneage.sqlite3", timeout=20) as database:
            return database.execute("SELECT state, attempt FROM inference_analysis").fetchone()

    def wait_for(self, state):
        deadline = time.monotonic() + PATIENCE_SECONDS
        while (seen := self.analysis()[0]) != state:
            assert time.monotonic() < deadline, f"still {seen} after {PATIENCE_SECONDS} seconds"
            time.sleep(0.01)


@pytest.fixture
def installation(tmp_path):
    return Installation(tmp_path)


def test_a_study_whose_worker_is_killed_is_analysed_once_a_worker_is_back(installation):
    with installation.worker() as worker:
        installation.wait_for("analysing")
        os.killpg(worker.pid, signal.SIGKILL)
        worker.wait()
    assert installation.analysis() == ("analysing", 1)
    with installation.worker():
        installation.wait_for("analysed")
    assert installation.analysis() == ("analysed", 2)


def test_a_study_whose_message_the_broker_lost_is_analysed_without_a_click(installation):
    messages = list((installation.folder / "broker" / "messages").iterdir())
    assert messages
    for message in messages:
        message.unlink()
    with installation.worker():
        installation.wait_for("analysed")
