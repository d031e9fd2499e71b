"""The portal as a storage SCU (PS3.4, annex B): it sends instances to an archive."""

import ssl

from django.conf import settings
from pydicom.uid import UID
from pynetdicom import AE

from clinical.dicom.models import title_of

# Seconds. A worker waits for nobody longer; what was not sent is sent again later.
CONNECTING, ANSWERING = 10, 30


class NotStored(Exception):
    """What came in between, in a sentence for the hospital."""


def store(archive, instances):
    """Send datasets, each with its `file_meta`, to an Archive. Raises NotStored unless it has taken all of them."""
    entity = AE(ae_title=title_of(archive.hospital_id))
    entity.connection_timeout = CONNECTING
    entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = ANSWERING
    for instance in instances:
        entity.add_requested_context(instance.SOPClassUID, instance.file_meta.TransferSyntaxUID)
    tls = (_tls(), archive.host) if archive.encrypted else None
    association = entity.associate(archive.host, archive.port, ae_title=archive.ae_title, tls_args=tls)
    try:
        if association.is_rejected:
            raise NotStored(f"{archive} turned the portal away. It must know {entity.ae_title} and this address.")
        if not association.is_established:
            raise NotStored(f"{archive} did not answer.")
        for instance in instances:
            _store(association, archive, instance)
    finally:
        if association.is_established:
            association.release()


def _store(association, archive, instance):
    if instance.SOPClassUID not in {context.abstract_syntax for context in association.accepted_contexts}:
        raise NotStored(f"{archive} takes no {UID(instance.SOPClassUID).name}.")
    status = association.send_c_store(instance).get("Status")
    if status is None:
        raise NotStored(f"{archive} broke off the connection.")
    if status and status >> 12 != 0xB:  # a warning: it is stored all the same
        raise NotStored(f"{archive} refused a part of the report, with status {status:04X}.")


def _tls():
    context = ssl.create_default_context(cafile=settings.DICOM_TLS_CA or None)
    if settings.DICOM_TLS_CERTIFICATE:
        context.load_cert_chain(settings.DICOM_TLS_CERTIFICATE, settings.DICOM_TLS_KEY)
    return context
