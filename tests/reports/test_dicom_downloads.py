"""Who gets a report as DICOM, when, and that it is on record."""

import io
import os
import subprocess
import sys

import pydicom
import pytest
from django.core.files.storage import storages

from clinical.audit.models import AccessEvent
from reports.models import Report

pytestmark = pytest.mark.usefixtures("unscoped")
KINDS = ("structured-report", "encapsulated-pdf")


def path(report, kind, api=False):
    return f"{'/api/v1' if api else ''}/reports/{report.pk}/{kind}/"


@pytest.mark.parametrize("kind", KINDS)
def test_clinicians_save_it_from_the_studys_page_and_it_is_on_record(as_user, tess, signed, made, patient, kind):
    report = made(signed(patient))
    client = as_user(tess)
    assert f'href="{path(report, kind)}"' in client.get(f"/studies/{report.study_id}/").content.decode()
    response = client.get(path(report, kind))
    assert response["Content-Type"] == "application/dicom"
    assert response["Content-Disposition"] == f'attachment; filename="{report.number}-v1-{kind}.dcm"'
    assert "no-store" in response["Cache-Control"]
    assert pydicom.dcmread(io.BytesIO(response.content)).PatientID == "A-1"
    event = AccessEvent.objects.filter(verb="download", actor=tess).get()
    assert (event.object_key, event.patient_key) == (str(report.pk), str(patient.pk))
    assert event.detail == f"{report.number}-v1-{kind}"


@pytest.mark.parametrize("kind", KINDS)
def test_the_archive_fetches_it(program, alice, signed, made, patient, kind):
    report = made(signed(patient))
    response = program(alice, right="read").get(path(report, kind, api=True))
    assert response["Content-Type"] == "application/dicom"
    assert pydicom.dcmread(io.BytesIO(response.content)).StudyInstanceUID == f"2.25.{report.study_id.int}"
    assert AccessEvent.objects.get(verb="download").detail == f"{report.number}-v1-{kind}, by PACS gateway"


@pytest.mark.parametrize("kind", KINDS)
def test_a_superseded_one_stays_for_the_clinicians(as_user, alice, program, report, amended, kind):
    amended(report)
    assert as_user(alice).get(path(report, kind)).status_code == 200
    assert program(alice, right="read").get(path(report, kind, api=True)).status_code == 200


@pytest.mark.parametrize("kind", KINDS)
def test_there_is_none_before_the_report_is_made(as_user, alice, program, signed, patient, kind):
    study = signed(patient)
    [report] = Report.objects.all()
    client = as_user(alice)
    assert path(report, kind) not in client.get(f"/studies/{study.pk}/").content.decode()
    assert client.get(path(report, kind)).status_code == 404
    answer = program(alice, right="read").get(path(report, kind, api=True))
    assert (answer.status_code, "is being made" in answer.json()["detail"]) == (404, True)


@pytest.mark.parametrize("kind", KINDS)
def test_what_the_storage_has_lost_is_not_found_and_no_download(as_user, alice, program, film, patient, kind):
    report, _ = film(patient)
    storages["private"].delete(report.study.radiograph.name)
    storages["private"].delete(report.pdf)
    assert as_user(alice).get(path(report, kind)).status_code == 404
    assert program(alice, right="read").get(path(report, kind, api=True)).status_code == 404
    assert not AccessEvent.objects.filter(verb="download").exists()


def test_an_anonymised_patient_has_none(as_user, alice, report, anonymised):
    for kind in KINDS:
        assert as_user(alice).get(path(anonymised(report), kind)).status_code == 404


def test_the_portal_starts_without_highdicom():
    code = "import sys, django; django.setup(); import boneage_portal.urls; print('highdicom' in sys.modules)"
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "tests.settings"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False"]
