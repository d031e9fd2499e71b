"""The life of an Analysis, and of a ShadowAnalysis, which nobody but the workers moves: one function a verb.

Every change is one conditional UPDATE, so that of two workers, two clicks or two deliveries exactly one wins on
any database. Whoever comes second gets WrongState or LeaseLost and must leave things as they are.
`analysis_changed` tells the floors above, inside the same transaction.
"""

from datetime import timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import F, Q
from django.dispatch import Signal
from django.utils import timezone

from clinical import sweep
from clinical.accounts.scope import every_hospital
from clinical.audit.record import Verb, record
from inference.models import Analysis, ShadowAnalysis, State

analysis_changed = Signal()


class WrongState(Exception):
    """The verb does not fit the state. Its text is for the user."""


class LeaseLost(Exception):
    """Another worker has taken the analysis over, or it was ended meanwhile: drop the result."""


def _lease():
    return timezone.now() + timedelta(seconds=settings.INFERENCE_LEASE_SECONDS)


def _changed(run, verb, detail=""):
    if isinstance(run, Analysis):  # of the other kind nobody is told
        record(verb, run, detail=detail)
        analysis_changed.send(Analysis, analysis=run)
    return run


def deliver(analysis):
    """Send the wake-up call to the workers again, once the transaction is safe in the database."""
    Analysis.objects.filter(pk=analysis.pk).update(delivered_at=timezone.now())
    _wake(analysis)


def _wake(analysis):
    from inference.tasks import analyse

    kwargs = {"analysis_id": str(analysis.pk), "hospital_id": analysis.hospital_id}
    # A broker that is down must not fail the request: the sweep delivers later what is in the database.
    transaction.on_commit(lambda: analyse.apply_async(kwargs=kwargs), robust=True)


@transaction.atomic
def enqueue(hospital, radiograph, sex, previous=None, urgent=False):
    """Queue the picture `radiograph` (a name in the private storage) and return the new Analysis."""
    analysis = Analysis.objects.create(
        hospital=hospital,
        radiograph=radiograph,
        sex=sex,
        previous=previous,
        urgent=urgent,
        delivered_at=timezone.now(),
    )
    _wake(analysis)
    return analysis


def first_urgent():
    """The urgent analysis that has waited longest, or None."""
    return Analysis.objects.filter(state=State.QUEUED, urgent=True).order_by("queued_at").first()


@transaction.atomic
def start(key, worker, kind=Analysis):
    """Claim a queued run of that kind for `worker`, or raise WrongState when somebody has it or it is over."""
    claimed = kind.objects.filter(pk=key, state=State.QUEUED).update(
        state=State.ANALYSING,
        attempt=F("attempt") + 1,
        worker=worker,
        started_at=timezone.now(),
        lease_until=_lease(),
    )
    if not claimed:
        raise WrongState("This analysis is not waiting.")
    run = kind.objects.get(pk=key)
    return _changed(run, Verb.START, detail=f"attempt {run.attempt}")


def _held(run):
    return type(run).objects.filter(pk=run.pk, state=State.ANALYSING, attempt=run.attempt)


def extend_lease(run):
    """Say that the worker is alive. Raises LeaseLost when the run is no longer its own."""
    if not _held(run).update(lease_until=_lease()):
        raise LeaseLost


def _end(run, verb, state, detail="", **fields):
    if not _held(run).update(state=state, finished_at=timezone.now(), lease_until=None, **fields):
        raise LeaseLost
    run.refresh_from_db()
    return _changed(run, verb, detail=detail)


@transaction.atomic
def finish(run, **result):
    """Keep the `result`: model_version, bone_age_months, low_months, high_months, regions, heat_map, milliseconds."""
    return _end(run, Verb.FINISH, State.ANALYSED, **result)


@transaction.atomic
def reject(run, code, reason, **fields):
    """The picture cannot be read; `reason` tells a technician what to do."""
    return _end(run, Verb.REJECT, State.REJECTED, code, reason_code=code, reason=reason, **fields)


@transaction.atomic
def fail(run, code, reason):
    """The machinery broke; `reason` is for the user, the traceback is in the log."""
    return _end(run, Verb.FAIL, State.FAILED, code, reason_code=code, reason=reason)


@transaction.atomic
def cancel(analysis):
    """Take a queued analysis back. The caller, who knows on whose behalf, records it."""
    cancelled = Analysis.objects.filter(pk=analysis.pk, state=State.QUEUED).update(
        state=State.CANCELLED, finished_at=timezone.now()
    )
    if not cancelled:
        raise WrongState("Only a study that is still queued can be cancelled; this one has moved on.")
    analysis.refresh_from_db()
    analysis_changed.send(Analysis, analysis=analysis)


@transaction.atomic
def retry(analysis, sex):
    """Queue the same picture again. Returns the new Analysis; the old one is kept as its `previous`.

    The caller, who knows on whose behalf, records it.
    """
    analysis = Analysis.objects.select_for_update(of=("self",)).get(pk=analysis.pk)
    if analysis.state not in (State.FAILED, State.REJECTED) or hasattr(analysis, "next"):
        raise WrongState("Only a failed or rejected study can be tried again; this one has moved on.")
    return enqueue(analysis.hospital, analysis.radiograph, sex, previous=analysis, urgent=analysis.urgent)


@transaction.atomic
def reanalyse(analysis, sex):
    """Queue the same picture for the version that is active now. Returns the new Analysis; `analysis` stays a result.

    The caller, who knows on whose behalf, records it, and lets nobody ask twice at once.
    """
    latest = analysis
    while following := Analysis.objects.filter(previous=latest).first():
        latest = following
    return enqueue(analysis.hospital, analysis.radiograph, sex, previous=latest, urgent=analysis.urgent)


def requeue_due():
    """Queue again what its worker has lost, and deliver again what the broker has lost.

    The database is the truth: this finds every study that a dead worker or an emptied broker would forget.
    Returns the number of analyses delivered; the shadow run comes after them.
    """
    from inference import shadow

    now = timezone.now()
    unheard_since = now - timedelta(seconds=settings.INFERENCE_LEASE_SECONDS)
    delivered = 0
    with every_hospital():
        lost = Q(state=State.ANALYSING, lease_until__lt=now)
        for analysis in Analysis.objects.filter(lost).order_by("queued_at"):
            if _requeue(analysis):
                deliver(analysis)
                delivered += 1
        for analysis in sweep.due(Analysis.objects.filter(state=State.QUEUED), unheard_since):
            deliver(analysis)
            delivered += 1
        for run in ShadowAnalysis.objects.filter(lost):
            _requeue(run)
        # Whoever has read one calls for the next; calls of each sweep beside those would all lie before a new study.
        if not ShadowAnalysis.objects.filter(started_at__gte=unheard_since).exists():
            shadow.wake()
    return delivered


@transaction.atomic
def _requeue(run):
    """Queue what its worker has lost, or give it up after too many attempts. Whether it waits now."""
    waits = run.attempt < settings.INFERENCE_MAX_ATTEMPTS
    if waits:
        verb, detail, changes = Verb.REQUEUE, f"after attempt {run.attempt}", {"state": State.QUEUED}
    else:
        reason = (
            f"The analysis was started {run.attempt} times and its worker was lost each time. "
            "Try again later, or ask the platform's staff to look at the workers."
        )
        verb, detail = Verb.FAIL, "worker-lost"
        changes = {"state": State.FAILED, "finished_at": timezone.now(), "reason_code": detail, "reason": reason}
    # A worker that was only slow may have shown itself, or brought its result, since the sweep looked.
    if not _held(run).filter(lease_until=run.lease_until).update(lease_until=None, **changes):
        return False
    run.refresh_from_db()
    _changed(run, verb, detail)
    return waits
