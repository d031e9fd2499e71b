"""Signed reports go into the hospital's archives by themselves, as structured report and as PDF, once they are made.

As with the making of a report, the database is the truth and a task the wake-up call. An archive that is away is asked
again for some days.
"""

from datetime import timedelta

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from clinical import sweep
from clinical.accounts.scope import every_hospital
from clinical.audit.record import Verb, record
from clinical.dicom.models import Archive
from clinical.studies.workflow import WrongState
from reports.models import Dispatch, DispatchState

PAUSE = timedelta(minutes=15)
PATIENCE = timedelta(days=3)


def send(report):
    """Open a dispatch to each archive of the hospital. The same report comes to an archive once."""
    for archive in Archive.objects.filter(hospital=report.hospital_id):
        dispatch, is_new = Dispatch.objects.get_or_create(
            report=report, archive=archive, defaults={"hospital_id": report.hospital_id}
        )
        if is_new:
            _deliver(dispatch)


def _deliver(dispatch):
    from reports.tasks import dispatch as task

    Dispatch.objects.filter(pk=dispatch.pk).update(delivered_at=timezone.now(), state=DispatchState.WAITING)
    kwargs = {"dispatch_id": dispatch.pk, "hospital_id": dispatch.hospital_id}
    transaction.on_commit(lambda: task.apply_async(kwargs=kwargs), robust=True)


def start(dispatch_id):
    """The dispatch to be sent now, or None when that is done already."""
    waiting = Dispatch.objects.filter(pk=dispatch_id, state=DispatchState.WAITING)
    if not waiting.update(attempt=F("attempt") + 1, started_at=timezone.now()):
        return None
    related = "archive", "report__hospital", "report__signed_by", "report__review__doctor"
    further = "report__review__analysis__model_version", "report__study__patient", "report__study__radiograph"
    return Dispatch.objects.select_related(*related, *further).get(pk=dispatch_id)


@transaction.atomic
def finish(dispatch):
    sent = {"state": DispatchState.SENT, "sent_at": timezone.now(), "reason": ""}
    if Dispatch.objects.filter(pk=dispatch.pk, state=DispatchState.WAITING).update(**sent):
        record(Verb.EXPORT, dispatch.report, detail=f"to {dispatch.archive}")


def fail(dispatch, reason):
    waiting = Dispatch.objects.filter(pk=dispatch.pk, state=DispatchState.WAITING)
    waiting.update(state=DispatchState.FAILED, reason=reason[:200])


@transaction.atomic
def send_again(dispatch, actor):
    """Raises WrongState unless it was not sent."""
    if not Dispatch.objects.filter(pk=dispatch.pk, state=DispatchState.FAILED).update(state=DispatchState.WAITING):
        raise WrongState("This report is on its way already, or has arrived.")
    record(Verb.RETRY, dispatch.report, actor=actor, detail=f"to {dispatch.archive}")
    _deliver(dispatch)


def deliver_due():
    """Send again what has lost its worker or its message, and what an archive has not taken. Returns how many."""
    now = timezone.now()
    with every_hospital(), transaction.atomic():
        refused = Dispatch.objects.filter(
            state=DispatchState.FAILED, started_at__lt=now - PAUSE, created_at__gt=now - PATIENCE
        )
        due = [*sweep.due(Dispatch.objects.filter(state=DispatchState.WAITING)), *refused]
        for dispatch in due:
            _deliver(dispatch)
    return len(due)
