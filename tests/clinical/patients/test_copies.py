"""The copy of a patient's record: what is in it, how it is made, and when it goes."""

import io
import json
import zipfile
from datetime import date, timedelta

import pytest
from celery.exceptions import SoftTimeLimitExceeded
from django.core.files.base import ContentFile, File
from django.core.files.storage import storages
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from clinical.audit.models import AccessEvent
from clinical.patients import copies, tasks
from clinical.patients.models import PatientExport
from tests import radiograph_files
from tests.factories import (
    FormerMeasurementFactory,
    MeasurementFactory,
    PatientFactory,
    ReportFactory,
    ReviewFactory,
    StudyFactory,
)

pytestmark = pytest.mark.usefixtures("unscoped")
PICTURE = radiograph_files.png()


@pytest.fixture(autouse=True)
def delivered(monkeypatch):
    """What was sent to the workers, instead of sending it."""
    sent = []
    monkeypatch.setattr(tasks.make_export, "apply_async", lambda kwargs: sent.append(kwargs))
    return sent


@pytest.fixture
def record_of_jane(patient, mother, alice):
    """A signed study with all its files, measurements, and one study whose file is gone."""
    patient.notes, patient.mother_height_cm = "Prefers the left chair.", 168.0
    patient.save()
    study = StudyFactory(
        patient=patient,
        state="released",
        indication="Short stature",
        radiograph__file=PICTURE,
        acquired_on=date(2024, 5, 1),
    )
    analysis = study.analysis
    analysis.bone_age_months, analysis.low_months, analysis.high_months = 118.24, 106.0, 131.0
    analysis.heat_map = storages["private"].save(f"heat-maps/{analysis.pk}/1.png", ContentFile(b"map"))
    analysis.save()
    review = ReviewFactory(study=study, doctor=alice, bone_age_months=120.0, comment="Sharp picture.")
    pdf = storages["private"].save("reports/1.pdf", ContentFile(b"%PDF-1"))
    ReportFactory(study=study, review=review, state="ready", pdf=pdf, number="R-2024-000001")
    StudyFactory(patient=patient, acquired_on=date(2024, 6, 1))
    MeasurementFactory(patient=patient, height_cm=137.5, weight_kg=None)
    FormerMeasurementFactory(patient=patient, height_cm=173.5, weight_kg=None)
    StudyFactory(patient=PatientFactory(hospital=patient.hospital, family_name="Stranger"), radiograph__file=b"other")
    return patient


@pytest.fixture
def copied(as_user, ada, record_of_jane, delivered, django_capture_on_commit_callbacks):
    """Ask for the copy, let the worker make it, and download it: the open ZIP file."""
    client = as_user(ada)
    with django_capture_on_commit_callbacks(execute=True):
        client.post(f"/patients/{record_of_jane.pk}/privacy/export/")
    tasks.make_export(**delivered[0])
    asked = PatientExport.objects.get()
    content = client.get(f"/patients/exports/{asked.pk}/download/").getvalue()
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        yield archive


def resources(archive, kind):
    entries = json.loads(archive.read("record.json"))["entry"]
    return [entry["resource"] for entry in entries if entry["resource"]["resourceType"] == kind]


def test_it_holds_every_file_as_it_was_stored_and_none_of_another_child(copied):
    assert sorted(copied.namelist()) == [
        "README.txt",
        "accesses.csv",
        "heat-maps/001-2024-05-01.png",
        "radiographs/001-2024-05-01.png",
        "record.json",
        "reports/R-2024-000001-v1.pdf",
    ]
    assert copied.read("radiographs/001-2024-05-01.png") == PICTURE
    assert copied.read("reports/R-2024-000001-v1.pdf") == b"%PDF-1"
    assert b"Stranger" not in copied.read("record.json")
    assert copied.testzip() is None


def test_its_patient_and_family_are_those_of_the_record(copied, patient):
    [resource] = resources(copied, "Patient")
    assert resource["id"] == str(patient.pk)
    assert resource["identifier"][0]["value"] == "A-1"
    assert resource["name"] == [{"family": "Doe", "given": ["Jane"]}]
    assert (resource["gender"], resource["birthDate"]) == ("female", "2014-03-09")
    [mother] = resources(copied, "RelatedPerson")
    assert mother["relationship"][0]["coding"][0]["code"] == "MTH"
    assert mother["patient"]["type"] == "Patient"


def test_its_observations_are_coded_and_say_whose_they_are(copied):
    found = {}
    for each in resources(copied, "Observation"):
        code = each["code"].get("coding", [{}])[0].get("code", each["code"]["text"])
        value = each.get("valueQuantity", {}).get("value", each.get("valueString"))
        found.setdefault(code, []).append((each["status"], value))
    assert found == {
        "85151-9": [("preliminary", 118.24), ("final", 120.0)],
        "8302-2": [("final", 137.5), ("entered-in-error", 173.5)],
        "Height of the mother": [("final", 168.0)],
        "Notes of the record": [("final", "Prefers the left chair.")],
    }


def test_every_document_leads_to_a_file_and_says_what_it_is(copied):
    documents = resources(copied, "DocumentReference")
    assert [each["type"]["text"] for each in documents] == [
        "Radiograph",
        "Where the model looked; not diagnostic",
        "Report",
    ]
    urls = {content["attachment"]["url"] for each in documents for content in each["content"]}
    assert urls == {name for name in copied.namelist() if "/" in name}
    [report] = resources(copied, "DiagnosticReport")
    assert report["presentedForm"][0]["url"] == "reports/R-2024-000001-v1.pdf"
    assert [each["reasonCode"][0]["text"] for each in resources(copied, "ImagingStudy") if "reasonCode" in each] == [
        "Short stature"
    ]


def test_it_says_who_saw_the_record_and_taking_it_is_on_record(copied, ada, patient):
    assert b"Ada" in copied.read("accesses.csv")
    events = AccessEvent.objects.filter(verb="export", patient_key=str(patient.pk), actor=ada).order_by("pk")
    assert [event.detail for event in events] == ["asked for", "patient-record"]


def test_it_costs_the_same_queries_for_one_study_as_for_many(patient):
    def signed_twice():
        study = StudyFactory(patient=patient, state="signed", analysis__bone_age_months=118)
        for version, superseded_at in ((1, timezone.now()), (2, None)):
            ReportFactory(study=study, version=version, superseded_at=superseded_at)

    def written():
        with CaptureQueriesContext(connection) as queries:
            copies.record_zip.write(patient, io.BytesIO(), lambda done, total: None)
        return len(queries)

    signed_twice()
    one = written()
    signed_twice()
    signed_twice()
    assert written() == one


def test_a_double_click_makes_one_copy(as_user, ada, patient):
    for _ in range(2):
        as_user(ada).post(f"/patients/{patient.pk}/privacy/export/")
    assert PatientExport.objects.count() == 1


def test_a_task_delivered_twice_makes_one_file(patient, ada):
    asked = copies.ask(patient, ada)
    for _ in range(2):
        tasks.make_export(export_id=str(asked.pk), hospital_id=patient.hospital_id)
    asked.refresh_from_db()
    assert (asked.state, asked.attempt) == ("ready", 1)


def test_a_copy_goes_when_its_time_is_over(as_user, ada, patient, settings):
    asked = copies.ask(patient, ada)
    copies.make(asked.pk)
    asked.refresh_from_db()
    assert timedelta(hours=47) < asked.expires_at - timezone.now() < timedelta(hours=48)
    name = asked.file
    PatientExport.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert as_user(ada).get(f"/patients/exports/{asked.pk}/download/").status_code == 404
    tasks.keep_up_copies()
    assert not storages["private"].exists(name)
    assert "Its time is over" in as_user(ada).get(f"/patients/{patient.pk}/privacy/").content.decode()


def cut_off(file, chunk_size=None):
    yield b"PK, Doe, Jane"
    raise SoftTimeLimitExceeded


def lying_in(asked):
    return storages["private"].listdir(f"exports/{asked.pk}")[1]


def test_of_a_copy_that_took_too_long_nothing_is_left(patient, ada, monkeypatch):
    asked = copies.ask(patient, ada)
    monkeypatch.setattr(File, "chunks", cut_off)
    tasks.make_export(export_id=str(asked.pk))
    asked.refresh_from_db()
    assert (asked.state, lying_in(asked)) == ("failed", [])


def test_of_a_copy_that_is_erased_while_it_is_cut_off_nothing_is_left(patient, ada, monkeypatch):
    asked = copies.ask(patient, ada)
    monkeypatch.setattr(File, "chunks", cut_off)
    monkeypatch.setattr(copies.record_zip, "write", lambda *args: PatientExport.objects.all().delete())
    tasks.make_export(export_id=str(asked.pk))
    assert lying_in(asked) == []


def test_with_a_copy_goes_what_a_lost_worker_left_of_it(patient, ada):
    asked = copies.ask(patient, ada)
    storages["private"].save(f"exports/{asked.pk}/0.zip", ContentFile(b"PK, Doe, Jane"))
    copies.make(asked.pk)
    copies.fail(asked.pk, "The worker was lost each time.")  # which another has made meanwhile
    assert len(lying_in(asked)) == 2
    PatientExport.objects.update(expires_at=timezone.now())
    tasks.keep_up_copies()
    assert lying_in(asked) == []


def test_a_copy_that_no_worker_has_heard_of_is_sent_again_and_in_the_end_given_up(
    patient, ada, delivered, django_capture_on_commit_callbacks
):
    asked = copies.ask(patient, ada)
    with django_capture_on_commit_callbacks(execute=True):
        tasks.keep_up_copies()
    assert delivered == []
    PatientExport.objects.update(delivered_at=timezone.now() - timedelta(hours=1))
    with django_capture_on_commit_callbacks(execute=True):
        tasks.keep_up_copies()
    assert delivered == [{"export_id": str(asked.pk), "hospital_id": patient.hospital_id}]
    long_ago = timezone.now() - timedelta(hours=1)
    PatientExport.objects.update(delivered_at=long_ago, started_at=long_ago, attempt=3)
    tasks.keep_up_copies()
    asked.refresh_from_db()
    assert asked.state == "failed"


def test_a_long_queue_costs_one_message_a_sweep_and_an_emptied_broker_two_sweeps(
    hospital, ada, delivered, settings, django_capture_on_commit_callbacks
):
    settings.CELERY_TASK_TIME_LIMIT = 0
    asked_for = [copies.ask(patient, ada) for patient in PatientFactory.create_batch(3, hospital=hospital)]

    def sweep():
        delivered.clear()
        with django_capture_on_commit_callbacks(execute=True):
            tasks.keep_up_copies()
        return {message["export_id"] for message in delivered}

    *earlier, last = [str(asked.pk) for asked in asked_for]
    assert sweep() == sweep() == {last}
    tasks.make_export(export_id=last)
    assert sweep() == {*earlier}


def test_what_goes_wrong_is_told_without_its_words(as_user, ada, patient, monkeypatch, caplog):
    def fails(*args):
        raise ValueError("Doe, Jane")

    asked = copies.ask(patient, ada)
    monkeypatch.setattr(copies.record_zip, "write", fails)
    tasks.make_export(export_id=str(asked.pk))
    assert "Doe" not in caplog.text
    assert "could not be made" in as_user(ada).get(f"/patients/exports/{asked.pk}/").content.decode()


def test_the_page_asks_again_while_it_is_made_and_leads_to_the_file_then(as_user, ada, patient):
    asked = copies.ask(patient, ada)
    path = f"/patients/exports/{asked.pk}/"
    assert f'hx-get="{path}"' in as_user(ada).get(path).content.decode()
    copies.make(asked.pk)
    page = as_user(ada).get(path).content.decode()
    assert "hx-get" not in page
    assert f"{path}download/" in page
