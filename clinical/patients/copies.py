"""The life of a PatientExport: asked for, made by a worker, taken, and removed when its time is over.

The database is the truth and a task only the wake-up call, as with analyses and reports.
"""

from datetime import timedelta

from django.conf import settings
from django.core.files import File
from django.core.files.storage import storages
from django.db import IntegrityError, transaction
from django.db.models import F
from django.utils import timezone

from clinical import sweep
from clinical.audit.record import Verb, record
from clinical.patients import record_zip
from clinical.patients.models import ExportState, PatientExport
from clinical.stored import lying_in

MAX_ATTEMPTS = 3


def ask(patient, actor):
    """The export of `patient` that is being made, or a new one."""
    try:
        with transaction.atomic():
            asked = PatientExport.objects.create(hospital=patient.hospital, patient=patient, requested_by=actor)
            record(Verb.EXPORT, asked, actor=actor, detail="asked for")
            deliver(asked)
    except IntegrityError:  # a double click, or two administrators at once
        return PatientExport.objects.get(patient=patient, state=ExportState.MAKING)
    return asked


def deliver(asked):
    """Send the wake-up call to the workers once the transaction is safe in the database."""
    from clinical.patients.tasks import make_export

    PatientExport.objects.filter(pk=asked.pk).update(delivered_at=timezone.now())
    kwargs = {"export_id": str(asked.pk), "hospital_id": asked.hospital_id}
    transaction.on_commit(lambda: make_export.apply_async(kwargs=kwargs), robust=True)


def make(export_id):
    """Make the file. Safe to be called twice: the second finds nothing to do."""
    making = PatientExport.objects.filter(pk=export_id, state=ExportState.MAKING)
    if not making.update(attempt=F("attempt") + 1, started_at=timezone.now()):
        return
    asked = PatientExport.objects.select_related("patient__hospital").get(pk=export_id)

    def progress(done, total):
        making.update(done=done, total=total)

    with record_zip.temporary() as file:
        record_zip.write(asked.patient, file, progress)
        size = file.tell()
        file.seek(0)
        name = storages["private"].save(f"{folder(asked.pk)}/{asked.attempt}.zip", File(file))
    expires_at = timezone.now() + timedelta(hours=settings.PATIENT_EXPORT_HOURS)
    # Of two workers with the same export one wins; of an export that was erased meanwhile none.
    ready = {"state": ExportState.READY, "file": name, "size_bytes": size, "expires_at": expires_at, "reason": ""}
    if not making.filter(attempt=asked.attempt).update(**ready):
        storages["private"].delete(name)


def folder(export_id):
    """Where the file of each attempt lies, of those too that a worker did not bring to their end."""
    return f"exports/{export_id}"


def _remove(export_id):
    for name in lying_in(folder(export_id)):
        storages["private"].delete(name)


def fail(export_id, reason):
    PatientExport.objects.filter(pk=export_id, state=ExportState.MAKING).update(state=ExportState.FAILED, reason=reason)
    # Another worker may have made it meanwhile, or it was erased.
    if not PatientExport.objects.filter(pk=export_id, state=ExportState.READY).exists():
        _remove(export_id)


def deliver_due():
    """Send again what has lost its worker or its message."""
    with transaction.atomic():
        for asked in sweep.due(PatientExport.objects.filter(state=ExportState.MAKING)):
            if asked.attempt < MAX_ATTEMPTS:
                deliver(asked)
            else:
                fail(asked.pk, "The worker was lost each time. Ask for the copy again later.")


def expire():
    """Remove the files whose time is over."""
    for old in PatientExport.objects.filter(state=ExportState.READY, expires_at__lte=timezone.now()):
        _remove(old.pk)
        PatientExport.objects.filter(pk=old.pk).update(state=ExportState.EXPIRED, file="")
