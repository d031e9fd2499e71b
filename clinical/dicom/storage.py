"""The portal as a storage SCU (PS3.4, annex B): it sends instances to an archive."""

import logging
import socket
import ssl

from django.conf import settings
from pydicom.uid import UID, ImplicitVRLittleEndian
from pynetdicom import AE, evt

from clinical.dicom.connections import CLOSED_FOR_GOOD
from clinical.dicom.models import title_of

logger = logging.getLogger(__name__)

# Seconds. A worker waits for nobody longer; what was not sent is sent again later.
CONNECTING, ANSWERING = 10, 30


class NotStored(Exception):
    """What came in between, in a sentence for the hospital."""


def store(archive, instances, leaving):
    """Send datasets, each with its `file_meta`, to an Archive. Raises NotStored unless it has taken all of them.

    `leaving` is called once the archive has said that it takes all of them, before the first is sent.
    """
    entity = AE(ae_title=title_of(archive.hospital_id))
    entity.connection_timeout = CONNECTING
    entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = ANSWERING
    for instance in instances:
        # The default transfer syntax is offered for every class (PS3.5, 10.1); the library converts.
        syntaxes = [instance.file_meta.TransferSyntaxUID, ImplicitVRLittleEndian]
        entity.add_requested_context(instance.SOPClassUID, syntaxes)
    tls = (_tls(archive), archive.host) if archive.encrypted else None
    try:
        association = entity.associate(
            archive.host,
            archive.port,
            ae_title=archive.ae_title,
            tls_args=tls,
            evt_handlers=[(evt.EVT_CONN_OPEN, _be_patient), *CLOSED_FOR_GOOD],
        )
    except socket.gaierror as error:
        sentence = f"{archive} was not found in the network under the name that it has here. Tell the platform's staff."
        raise NotStored(sentence) from error
    try:
        if association.is_rejected:
            raise NotStored(f"{archive} turned the portal away. It must know {entity.ae_title} and this address.")
        accepted = {context.abstract_syntax for context in association.accepted_contexts}
        if not (accepted or association.rejected_contexts):
            raise NotStored(f"{archive} did not answer.")
        if refused := [instance for instance in instances if instance.SOPClassUID not in accepted]:
            kinds = " and no ".join(UID(instance.SOPClassUID).name for instance in refused)
            raise NotStored(f"{archive} takes no {kinds}.")
        leaving()
        for instance in instances:
            _store(association, archive, instance)
    finally:
        if association.is_established:
            association.release()


def _be_patient(event):
    """But not for ever: the library waits without end until somebody who has answered reads what is sent."""
    event.assoc.dul.socket.socket.settimeout(ANSWERING)


def _store(association, archive, instance):
    status = association.send_c_store(instance).get("Status")
    if status is None:
        raise NotStored(f"{archive} broke off the connection.")
    if status and status >> 12 != 0xB:  # a warning: it is stored all the same
        raise NotStored(f"{archive} refused a part of the report, with status {status:04X}.")


def _tls(archive):
    try:
        context = ssl.create_default_context(cafile=settings.DICOM_TLS_CA or None)
        if settings.DICOM_TLS_CERTIFICATE:
            context.load_cert_chain(settings.DICOM_TLS_CERTIFICATE, settings.DICOM_TLS_KEY)
    except OSError as error:
        logger.error("A worker cannot read what DICOM_TLS_CERTIFICATE, _KEY or _CA names: %s", type(error).__name__)
        raise NotStored(f"The certificates for {archive} could not be read. Tell the platform's staff.") from error
    return context
