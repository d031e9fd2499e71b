"""The portal on the DICOM network: a storage SCP (PS3.4, annex B) for the films of known senders, and nothing else.

Every hospital is called by a title of its own; a calling title and an address make the sender. Nobody else gets an
association.
"""

import logging
import ssl
import sys
import threading
from ipaddress import ip_address
from socketserver import BaseServer

from django.conf import settings
from django.db import connections
from django.utils import timezone
from django_scopes import scope
from pydicom import Dataset
from pydicom.uid import (
    JPEG2000TransferSyntaxes,
    JPEGLSTransferSyntaxes,
    JPEGTransferSyntaxes,
    RLELossless,
    UncompressedTransferSyntaxes,
)
from pynetdicom import AE, evt
from pynetdicom.sop_class import (
    ComputedRadiographyImageStorage,
    DigitalXRayImageStorageForPresentation,
    DigitalXRayImageStorageForProcessing,
    SecondaryCaptureImageStorage,
    Verification,
)
from pynetdicom.transport import ThreadedAssociationServer

from clinical.accounts.scope import every_hospital
from clinical.dicom import arrivals
from clinical.dicom.connections import CLOSED_FOR_GOOD
from clinical.dicom.models import TITLE, Sender, title_of
from clinical.studies.intake import StorageFull
from inference.engine import UnreadableRadiograph
from inference.engine.imaging import MAX_BYTES

logger = logging.getLogger(__name__)

FILMS = [
    ComputedRadiographyImageStorage,
    DigitalXRayImageStorageForPresentation,
    DigitalXRayImageStorageForProcessing,
    SecondaryCaptureImageStorage,
]
SYNTAXES = [
    *UncompressedTransferSyntaxes,
    *JPEGTransferSyntaxes,
    *JPEGLSTransferSyntaxes,
    *JPEG2000TransferSyntaxes,
    RLELossless,
]

ASSOCIATIONS = 10
LONGEST_PDU = 1 << 20  # bytes; senders are told to send no longer ones than 16 kB, but a request may propose much
LONGEST_MESSAGE = MAX_BYTES + LONGEST_PDU  # a film that is a little too large is told so by whoever reads it

# PS3.8, 9.3.4: result, source, reason
CALLING_TITLE_UNKNOWN, TRY_AGAIN, TOO_MANY = (1, 1, 3), (2, 1, 1), (2, 3, 2)

# PS3.4, B.2.3, and PS3.7, annex C
SUCCESS, OUT_OF_RESOURCES, CANNOT_UNDERSTAND, PROCESSING_FAILURE = 0x0000, 0xA700, 0xC000, 0x0110
NOT_AUTHORISED = 0x0124


def start(address, port):
    """Listen in threads of this process until the server that is returned is shut down. Port 0 takes a free one."""
    entity = AE(ae_title=TITLE)
    entity.maximum_associations = sys.maxsize  # the library counts connections, `let_in` associations
    entity.network_timeout = 60  # seconds; a sender that says nothing for longer holds none of ASSOCIATIONS
    entity.add_supported_context(Verification)
    for film in FILMS:
        entity.add_supported_context(film, SYNTAXES)
    handlers = [
        *CLOSED_FOR_GOOD,
        (evt.EVT_CONN_OPEN, bound),
        (evt.EVT_REQUESTED, _with_connection(let_in)),
        (evt.EVT_C_ECHO, lambda event: SUCCESS),
        (evt.EVT_C_STORE, _with_connection(take)),
    ]
    server = entity.make_server((address, port), ssl_context=_tls(), evt_handlers=handlers, server_class=Server)
    threading.Thread(target=server.serve_forever, name="DICOM receiver", daemon=True).start()
    return server


class Server(ThreadedAssociationServer):
    """The library's, but who opens a connection and says nothing keeps nobody else out."""

    def get_request(self):
        connection, address = self.socket.accept()
        connection.settimeout(self.ae.network_timeout)
        if self.ssl_context:  # hands are shaken in the thread of the connection, when first something is read
            options = {"server_side": True, "do_handshake_on_connect": False}
            connection = self.ssl_context.wrap_socket(connection, **options)
        return connection, address

    def shutdown(self):
        BaseServer.shutdown(self)
        self.server_close()


def _tls():
    """With DICOM_TLS_CERTIFICATE connections are encrypted; with DICOM_TLS_CA senders show a certificate of it, too."""
    if not settings.DICOM_TLS_CERTIFICATE:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=settings.DICOM_TLS_CA or None)
    context.load_cert_chain(settings.DICOM_TLS_CERTIFICATE, settings.DICOM_TLS_KEY)
    if settings.DICOM_TLS_CA:
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def _with_connection(handler):
    """Every association is a thread: what it opened of the database nobody else would close."""

    def handle(event):
        try:
            return handler(event)
        finally:
            connections.close_all()

    return handle


def bound(event):
    """Let a connection go over which more comes than any film needs.

    The library believes whatever length it is told, and keeps in memory what comes, also of somebody it does not know.
    """
    association, connection = event.assoc, event.assoc.dul.socket
    read = connection.recv

    def recv(number):
        messages, message = association.dimse.msg_queue, association.dimse.message
        length = message.encoded_command_set.tell() + message.data_set.tell() if message else 0
        if number > LONGEST_PDU or length > LONGEST_MESSAGE or not messages.empty():  # one that waits for no answer
            logger.warning("%s sent more than a film, and was cut off", association.requestor.address)
            raise OSError("More than a film.")  # for the library, a connection that is closed
        return read(number)

    connection.recv = recv


def let_in(event):
    """Turn away, before anything is said, whoever is no sender of the hospital that is called."""
    requestor = event.assoc.requestor
    called, calling = requestor.primitive.called_ae_title.strip(), requestor.primitive.calling_ae_title.strip()
    try:
        sender = _sender(called, calling, requestor.address)
    except Exception as error:
        logger.error("An association could not be looked into: %s", type(error).__name__)
        return _turn_away(event, TRY_AGAIN)
    if sender is None:
        logger.warning("%r called %r from %s, and is no sender there", calling, called, requestor.address)
        return _turn_away(event, CALLING_TITLE_UNKNOWN)
    event.assoc.sender_key = sender.pk, sender.hospital_id
    if sum(hasattr(association, "sender_key") for association in event.assoc.ae.active_associations) > ASSOCIATIONS:
        logger.warning("%r called from %s while %s associations were open", calling, requestor.address, ASSOCIATIONS)
        _turn_away(event, TOO_MANY)


def _sender(called, calling, address):
    """Who calls, or None; it is noted that they did."""
    address = ip_address(address)
    address = getattr(address, "ipv4_mapped", None) or address
    with every_hospital():
        senders = Sender.objects.filter(ae_title=calling, address=str(address)).select_related("membership__user")
        for sender in senders:
            if title_of(sender.hospital_id) == called and sender.is_heard:
                Sender.objects.filter(pk=sender.pk).update(last_called_at=timezone.now())
                return sender


def _turn_away(event, why):
    event.assoc.acse.send_reject(*why)
    event.assoc.kill()


def take(event):
    """Answer a C-STORE request; returns its status. The sender keeps, and sends again, what was not taken."""
    key, hospital_id = event.assoc.sender_key
    try:
        with scope(hospital=[hospital_id]):
            sender = Sender.objects.select_related("hospital", "membership__user").filter(pk=key).first()
            if sender is None or not sender.is_heard:  # since the association was opened
                return _status(NOT_AUTHORISED, "Films from this sender are no longer taken.")
            arrivals.take(sender, event.encoded_dataset(), event.request.AffectedSOPInstanceUID)
            Sender.objects.filter(pk=key).update(last_film_at=timezone.now())
    except UnreadableRadiograph as error:
        logger.warning("A film of sender %s was refused: %s", key, error.code)
        return _status(CANNOT_UNDERSTAND, str(error))
    except StorageFull as error:
        logger.error("A film of sender %s was refused: the storage is full", key)
        return _status(OUT_OF_RESOURCES, str(error))
    except Exception as error:
        # Its message may quote what the header says.
        logger.error("A film of sender %s was not taken: %s", key, type(error).__name__)
        return _status(PROCESSING_FAILURE, "The portal could not take it now. Send it again later.")
    return SUCCESS


def _status(code, comment):
    status = Dataset()
    status.Status = code
    status.ErrorComment = comment[:64]
    return status
