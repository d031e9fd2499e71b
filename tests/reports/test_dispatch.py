"""Signed reports go into an archive by themselves: a real storage SCP in this process takes them, or does not."""

import threading
from contextlib import contextmanager
from datetime import timedelta

import pydicom
import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import storages
from django.utils import timezone
from pydicom.uid import CTImageStorage, EncapsulatedPDFStorage, EnhancedSRStorage, ImplicitVRLittleEndian
from pynetdicom import AE, DEFAULT_TRANSFER_SYNTAXES, evt

from clinical.audit.models import AccessEvent
from clinical.dicom import storage
from clinical.dicom.connections import CLOSED_FOR_GOOD
from clinical.dicom.models import Archive, title_of
from clinical.studies.models import Radiograph
from reports import dispatch, tasks
from reports.models import Dispatch, Report
from tests import radiograph_files
from tests.factories import ArchiveFactory, DispatchFactory, ReportFactory

pytestmark = pytest.mark.usefixtures("unscoped")
DEAF = 1  # a port


@contextmanager
def listening(
    takes=(EnhancedSRStorage, EncapsulatedPDFStorage),
    syntaxes=DEFAULT_TRANSFER_SYNTAXES,
    status=0x0000,
    title="PACS",
    handlers=(),
):
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
        entity.add_supported_context(kind, syntaxes)
    requested = (evt.EVT_REQUESTED, lambda event: callers.append(event.assoc.requestor.primitive.calling_ae_title))
    handlers = [(evt.EVT_C_STORE, store), requested, *handlers, *CLOSED_FOR_GOOD]
    server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
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


def run(port, **archive):
    Archive.objects.update(port=port, **archive)
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
    assert exports(made).count() == 1


def exports(report):
    return AccessEvent.objects.filter(verb="export", object_key=str(report.pk), detail="to PACS")


def test_the_header_of_a_film_is_read_once(made, monkeypatch):
    private, name = storages["private"], made.study.radiograph.name
    private.delete(name)
    private.save(name, ContentFile(radiograph_files.dicom()))
    Radiograph.objects.update(format="dicom")
    opened, open_ = [], private.open
    monkeypatch.setattr(private, "open", lambda name: opened.append(name) or open_(name))
    with listening() as (port, *_):
        assert run(port).state == "sent"
    assert sorted(opened) == sorted([name, made.pdf])


def test_an_archive_that_knows_the_default_transfer_syntax_alone_is_sent_to(made):
    with listening(syntaxes=[ImplicitVRLittleEndian]) as (port, came, _):
        assert run(port).state == "sent"
    assert {instance.file_meta.TransferSyntaxUID for instance in came} == {ImplicitVRLittleEndian}
    assert {instance.PatientID for instance in came} == {"A-1"}


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
        ({"takes": (CTImageStorage,)}, "PACS takes no Enhanced SR Storage and no Encapsulated PDF Storage."),
        ({"title": "OTHER"}, "PACS turned the portal away. It must know BONEAGE{} and this address."),
    ],
)
def test_what_an_archive_does_not_take_says_why(made, hospital, options, reason):
    with listening(**options) as (port, *_):
        failed = run(port)
    assert (failed.state, failed.reason) == ("failed", reason.format(hospital.pk))


def test_to_an_archive_that_does_not_take_all_nothing_leaves(made):
    with listening(takes=(EnhancedSRStorage,)) as (port, came, _):
        run(port)
    assert came == []
    assert not exports(made).exists()


def test_what_leaves_is_on_record_although_the_archive_refuses_it(made):
    with listening(status=0xA700) as (port, came, _):
        assert run(port).state == "failed"
    assert len(came) == exports(made).count() == 1


def test_an_archive_that_reads_no_further_holds_up_no_worker(made, monkeypatch):
    monkeypatch.setattr(storage, "ANSWERING", 1)
    name = storages["private"].save("reports/large.pdf", ContentFile(bytes(30_000_000)))  # more than sockets hold
    Report.objects.update(pdf=name)
    thaw, thawed = threading.Event(), []

    def freeze(event):
        message = event.assoc.dimse.message
        if message and message.data_set.tell() > 1_000_000 and not thawed:
            thawed.append(thaw.wait(20))

    with listening(handlers=[(evt.EVT_PDU_RECV, freeze)]) as (port, *_):
        try:
            assert run(port).reason == "PACS broke off the connection."
            assert thawed == []
        finally:
            thaw.set()


def test_certificates_that_a_worker_cannot_read_are_said_to_be_that(made, settings, caplog):
    settings.DICOM_TLS_CERTIFICATE = settings.DICOM_TLS_KEY = "/etc/dicom/tls/none.pem"
    failed = run(DEAF, encrypted=True)
    assert failed.reason == "The certificates for PACS could not be read. Tell the platform's staff."
    assert "DICOM_TLS_CERTIFICATE" in caplog.text


def test_an_archive_that_the_network_does_not_know_is_said_to_be_that(made):
    failed = run(DEAF, host="nowhere.invalid")
    assert failed.reason == (
        "PACS was not found in the network under the name that it has here. Tell the platform's staff."
    )


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


@pytest.fixture
def refused(archive):
    """Make a dispatch that the archive did not take some minutes ago: `refused(20)`."""

    def make(minutes, archive=archive):
        report = ReportFactory(study__patient__hospital=archive.hospital)
        ago = timezone.now() - timedelta(minutes=minutes)
        return DispatchFactory(report=report, archive=archive, state="failed", started_at=ago, delivered_at=ago)

    return make


def sweep(messages, capture):
    messages.clear()
    with capture(execute=True):
        dispatch.deliver_due()
    return messages


def test_an_archive_that_is_away_is_asked_with_one_report(refused, messages, django_capture_on_commit_callbacks):
    _, first = refused(20), refused(30)
    elsewhere = refused(20, ArchiveFactory(hospital=first.hospital, name="Second"))
    assert sorted(sweep(messages, django_capture_on_commit_callbacks)) == [first.pk, elsewhere.pk]
    assert sweep(messages, django_capture_on_commit_callbacks) == []  # these are on their way
    Dispatch.objects.filter(state="waiting").update(state="failed", started_at=timezone.now())
    assert sweep(messages, django_capture_on_commit_callbacks) == []


def test_a_report_that_an_archive_never_takes_stands_in_no_others_way(
    refused, messages, django_capture_on_commit_callbacks
):
    never, other = refused(30), refused(20)
    assert sweep(messages, django_capture_on_commit_callbacks) == [never.pk]
    Dispatch.objects.filter(pk=never.pk).update(state="failed", started_at=timezone.now() - timedelta(minutes=16))
    assert sweep(messages, django_capture_on_commit_callbacks) == [other.pk]


def test_what_an_archive_did_not_take_follows_once_it_takes_something(
    made, refused, messages, django_capture_on_commit_callbacks
):
    taken = Dispatch.objects.get()
    missed, _tried_just_now = refused(20), refused(1)
    refused(20, ArchiveFactory(hospital=made.hospital, name="Second"))
    messages.clear()
    with django_capture_on_commit_callbacks(execute=True):
        dispatch.finish(taken)
    assert messages == [missed.pk]


def test_what_no_worker_could_begin_with_is_given_up_after_some_days(
    made, messages, django_capture_on_commit_callbacks
):
    long_ago = timezone.now() - timedelta(days=4)
    Dispatch.objects.update(created_at=long_ago, delivered_at=long_ago, started_at=long_ago)
    assert sweep(messages, django_capture_on_commit_callbacks) == []
    assert Dispatch.objects.get().state == "failed"


def test_an_archive_never_becomes_another_hospitals(as_user, root, archive, other_hospital):
    fields = {"hospital": other_hospital.pk, "name": "PACS 2", "ae_title": "PACS", "host": "pacs", "port": 104}
    assert as_user(root).post(f"/admin/dicom/archive/{archive.pk}/change/", fields).status_code == 302
    kept = Archive.objects.get()
    assert (kept.hospital, kept.name) == (archive.hospital, "PACS 2")
    as_user(root).post("/admin/dicom/archive/add/", fields)
    assert Archive.objects.exclude(pk=archive.pk).get().hospital == other_hospital


def test_a_lost_message_is_sent_again(made, messages, django_capture_on_commit_callbacks):
    Dispatch.objects.update(delivered_at=None)
    messages.clear()
    with django_capture_on_commit_callbacks(execute=True):
        assert dispatch.deliver_due() == 1
    assert len(messages) == 1


def test_of_a_report_that_was_removed_nothing_is_on_its_way(
    made, anonymised, as_user, alice, messages, django_capture_on_commit_callbacks
):
    run(DEAF)
    arrived = DispatchFactory(report=made, archive=ArchiveFactory(hospital=made.hospital, name="Second"), state="sent")
    anonymised(made)
    Dispatch.objects.update(started_at=timezone.now() - timedelta(minutes=16))
    assert sweep(messages, django_capture_on_commit_callbacks) == []
    assert "Send it again" not in as_user(alice).get(f"/studies/{made.study_id}/").content.decode()
    assert Dispatch.objects.get() == arrived


def test_a_pdf_that_is_lost_says_so(made):
    Report.objects.update(pdf="reports/gone.pdf")
    with listening() as (port, came, _):
        assert run(port).reason == "The report's files could not be found in the storage."
    assert came == []


def test_what_goes_wrong_leaves_no_name_in_the_log(made, monkeypatch, caplog):
    def fail(*_, **__):
        raise ValueError("Doe^Jane")

    monkeypatch.setattr(tasks, "store", fail)
    assert run(DEAF).state == "failed"
    assert "ValueError" in caplog.text
    assert "Doe" not in caplog.text


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


def test_staff_send_what_was_signed_before_an_archive_was_entered(
    as_user, root, ada, made, hospital, messages, django_capture_on_commit_callbacks
):
    later = ArchiveFactory(hospital=hospital, name="Later")
    superseded = ReportFactory(study__patient__hospital=hospital, state="ready", superseded_at=timezone.now())
    unmade = ReportFactory(study__patient__hospital=hospital, state="failed")
    fields = {"action": "send", "_selected_action": [each.pk for each in (made, superseded, unmade)]}

    def asked(user):
        with django_capture_on_commit_callbacks(execute=True):
            return as_user(user).post("/admin/reports/report/", fields, follow=True).content.decode()

    assert Dispatch.objects.count() == 1
    asked(ada)  # her hospital's administrator
    assert Dispatch.objects.count() == 1
    assert "1 report is being sent." in asked(root)
    opened = Dispatch.objects.get(archive=later)
    assert (opened.report, messages[-1]) == (made, opened.pk)
    assert AccessEvent.objects.get(verb="administer", actor=root).detail == "send to Later"
    assert "Nothing to send" in asked(root)
    assert Dispatch.objects.count() == 2


def test_the_structured_report_in_the_archive_can_be_read(made):
    with listening() as (port, came, _):
        run(port)
    assert came[0].CompletionFlag == "COMPLETE"
    assert came[0].VerificationFlag == "VERIFIED"
    assert isinstance(came[1].EncapsulatedDocument, bytes)
    assert pydicom.uid.UID(came[0].SOPInstanceUID).is_valid
