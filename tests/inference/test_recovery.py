"""Real worker processes, killed and robbed of their messages: no study is lost."""

import os
import signal
import time
import uuid
from contextlib import closing
from urllib.parse import urlsplit

import psycopg2
import pytest

from tests.embedded_portal import EmbeddedPortal

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


def analysis(portal):
    return portal.query("SELECT state, attempt FROM inference_analysis")


def wait_for(portal, state):
    deadline = time.monotonic() + PATIENCE_SECONDS
    while (seen := analysis(portal)[0]) != state:
        assert time.monotonic() < deadline, f"still {seen} after {PATIENCE_SECONDS} seconds"
        time.sleep(0.01)


@pytest.fixture
def servers():
    """A database of its own on the PostgreSQL server, and the Redis broker, that the environment names."""
    server = urlsplit(os.environ["DATABASE_URL"])
    name = f"recovery_{uuid.uuid4().hex}"
    with closing(psycopg2.connect(server.geturl())) as connection:
        connection.autocommit = True
        connection.cursor().execute(f"CREATE DATABASE {name}")
        yield {
            "DATABASE_URL": server._replace(path=f"/{name}").geturl(),
            # No other test's message wakes this worker.
            "BROKER_URL": urlsplit(os.environ["BROKER_URL"])
            ._replace(path=f"/{3 + int(os.environ.get('PYTEST_XDIST_WORKER', 'gw0')[2:])}")
            .geturl(),
        }
        connection.cursor().execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(params=["embedded", pytest.param("servers", marks=pytest.mark.servers)])
def portal(request, tmp_path):
    if request.param == "servers":
        variables = request.getfixturevalue("servers")
    else:
        variables = {"tables": request.getfixturevalue("empty_tables")}
    with EmbeddedPortal(tmp_path, INFERENCE_LEASE_SECONDS="3", SWEEP_SECONDS="1", **variables) as portal:
        portal.shell(SUBMIT)
        yield portal


def test_a_study_whose_worker_is_killed_is_analysed_once_a_worker_is_back(portal):
    with portal.worker() as worker:
        wait_for(portal, "analysing")
        os.killpg(worker.pid, signal.SIGKILL)
        worker.wait()
    assert analysis(portal) == ("analysing", 1)
    with portal.worker():
        wait_for(portal, "analysed")
    assert analysis(portal) == ("analysed", 2)


def test_a_study_whose_message_the_broker_lost_is_analysed_without_a_click(portal):
    assert portal.empty_broker() == 1
    with portal.worker():
        wait_for(portal, "analysed")
