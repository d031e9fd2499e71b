"""Signed reports go into the hospital's archives by themselves, as structured report and as PDF, once they are made.

As with the making of a report, the database is the truth and a task the wake-up call. An archive that is away is asked
again for some days.
"""

from datetime import timedelta

from django.db import transaction
from django.db.models import F, Q
from django.utils import timezone

from clinical import sweep
from clinical.accounts.scope import every_hospital
from clinical.audit.record import Verb, record
from clinical.dicom.models import Archive
from clinical.studies.workflow import WrongState
from reports.models import Dispatch, DispatchState

PAUSE = timedelta(minutes=15)
PATIENCE = timedelta(days=3)


@transaction.atomic
def send(report, actor=None):
    """Open a dispatch to each archive of the hospital; returns how many. The same report comes to an archive once.

    `actor`: who asked for it, where it does not follow from the signature.
    """
    opened = 0
    for archive in Archive.objects.filter(hospital=report.hospital_id):
        dispatch, is_new = Dispatch.objects.get_or_create(
            report=report, archive=archive, defaults={"hospital_id": report.hospital_id}
        )
        if is_new:
            opened += 1
            if actor:
                record(Verb.ADMINISTER, report, actor=actor, detail=f"send to {archive}")
            _deliver(dispatch)
    return opened


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


def put_on_record(dispatch):
    """Before the bytes leave; an archive that refuses a part may have kept another."""
    record(Verb.EXPORT, dispatch.report, detail=f"to {dispatch.archive}")


@transaction.atomic
def finish(dispatch):
    """It has arrived; what the archive did not take while it was away follows."""
    sent = {"state": DispatchState.SENT, "sent_at": timezone.now(), "reason": ""}
    if Dispatch.objects.filter(pk=dispatch.pk, state=DispatchState.WAITING).update(**sent):
        for refused in _refused().filter(archive=dispatch.archive):
            _deliver(refused)


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


def let_go(reports):
    """Their PDFs go: what has not arrived never will."""
    Dispatch.objects.filter(report__in=reports).exclude(state=DispatchState.SENT).delete()


def _refused():
    """What an archive has not taken, and is asked to take again."""
    now = timezone.now()
    return Dispatch.objects.filter(
        state=DispatchState.FAILED, started_at__lt=now - PAUSE, created_at__gt=now - PATIENCE
    )


def deliver_due():
    """Send again what has lost its worker or its message, and to each archive one that it has not taken, so that one
    which is away holds up no worker. Returns how many.
    """
    now = timezone.now()
    waiting, failed = Q(state=DispatchState.WAITING), Q(state=DispatchState.FAILED)
    with every_hospital(), transaction.atomic():
        lost = list(sweep.due(Dispatch.objects.filter(waiting)))
        asked = Dispatch.objects.filter(waiting | failed & Q(started_at__gte=now - PAUSE)).values("archive")
        refused = _refused().exclude(archive__in=asked).order_by("-started_at")
        # Of each archive the last, which waits longest: one that it never takes does not stand in the way of others.
        due = [*lost, *{dispatch.archive_id: dispatch for dispatch in refused}.values()]
        for dispatch in due:
            if dispatch.created_at > now - PATIENCE:
                _deliver(dispatch)
            else:
                fail(dispatch, "It was lost each time a worker began with it. Tell the platform's staff.")
    return len(due)
