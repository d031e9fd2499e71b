"""From the signature to the file: one report each, made by a worker that may be lost, released when ready."""

import hashlib
import importlib
from datetime import date, timedelta

import pytest
from django.apps import apps
from django.conf import settings
from django.core.files.base import ContentFile
from django.core.files.storage import storages
from django.db import DatabaseError
from django.utils import timezone

from clinical.audit.models import AccessEvent
from clinical.patients.models import Erasure
from clinical.studies import workflow as studies
from clinical.studies.models import Study
from reports import tasks, workflow
from reports.models import Report
from tests.factories import PatientFactory, ReportFactory
from tests.reports.test_pdf import text_of

pytestmark = pytest.mark.usefixtures("unscoped")
YEAR = timezone.localdate().year


def age_deliveries():
    past = timezone.now() - timedelta(seconds=settings.CELERY_TASK_TIME_LIMIT + 1)
    Report.objects.update(delivered_at=past)
    Report.objects.filter(attempt__gt=0).update(started_at=past)


def test_signing_opens_a_report_and_wakes_a_worker_once_it_is_safe(
    reviewed, patient, alice, delivered, django_capture_on_commit_callbacks
):
    study = reviewed(patient)
    with django_capture_on_commit_callbacks(execute=True):
        studies.sign(study, alice, seen=study.review_id)
        assert delivered == []
    report = Report.objects.get()
    assert (report.number, report.version, report.state) == (f"R-{YEAR}-000001", 1, "making")
    assert (report.review, report.signed_by) == (study.review, alice)
    assert delivered == [{"report_id": str(report.pk), "hospital_id": patient.hospital_id}]
    assert AccessEvent.objects.filter(verb="create", object_type="report", patient_key=str(patient.pk)).exists()


def test_a_broker_that_is_down_does_not_fail_the_signature(
    reviewed, patient, alice, monkeypatch, django_capture_on_commit_callbacks
):
    def refuse(kwargs):
        raise ConnectionError

    monkeypatch.setattr(tasks.make, "apply_async", refuse)
    study = reviewed(patient)
    with django_capture_on_commit_callbacks(execute=True):
        studies.sign(study, alice, seen=study.review_id)
    assert Report.objects.get().state == "making"


def test_to_sign_twice_makes_one_report(signed, patient, alice):
    study = signed(patient)
    with pytest.raises(studies.WrongState):
        studies.sign(study, alice, seen=study.review_id)
    assert Report.objects.count() == 1


def test_numbers_run_in_each_hospital_by_itself(signed, patient, hospital, other_hospital):
    signed(patient)
    signed(PatientFactory(hospital=hospital))
    signed(PatientFactory(hospital=other_hospital))
    numbers = Report.objects.order_by("hospital", "number").values_list("hospital", "number")
    assert list(numbers) == [
        (hospital.pk, f"R-{YEAR}-000001"),
        (hospital.pk, f"R-{YEAR}-000002"),
        (other_hospital.pk, f"R-{YEAR}-000001"),
    ]


def test_the_worker_keeps_the_file_and_its_hash(report):
    with storages["private"].open(report.pdf) as file:
        data = file.read()
    assert data.startswith(b"%PDF-")
    assert (report.state, report.sha256) == ("ready", hashlib.sha256(data).hexdigest())


def test_a_task_delivered_twice_changes_nothing(report):
    before = Report.objects.values().get()
    tasks.make(report_id=str(report.pk), hospital_id=report.hospital_id)
    assert Report.objects.values().get() == before


def test_of_two_workers_with_one_report_the_second_leaves_no_trace(signed, patient):
    signed(patient)
    first = workflow.start(Report.objects.get().pk)
    second = workflow.start(first.pk)
    workflow.finish(second, b"%PDF second")
    workflow.finish(first, b"%PDF first")
    report = Report.objects.get()
    assert report.sha256 == hashlib.sha256(b"%PDF second").hexdigest()
    _, files = storages["private"].listdir(f"reports/{report.pk}")
    assert files == ["2.pdf"]


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (FileNotFoundError(), "radiograph could not be found"),
        (OSError(28, "No space left"), "could not use its storage"),
        (RuntimeError("Doe, Jane"), "could not be made"),
    ],
)
def test_what_goes_wrong_is_said_on_the_page_and_never_in_the_log(
    signed, patient, made, monkeypatch, caplog, error, sentence
):
    def break_off(content):
        raise error

    monkeypatch.setattr(tasks, "render", break_off)
    report = made(signed(patient))
    assert report.state == "failed"
    assert sentence in report.reason
    assert str(report.pk) in caplog.text
    assert "Doe" not in caplog.text


def test_a_radiograph_that_is_gone_fails_the_report(signed, patient, made):
    study = signed(patient)
    storages["private"].delete(study.radiograph.name)
    assert "could not be found" in made(study).reason


def test_a_database_that_cannot_be_written_leaves_it_to_the_sweep(signed, patient, monkeypatch):
    def break_off(content):
        raise DatabaseError

    monkeypatch.setattr(tasks, "render", break_off)
    report = Report.objects.current(signed(patient))
    with pytest.raises(DatabaseError):
        tasks.make(report_id=str(report.pk), hospital_id=report.hospital_id)
    assert Report.objects.get().state == "making"


def test_the_sweep_sends_again_what_no_worker_has_heard_of(
    signed, patient, delivered, django_capture_on_commit_callbacks
):
    signed(patient)
    tasks.deliver_due()
    assert delivered == []
    age_deliveries()
    with django_capture_on_commit_callbacks(execute=True):
        tasks.deliver_due()
    assert [message["report_id"] for message in delivered] == [str(Report.objects.get().pk)]


@pytest.fixture
def waiting(hospital, delivered, settings, django_capture_on_commit_callbacks):
    """The keys of reports in the order in which they were sent; each is silent for long at once."""
    settings.CELERY_TASK_TIME_LIMIT = 0
    with django_capture_on_commit_callbacks(execute=True):
        for report in ReportFactory.create_batch(4, hospital=hospital, study__hospital=hospital):
            workflow.deliver(report)
    keys = [message["report_id"] for message in delivered]
    delivered.clear()
    return keys


@pytest.fixture
def sweep(delivered, django_capture_on_commit_callbacks):
    """The keys of the reports that one sweep sends again."""

    def once():
        delivered.clear()
        with django_capture_on_commit_callbacks(execute=True):
            workflow.deliver_due()
        return [message["report_id"] for message in delivered]

    return once


def test_a_long_queue_costs_one_message_a_sweep_while_it_is_worked_off(waiting, sweep):
    for first in waiting[:2]:
        assert sweep() == sweep() == waiting[-1:]
        workflow.finish(workflow.start(first), b"%PDF")
    assert sweep() == waiting[-1:]


def test_what_an_emptied_broker_forgot_is_sent_by_two_sweeps(waiting, sweep):
    [last] = sweep()
    workflow.finish(workflow.start(last), b"%PDF")
    assert sweep() == waiting[:-1]


def test_the_sweep_sends_again_what_was_lost_with_its_worker(waiting, sweep):
    workflow.start(waiting[0])
    assert sweep() == [waiting[0], waiting[-1]]
    assert sweep() == waiting[-1:]


def test_the_sweep_leaves_a_ready_report_alone(report, delivered):
    age_deliveries()
    assert workflow.deliver_due() == 0


def test_a_report_whose_worker_is_lost_each_time_fails_and_can_be_made_again(signed, patient, made, alice):
    study = signed(patient)
    report = Report.objects.current(study)
    for _ in range(workflow.MAX_ATTEMPTS):
        workflow.start(report.pk)
    age_deliveries()
    workflow.deliver_due()
    report.refresh_from_db()
    assert (report.state, "worker was lost" in report.reason) == ("failed", True)
    workflow.retry(report, alice)
    assert made(study).state == "ready"


def test_only_a_failed_report_is_made_again(report, alice):
    with pytest.raises(workflow.WrongState):
        workflow.retry(report, alice)


def test_a_report_that_was_handed_out_is_never_made_with_another_hash(report, alice, anonymised):
    signed = report.sha256
    with pytest.raises(workflow.WrongState):
        workflow.retry(anonymised(report), alice)
    assert Report.objects.get().sha256 == signed


def test_a_report_whose_patient_was_anonymised_has_nothing_to_release(report, alice, anonymised):
    anonymised(report)
    with pytest.raises(studies.WrongState, match="anonymised"):
        studies.release(Study.objects.get(), alice)


def test_a_report_that_is_not_ready_cannot_be_released(signed, patient, made, alice):
    study = signed(patient)
    with pytest.raises(studies.WrongState, match="still being made"):
        studies.release(study, alice)
    workflow.fail(Report.objects.get(), "Broken.")
    with pytest.raises(studies.WrongState, match="could not be made"):
        studies.release(Study.objects.get(), alice)
    assert Study.objects.get().state == "signed"
    workflow.retry(Report.objects.get(), alice)
    made(study)
    studies.release(Study.objects.get(), alice)
    assert Report.objects.get().released_at


def test_amending_supersedes_and_the_next_signature_makes_another_version(report, alice, amended, made):
    studies.release(Study.objects.get(), alice)
    second = amended(report)
    report.refresh_from_db()
    assert report.superseded_at
    assert report.released_at  # that it once was released stays on record
    assert (second.number, second.version, second.superseded_at) == (report.number, 2, None)
    assert second.code != report.code
    made(second.study)
    assert storages["private"].exists(report.pdf)


def test_a_report_that_was_superseded_while_it_waited_is_made_for_the_record(signed, patient, alice):
    study = signed(patient)
    waiting = Report.objects.get()
    studies.amend(study, alice, "Another child.")
    tasks.make(report_id=str(waiting.pk), hospital_id=waiting.hospital_id)
    waiting.refresh_from_db()
    assert waiting.state == "ready"
    assert waiting.superseded_at


@pytest.mark.parametrize("correction_comes", ["before the worker", "while it draws"])
def test_a_report_says_what_stood_when_it_was_signed_whenever_it_is_made(
    reviewed, patient, alice, monkeypatch, correction_comes
):
    study = reviewed(patient, acquired_on=date(2024, 5, 1), indication="Short stature")
    studies.sign(study, alice, seen=study.review_id)
    waiting, drawn = Report.objects.get(), []

    def correct():
        studies.amend(Study.objects.get(), alice, "Another child.")
        seen, corrected = (date(2024, 5, 1), "Short stature"), {"acquired_on": date(2024, 4, 2), "indication": "Tall"}
        studies.correct(Study.objects.get(), alice, seen=seen, **corrected, notices=[])
        patient.sex, patient.date_of_birth = "M", date(2014, 2, 9)
        patient.save()

    of_report = tasks.of_report
    if correction_comes == "before the worker":
        correct()
    else:
        monkeypatch.setattr(tasks, "of_report", lambda report: correct() or of_report(report))
    monkeypatch.setattr(workflow, "finish", lambda report, pdf: drawn.append(text_of(pdf)))
    tasks.make(report_id=str(waiting.pk), hospital_id=waiting.hospital_id)
    assert Study.objects.get().acquired_on == date(2024, 4, 2)
    [text] = drawn
    for stood in ("Study date 1 May 2024", "Short stature", "9 March 2014, female", "10 y 1 m"):
        assert stood in text
    for came_later in ("April", "Tall", "February", "male, at"):
        assert came_later not in text.replace("female", "")


def test_the_migration_fills_in_what_reports_say(report):
    Report.objects.update(acquired_on=date(2000, 1, 1), indication="?", date_of_birth=date(2000, 1, 1))
    importlib.import_module("reports.migrations.0003_what_stood_at_the_signature").fill(apps, None)
    report.refresh_from_db()
    study = report.study
    assert (report.acquired_on, report.indication) == (study.acquired_on, study.indication)
    assert report.date_of_birth == study.patient.date_of_birth


def test_what_lies_beside_a_report_that_no_row_names_goes_with_the_patient(report, anonymised):
    lost = storages["private"].save(f"reports/{report.pk}/7.pdf", ContentFile(b"of a worker that was lost"))
    kept = report.pdf
    anonymised(report)
    assert {lost, kept} <= set(Erasure.objects.get().files)
