"""A child with an unheard-of name goes through the portal: no log, mail, link or error page ever says it."""

import io
import logging
import re
from logging.config import dictConfig

import pytest
from django.conf import settings
from django.core import mail
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import DataError
from django.utils import timezone

from boneage_portal.log import LineFormatter
from clinical.audit import tasks as audit_tasks
from clinical.notices import tasks as notice_tasks
from clinical.patients import tasks as patient_tasks
from clinical.patients import views as patient_views
from clinical.patients.models import Erasure, Patient, PatientExport
from clinical.studies.models import Study
from inference import tasks as inference_tasks
from inference import workflow as inference
from inference.models import ModelVersion
from reports import tasks as report_tasks
from reports.models import Report
from tests import radiograph_files

pytestmark = pytest.mark.usefixtures("unscoped")
SECRET = "Xanthippe"
JANE = {
    "mrn": f"{SECRET}-7",
    "family_name": SECRET,
    "given_name": SECRET,
    "sex": "F",
    "date_of_birth": "2014-03-09",
    "notes": f"{SECRET} is shy.",
}


@pytest.fixture(autouse=True)
def workers(monkeypatch):
    """Nothing is sent to workers; the test is the worker."""
    for task in (
        inference_tasks.analyse,
        report_tasks.make,
        notice_tasks.mail_due,
        patient_tasks.make_export,
    ):
        monkeypatch.setattr(task, "apply_async", lambda *args, **kwargs: None)


@pytest.fixture
def log():
    """Everything that is logged, at the lowest level, as the portal's own handler writes it."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(LineFormatter(settings.LOGGING["formatters"]["line"]["format"]))
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield stream.getvalue
    root.removeHandler(handler)
    root.setLevel(level)


@pytest.fixture
def visit(as_user):
    """Send a request, and look at where it leads and what its page links to."""

    def send(person, method, path, data=None):
        response = getattr(as_user(person), method)(path, data)
        assert SECRET not in response.get("Location", "")
        assert SECRET not in response.get("Content-Disposition", "")
        content = response.getvalue().decode(errors="replace")
        if "html" in response["Content-Type"] and SECRET not in path:
            for url in re.findall(r'(?:href|src|action|hx-get|hx-post)="([^"]*)"', content):
                assert SECRET not in url
        return response

    return send


def uploaded(name, content):
    return {"submission": "0d4d9f7e-0000-4000-8000-000000000001", "files": [SimpleUploadedFile(name, content)]}


def test_from_the_first_upload_to_the_end(visit, tess, alice, ada, mother, log, monkeypatch):
    visit(tess, "post", "/patients/new/", JANE)
    assert visit(tess, "post", "/patients/new/", JANE).status_code == 422
    patient = Patient.objects.get(family_name=SECRET)
    home = f"/patients/{patient.pk}/"
    mother.guardianships.create(patient=patient, hospital=patient.hospital, relation="mother")

    # Files that cannot be read, and one that can.
    visit(tess, "post", f"{home}upload/", uploaded(f"{SECRET}.jpg", radiograph_files.truncated_jpeg()))
    visit(tess, "post", f"{home}upload/", uploaded(f"{SECRET}.dcm", b"\0" * 128 + b"DICM" + SECRET.encode() * 9))
    dicom = radiograph_files.dicom(PatientName=SECRET, PatientID=SECRET)
    assert visit(tess, "post", f"{home}upload/", uploaded(f"{SECRET}.dcm", dicom)).status_code == 200
    study = Study.objects.get()
    page = f"/studies/{study.pk}/"

    # The analysis breaks off in words that quote; the next one succeeds.
    def breaks_off():
        raise ValueError(f"No region in the hand of {SECRET}")

    monkeypatch.setattr(inference_tasks, "serving", breaks_off)
    inference_tasks.analyse(analysis_id=str(study.analysis_id), hospital_id=patient.hospital_id)
    visit(tess, "get", page)
    visit(tess, "post", f"{page}retry/")
    study.refresh_from_db()
    assert study.state == "queued"
    run = inference.start(study.analysis_id, "worker")
    version = ModelVersion.objects.create(name="model", version="1")
    inference.finish(
        run, model_version=version, bone_age_months=120.0, low_months=110.0, high_months=130.0, milliseconds=1
    )

    # Read, signed, made (once in vain), released.
    reading = {"method": "own", "years": "10", "months": "0", "impression": f"{SECRET} is well.", "seen": ""}
    visit(
        alice, "post", f"{page}review/", reading | {"bone_age_years": "10", "bone_age_months": "0", "confirmed": "on"}
    )
    study.refresh_from_db()
    assert study.state == "reviewed"
    visit(alice, "post", f"{page}sign/", {"seen": str(study.review_id), "confirmed": "on"})
    report = Report.objects.get()
    with monkeypatch.context() as patched:
        patched.setattr(report_tasks, "render", lambda content: breaks_off())
        report_tasks.make(report_id=str(report.pk), hospital_id=patient.hospital_id)
    visit(alice, "post", f"/reports/{report.pk}/retry/")
    report_tasks.make(report_id=str(report.pk), hospital_id=patient.hospital_id)
    visit(alice, "post", f"{page}release/")
    study.refresh_from_db()
    assert study.state == "released"
    notice_tasks.mail_due(user_id=mother.pk)
    assert mail.outbox

    # Looked at, searched for, taken, invited to, guessed at.
    for person, path in (
        (alice, page),
        (alice, home),
        (alice, "/studies/"),
        (alice, f"/studies/?q={SECRET}"),
        (alice, "/studies/export/"),
        (alice, f"{page}original/"),
        (alice, f"{page}de-identified/"),
        (alice, f"/reports/{report.pk}/structured-report/"),
        (alice, f"/reports/{report.pk}/encapsulated-pdf/"),
        (mother, "/family/"),
        (mother, f"/family/{patient.pk}/"),
        (mother, f"/family/reports/{report.pk}/"),
        (ada, "/audit/"),
        (ada, f"/audit/?mrn={SECRET}-7"),
        (ada, f"{home}accesses/"),
    ):
        assert visit(person, "get", path).status_code == 200
    visit(alice, "post", f"{home}family/invite/", {"email": "father@example.org", "relation": "father"})
    assert visit(alice, "get", f"/nowhere/?name={SECRET}").status_code == 404

    # Copied and erased.
    visit(ada, "post", f"{home}privacy/export/")
    asked = PatientExport.objects.get()
    patient_tasks.make_export(export_id=str(asked.pk), hospital_id=patient.hospital_id)
    visit(ada, "get", f"/patients/exports/{asked.pk}/download/")
    erase = {"mode": "erase", "reason": "Asked for.", "confirmation": f"{SECRET}-7", "override": "A court said so."}
    visit(ada, "post", f"{home}privacy/erase/", erase)
    Erasure.objects.update(due_at=timezone.now())
    patient_tasks.carry_out_erasures()
    audit_tasks.seal_due()
    assert not Patient.objects.filter(pk=patient.pk).exists()

    assert "failed: internal" in log()  # it was listened to
    assert SECRET not in log()
    for message in mail.outbox:
        assert SECRET not in f"{message.subject} {message.body} {message.extra_headers}"


def test_an_error_of_the_portal_quotes_nobody(as_user, tess, log, monkeypatch):
    def fails(*args, **kwargs):
        try:
            raise DataError(f"value too long: ({SECRET})")
        except DataError as error:
            raise ValueError(f"{SECRET} cannot be saved") from error

    monkeypatch.setattr(patient_views.PatientForm, "save", fails)
    client = as_user(tess)
    client.raise_request_exception = False
    response = client.post("/patients/new/", JANE)
    assert response.status_code == 500
    assert SECRET not in response.content.decode()
    assert "Internal Server Error: /patients/new/" in log()
    assert "ValueError" in log()
    assert "DataError" in log()
    assert "test_no_patient_data.py" in log()  # where it happened
    assert SECRET not in log()


def test_a_task_that_fails_quotes_nobody(log):
    logging.getLogger("celery.app.trace").error(
        "Task %(name)s[%(id)s] %(description)s: %(exc)s",
        {"name": "make", "id": "1", "description": "raised unexpected", "exc": f"ValueError('{SECRET}')"},
    )
    assert "Task make[1] raised unexpected" in log()
    assert SECRET not in log()


def test_the_portal_logs_with_that_formatter():
    written = settings.LOGGING
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    try:
        dictConfig(written | {"loggers": {}})
        [handler] = [handler for handler in root.handlers if handler not in before]
        assert isinstance(handler.formatter, LineFormatter)
        assert {name for name, _ in written["handlers"].items()} == {"console"}
    finally:
        root.handlers[:], root.level = before, level
