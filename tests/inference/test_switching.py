"""A real worker process: it registers its model, follows an activation without a restart, and refuses changed files."""

import json
import os
import shutil
import time
import uuid
from contextlib import closing
from urllib.parse import urlsplit

import psycopg2
import pytest

from inference.engine.model import DEFAULT_MODEL
from inference.engine.weights import SHIPPED
from tests.embedded_portal import EmbeddedPortal

PATIENCE_SECONDS = 90

SUBMIT = """
from datetime import date
import cv2, secrets, uuid
from django_scopes import scope
from clinical.accounts.models import Hospital, User
from clinical.patients.models import Patient
from clinical.studies import intake, workflow
from inference.training.phantom import draw_phantom
hospital, _ = Hospital.objects.get_or_create(name="H")
doctor = User.objects.filter(email="doctor@example.org").first()
doctor = doctor or User.objects.create_user("doctor@example.org", name="Doctor")
with scope(hospital=hospital):
    patient, _ = Patient.objects.get_or_create(
        hospital=hospital, mrn="1", defaults=dict(family_name="Doe", sex="F", date_of_birth=date(2014, 1, 1))
    )
    pixels = draw_phantom(120, "F", seed=secrets.randbelow(2**31), size=400)
    radiograph, _ = intake.store(hospital, cv2.imencode(".png", pixels)[1].tobytes())
    workflow.submit(
        patient=patient, radiograph=radiograph, acquired_on=date(2024, 1, 1), indication="", notices=[],
        submission=uuid.uuid4(), actor=doctor, confirmed=True,
    )
"""
REGISTER = """
from pathlib import Path
from inference import registry
registry.register(Path({path!r}))
"""
OF_VERSION = """
from inference import registry
from inference.models import ModelVersion
version = ModelVersion.objects.get(version={version!r})
"""
ACTIVATE = OF_VERSION + "registry.activate(version, seen=registry.active().pk)"
SHADOW = OF_VERSION + "registry.start_shadow_run(version)"
TAMPER = OF_VERSION + '(registry._local(version.sha256) / "age.onnx").write_bytes(b"tampered")'
LATEST = """
SELECT analysis.state, version.version, analysis.reason_code FROM inference_analysis analysis
LEFT JOIN inference_modelversion version ON version.id = analysis.model_version_id
ORDER BY analysis.queued_at DESC LIMIT 1
"""
TRIED = "SELECT tried_at FROM inference_modelversion WHERE version = '{version}' AND problem = ''"
IN_THE_SHADOW = """
SELECT shadow.state, version.version FROM inference_shadowanalysis shadow
JOIN inference_modelversion version ON version.id = shadow.model_version_id
"""


@pytest.fixture
def servers():
    """A database of its own on the PostgreSQL server, and the Redis broker, that the environment names."""
    server = urlsplit(os.environ["DATABASE_URL"])
    name = f"switching_{uuid.uuid4().hex}"
    with closing(psycopg2.connect(server.geturl())) as connection:
        connection.autocommit = True
        connection.cursor().execute(f"CREATE DATABASE {name}")
        yield {
            "DATABASE_URL": server._replace(path=f"/{name}").geturl(),
            "BROKER_URL": urlsplit(os.environ["BROKER_URL"])._replace(path="/2").geturl(),
        }
        connection.cursor().execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(params=["embedded", pytest.param("servers", marks=pytest.mark.servers)])
def portal(request, tmp_path):
    variables = request.getfixturevalue("servers") if request.param == "servers" else {}
    with EmbeddedPortal(tmp_path, **variables) as portal:
        yield portal


@pytest.fixture
def register(portal, tmp_path):
    """Registers the shipped weights as another version; a worker has tried it out: before, it can neither be activated
    nor begin a shadow run."""

    def copy(version):
        folder = tmp_path / "trained" / version / DEFAULT_MODEL
        shutil.copytree(SHIPPED / DEFAULT_MODEL, folder)
        card = json.loads((folder / "card.json").read_text()) | {"version": version}
        (folder / "card.json").write_text(json.dumps(card))
        portal.shell(REGISTER.format(path=str(folder)))
        wait(portal, TRIED.format(version=version), lambda row: row[0])

    return copy


def wait(portal, sql, done):
    """The first row of the answer, once it is `done`."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not ((row := portal.query(sql)) and done(row)):
        assert time.monotonic() < deadline, f"still {row} after {PATIENCE_SECONDS} seconds"
        time.sleep(0.05)
    return row


def analysed(portal):
    portal.shell(SUBMIT)
    return wait(portal, LATEST, lambda row: row[0] in ("analysed", "rejected", "failed"))


def test_a_running_worker_follows_the_administrators(portal, register):
    shipped = json.loads((SHIPPED / DEFAULT_MODEL / "card.json").read_text())["version"]
    with portal.worker() as worker:
        assert analysed(portal) == ("analysed", shipped, "")

        register("second")
        portal.shell(ACTIVATE.format(version="second"))
        assert analysed(portal) == ("analysed", "second", "")

        register("third")
        portal.shell(SHADOW.format(version="third"))
        assert analysed(portal) == ("analysed", "second", "")
        assert wait(portal, IN_THE_SHADOW, lambda row: row[0] == "analysed") == ("analysed", "third")

        register("fourth")
        portal.shell(TAMPER.format(version="fourth"))
        portal.shell(ACTIVATE.format(version="fourth"))
        assert analysed(portal) == ("failed", None, "model")
        assert worker.poll() is None
