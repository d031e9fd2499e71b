"""Signed reports go into an archive by themselves: a real storage SCP in this process takes them, or does not."""

from contextlib import contextmanager
from datetime import timedelta

import pydicom
import pytest
from django.utils import timezone
from pydicom.uid import EncapsulatedPDFStorage, EnhancedSRStorage
from pynetdicom import AE, evt

from clinical.audit.models import AccessEvent
from clinical.dicom.models import Archive, title_of
from reports import dispatch, tasks
from reports.models import Dispatch, Report
from tests.factories import ArchiveFactory, ReportFactory

pytestmark = pytest.mark.usefixtures("unscoped")
# The library only lets go of a socket that could not be connected.
nobody_listens = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
DEAF = 1  # a port


@contextmanager
def listening(takes=(EnhancedSRStorage, EncapsulatedPDFStorage), status=0x0000, title="PACS"):
    """An archive; yields (its port, the instances that it was sent, by whom)."""
    came, callers = [], []

    def store(event):
        instance = event.dataset
        instance.file_meta = event.file_meta
        came.append(instance)
        return status

    entity = AE(ae_title=title)
    entity.require_called_aet = True
    for kind in takes:
        entity.add_supported_context(kind)
    requested = (evt.EVT_REQUESTED, lambda event: callers.append(event.assoc.requestor.primitive.calling_ae_title))
    server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, store), requested])
    try:
        yield server.server_address[1], came, callers
    finally:
        server.shutdown()


@pytest.fixture
def archive(hospital):
    return ArchiveFactory(hospital=hospital, name="PACS")


@pytest.fixture
def messages(monkeypatch):
    """The keys of the dispatches that the workers are woken up for."""
    sent = []
    monkeypatch.setattr(tasks.dispatch, "apply_async", lambda kwargs: sent.append(kwargs["dispatch_id"]))
    return sent


@pytest.fixture
def made(signed, patient, archive, messages, delivered, django_capture_on_commit_callbacks):
    """The report of a signed study, made by a worker; its dispatch waits."""
    with django_capture_on_commit_callbacks(execute=True):
        study = signed(patient)
        report = Report.objects.get(study=study)
        tasks.make(report_id=report.pk)
    report.refresh_from_db()
    return report


def run(port):
    Archive.objects.update(port=port)
    tasks.dispatch(dispatch_id=Dispatch.objects.get().pk)
    return Dispatch.objects.get()


def test_a_report_is_sent_once_it_is_made(made, archive, messages, hospital):
    waiting = Dispatch.objects.get()
    assert (waiting.report, waiting.archive, waiting.state, messages) == (made, archive, "waiting", [waiting.pk])
    with listening() as (port, came, callers):
        sent = run(port)
    assert (sent.state, sent.reason, sent.attempt) == ("sent", "", 1)
    assert sent.sent_at
    assert [instance.SOPClassUID for instance in came] == [EnhancedSRStorage, EncapsulatedPDFStorage]
    assert {instance.PatientID for instance in came} == {"A-1"}
    assert len({instance.StudyInstanceUID for instance in came}) == 1
    assert callers == [title_of(hospital.pk)]
    assert AccessEvent.objects.filter(verb="export", object_key=str(made.pk), detail="to PACS").count() == 1


def test_a_message_that_comes_twice_sends_once(made):
    with listening() as (port, came, _):
        run(port)
        run(port)
    assert len(came) == 2


def test_a_warning_is_no_refusal(made):
    with listening(status=0xB000) as (port, *_):
        assert run(port).state == "sent"


def test_a_hospital_without_an_archive_sends_nothing(signed, patient, messages, delivered):
    tasks.make(report_id=Report.objects.get(study=signed(patient)).pk)
    assert not Dispatch.objects.exists()
    assert messages == []


def test_reports_of_another_hospital_go_elsewhere(archive, other_hospital, messages):
    report = ReportFactory(study__patient__hospital=other_hospital)
    dispatch.send(report)
    assert not Dispatch.objects.exists()


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"status": 0xA700}, "PACS refused a part of the report, with status A700."),
        ({"takes": (EnhancedSRStorage,)}, "PACS takes no Encapsulated PDF Storage."),
        ({"title": "OTHER"}, "PACS turned the portal away. It must know BONEAGE{} and this address."),
    ],
)
def test_what_an_archive_does_not_take_says_why(made, hospital, options, reason):
    with listening(**options) as (port, *_):
        failed = run(port)
    assert (failed.state, failed.reason) == ("failed", reason.format(hospital.pk))


@nobody_listens
def test_an_archive_that_is_away_is_asked_again_for_some_days(made, messages, django_capture_on_commit_callbacks):
    assert run(DEAF).reason == "PACS did not answer."

    def swept(**ago):
        messages.clear()
        Dispatch.objects.update(**{field: timezone.now() - before for field, before in ago.items()})
        with django_capture_on_commit_callbacks(execute=True):
            dispatch.deliver_due()
        return messages == [Dispatch.objects.get().pk]

    assert not swept(started_at=timedelta(minutes=14))
    assert not swept(started_at=timedelta(days=4), created_at=timedelta(days=4))
    assert swept(started_at=timedelta(minutes=16), created_at=timedelta(days=1))
    assert Dispatch.objects.get().state == "waiting"
    with listening() as (port, *_):
        assert run(port).state == "sent"
    assert not swept(started_at=timedelta(minutes=16))


def test_a_lost_message_is_sent_again(made, messages, django_capture_on_commit_callbacks):
    Dispatch.objects.update(delivered_at=None)
    messages.clear()
    with django_capture_on_commit_callbacks(execute=True):
        assert dispatch.deliver_due() == 1
    assert len(messages) == 1


def test_a_pdf_that_is_lost_says_so(made):
    Report.objects.update(pdf="reports/gone.pdf")
    with listening() as (port, came, _):
        assert run(port).reason == "The report's files could not be found in the storage."
    assert came == []


def test_what_goes_wrong_leaves_no_name_in_the_log(made, monkeypatch, caplog):
    def fail(*_):
        raise ValueError("Doe^Jane")

    monkeypatch.setattr(tasks, "store", fail)
    assert run(DEAF).state == "failed"
    assert "ValueError" in caplog.text
    assert "Doe" not in caplog.text


@nobody_listens
def test_the_page_of_the_study_says_what_was_not_sent_and_sends_it_again(as_user, alice, made, messages):
    run(DEAF)
    client = as_user(alice)
    page = f"/studies/{made.study_id}/"
    assert "PACS did not answer." in client.get(page).content.decode()
    again = f"/reports/dispatches/{Dispatch.objects.get().pk}/send/"
    assert client.post(again)["Location"] == page
    assert Dispatch.objects.get().state == "waiting"
    assert AccessEvent.objects.filter(verb="retry", actor=alice, detail="to PACS").count() == 1
    assert "Being sent to" in client.get(page).content.decode()
    assert "on its way already" in client.post(again, follow=True).content.decode()


def test_the_structured_report_in_the_archive_can_be_read(made):
    with listening() as (port, came, _):
        run(port)
    assert came[0].CompletionFlag == "COMPLETE"
    assert came[0].VerificationFlag == "VERIFIED"
    assert isinstance(came[1].EncapsulatedDocument, bytes)
    assert pydicom.uid.UID(came[0].SOPInstanceUID).is_valid
