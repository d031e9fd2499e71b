"""Films over the network, from a real storage SCU to the receiver in this process."""

import io
import socket
import ssl
import struct
import threading
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta

import pydicom
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from django.core.management import CommandError, call_command
from django_scopes import scopes_disabled
from pydicom.uid import JPEG2000Lossless, RLELossless
from pynetdicom import AE
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.dsutils import encode
from pynetdicom.sop_class import CTImageStorage, DigitalXRayImageStorageForPresentation, Verification

from clinical.accounts.models import Membership, User
from clinical.dicom import arrivals, receiver
from clinical.dicom.connections import CLOSED_FOR_GOOD
from clinical.dicom.models import Arrival, Sender, title_of
from clinical.studies.intake import StorageFull
from clinical.studies.models import Study
from tests import radiograph_files
from tests.clinical.dicom.test_arrivals import HEADER
from tests.factories import PatientFactory, SenderFactory

pytestmark = pytest.mark.django_db(transaction=True)


@contextmanager
def listening():
    server = receiver.start("127.0.0.1", 0)
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()


@pytest.fixture
def port(room):
    with listening() as port:
        yield port


@contextmanager
def association(port, hospital, calling="ROOM_2", called=None, syntax=None, tls=None):
    entity = AE(ae_title=calling)
    entity.add_requested_context(Verification)
    entity.add_requested_context(DigitalXRayImageStorageForPresentation, syntax)
    entity.add_requested_context(CTImageStorage)
    asked = entity.associate(
        "127.0.0.1", port, ae_title=called or title_of(hospital.pk), tls_args=tls, evt_handlers=CLOSED_FOR_GOOD
    )
    try:
        yield asked
    finally:
        if asked.is_established:
            asked.release()


def send(port, hospital, data, **options):
    dataset = pydicom.dcmread(io.BytesIO(data))
    with association(port, hospital, syntax=dataset.file_meta.TransferSyntaxUID, **options) as asked:
        assert asked.is_established
        return asked.send_c_store(dataset)


@pytest.mark.parametrize("syntax", [pydicom.uid.ExplicitVRLittleEndian, JPEG2000Lossless, RLELossless])
def test_a_film_arrives_and_is_a_study(port, hospital, room, patient, syntax):
    header = HEADER | {"PatientSex": patient.sex, "PatientBirthDate": f"{patient.date_of_birth:%Y%m%d}"}
    assert send(port, hospital, radiograph_files.dicom(syntax=syntax, **header)).Status == receiver.SUCCESS
    with scopes_disabled():
        assert Study.objects.get().patient == patient
        room = Sender.objects.get(pk=room.pk)
        assert room.last_film_at >= room.last_called_at > room.created_at


def test_a_film_that_is_sent_twice_is_one_study(port, hospital, patient):
    film = radiograph_files.dicom(PatientID=patient.mrn)
    for _ in range(2):
        assert send(port, hospital, film).Status == receiver.SUCCESS
    with scopes_disabled():
        assert Study.objects.count() == 1


def test_an_echo_is_answered_and_noted(port, hospital, room):
    with association(port, hospital) as asked:
        assert asked.send_c_echo().Status == receiver.SUCCESS
    with scopes_disabled():
        room = Sender.objects.get(pk=room.pk)
        assert room.last_called_at
        assert room.last_film_at is None


def test_other_pictures_than_films_are_not_taken(port, hospital):
    with association(port, hospital) as asked:
        accepted = {context.abstract_syntax for context in asked.accepted_contexts}
    assert accepted == {Verification, DigitalXRayImageStorageForPresentation}


@pytest.mark.parametrize(
    "wrong",
    [{"calling": "ROOM_3"}, {"called": "BONEAGE0"}, {"called": "ANY-SCP"}, {"calling": "room_2"}],
)
def test_who_is_no_sender_gets_no_association(port, hospital, wrong):
    with association(port, hospital, **wrong) as asked:
        assert asked.is_rejected


def test_a_sender_of_another_hospital_is_none_here(port, hospital, other_hospital):
    SenderFactory(ae_title="ELSEWHERE", membership__hospital=other_hospital)
    with association(port, other_hospital, calling="ELSEWHERE") as asked:
        assert asked.is_established
    with association(port, hospital, calling="ELSEWHERE") as asked:
        assert asked.is_rejected


def test_a_sender_calls_from_its_own_address(port, hospital, room):
    with scopes_disabled():
        Sender.objects.filter(pk=room.pk).update(address="192.0.2.7")
    with association(port, hospital) as asked:
        assert asked.is_rejected


CHANGES = {
    "leaves": lambda member: member.delete(),
    "becomes administrator": lambda member: member.update(role="hospital_admin"),
    "is deactivated": lambda member: User.objects.filter(memberships__in=member).update(is_active=False),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_sender_is_turned_away_once_its_member_works_with_no_films(port, hospital, tess, change):
    change(Membership.objects.filter(user=tess))
    with association(port, hospital) as asked:
        assert asked.is_rejected


@pytest.mark.parametrize("change", [*CHANGES.values(), lambda _: Sender.objects.all().delete()], ids=[*CHANGES, "goes"])
def test_over_an_open_association_nothing_more_is_taken_then(port, hospital, tess, patient, change):
    film = pydicom.dcmread(io.BytesIO(radiograph_files.dicom(**HEADER)))
    with association(port, hospital) as asked:
        with scopes_disabled():
            change(Membership.objects.filter(user=tess))
        assert asked.send_c_store(film).Status == receiver.NOT_AUTHORISED
    with scopes_disabled():
        assert not Study.objects.exists()
        assert not Arrival.objects.exists()


def test_what_is_no_radiograph_is_refused_with_the_reason(port, hospital):
    answer = send(port, hospital, radiograph_files.dicom(PixelData=b"", **HEADER))
    assert answer.Status == receiver.CANNOT_UNDERSTAND
    assert answer.ErrorComment
    with scopes_disabled():
        assert not Arrival.objects.exists()


@pytest.mark.parametrize(
    ("fault", "status"),
    [(StorageFull(), receiver.OUT_OF_RESOURCES), (ValueError("Doe^Jane"), receiver.PROCESSING_FAILURE)],
)
def test_what_goes_wrong_is_the_senders_to_send_again_and_no_log_names_the_patient(
    port, hospital, monkeypatch, caplog, fault, status
):
    def fail(*_):
        raise fault

    monkeypatch.setattr(arrivals, "take", fail)
    assert send(port, hospital, radiograph_files.dicom(**HEADER)).Status == status
    assert "A film of sender" in caplog.text
    assert "Doe" not in caplog.text


def test_a_film_for_nobody_waits(port, hospital, other_hospital):
    PatientFactory(hospital=other_hospital, mrn="A-1")
    assert send(port, hospital, radiograph_files.dicom(**HEADER)).Status == receiver.SUCCESS
    with scopes_disabled():
        assert Arrival.objects.get().hospital == hospital


@pytest.fixture
def certificate(tmp_path):
    """Paths of a certificate for this machine, signed by itself, and of its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now, now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    files = tmp_path / "certificate.pem", tmp_path / "key.pem"
    files[0].write_bytes(signed.public_bytes(Encoding.PEM))
    files[1].write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return tuple(map(str, files))


@pytest.mark.parametrize("own", [True, False])
def test_with_tls_a_sender_shows_a_certificate_that_is_known(room, hospital, settings, certificate, own):
    settings.DICOM_TLS_CERTIFICATE, settings.DICOM_TLS_KEY = certificate
    settings.DICOM_TLS_CA = certificate[0]
    client = ssl.create_default_context(cafile=certificate[0])
    client.check_hostname = False
    if own:
        client.load_cert_chain(*certificate)
    with listening() as port, association(port, hospital, tls=(client, None)) as asked:
        assert asked.is_established == own


@pytest.mark.parametrize("encrypted", [True, False])
def test_who_connects_and_says_nothing_keeps_nobody_out(room, hospital, settings, certificate, encrypted):
    if encrypted:
        settings.DICOM_TLS_CERTIFICATE, settings.DICOM_TLS_KEY = certificate
    tls = (ssl.create_default_context(cafile=certificate[0]), "localhost") if encrypted else None
    with (
        listening() as port,
        ExitStack() as silent,
    ):
        for _ in range(receiver.ASSOCIATIONS + 2):
            silent.enter_context(socket.create_connection(("127.0.0.1", port)))
        with association(port, hospital, tls=tls) as asked:
            assert asked.is_established


def test_so_many_associations_are_open_at_once_and_no_more(port, hospital, monkeypatch):
    monkeypatch.setattr(receiver, "ASSOCIATIONS", 2)
    with association(port, hospital) as first, association(port, hospital) as second:
        with association(port, hospital) as third:
            assert third.is_rejected
        assert first.send_c_echo().Status == second.send_c_echo().Status == receiver.SUCCESS


# --- what nobody may make the portal hold in its memory ---


def test_who_announces_more_than_a_request_needs_is_not_listened_to(port):
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(struct.pack(">BxL", 1, receiver.LONGEST_PDU + 1))  # the head of an A-ASSOCIATE-RQ
        assert connection.recv(1) == b""


def test_a_sender_that_sends_more_than_a_film_is_cut_off(port, hospital, monkeypatch, caplog):
    monkeypatch.setattr(receiver, "LONGEST_MESSAGE", 20_000)
    assert "Status" not in send(port, hospital, radiograph_files.dicom(**HEADER))
    assert "127.0.0.1 sent more than a film" in caplog.text
    with scopes_disabled():
        assert not Arrival.objects.exists()


def test_a_sender_that_waits_for_no_answer_is_cut_off(port, hospital, monkeypatch):
    answered = threading.Event()
    monkeypatch.setattr(arrivals, "take", lambda *_: answered.wait(30))
    film = pydicom.dcmread(io.BytesIO(radiograph_files.dicom(**HEADER)))
    with association(port, hospital) as asked:
        [context] = [each for each in asked.accepted_contexts if each.abstract_syntax == film.SOPClassUID]
        for number in range(1, 4):
            message = C_STORE()
            message.MessageID, message.Priority = number, 2
            message.AffectedSOPClassUID, message.AffectedSOPInstanceUID = film.SOPClassUID, film.SOPInstanceUID
            message.DataSet = io.BytesIO(encode(film, True, True))
            asked.dimse.send_msg(message, context.context_id)
        asked.join(10)
        assert asked.is_aborted
    answered.set()


def test_a_port_that_does_not_exist_is_told(settings):
    settings.DICOM_PORT = 70_000
    with pytest.raises(CommandError, match=r"Nothing can listen on 127\.0\.0\.1:70000"):
        call_command("dicom_receiver")
