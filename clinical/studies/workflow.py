"""What people do with a study: one function a verb. The worker's verbs are in `inference.workflow`."""

from django.db import IntegrityError, transaction
from django.dispatch import receiver

from clinical.accounts.permissions import CLINICAL_ROLES
from clinical.audit.record import Verb, record
from clinical.studies.models import Study
from inference import workflow as inference
from inference.models import State
from inference.workflow import WrongState

__all__ = ["DuplicateRadiograph", "WrongState", "cancel", "permitted", "retry", "submit"]

VERBS_BY_STATE = {
    State.QUEUED: {"cancel"},
    State.FAILED: {"retry"},
    State.REJECTED: {"retry"},
}


class DuplicateRadiograph(Exception):
    """The same picture is in the hospital already. Its text asks whether that is meant."""

    def __init__(self, radiograph, earlier, same_patient):
        self.radiograph, self.earlier, self.same_patient = radiograph, earlier, same_patient

    def __str__(self):
        if self.same_patient:
            day = f"{self.earlier.acquired_on:%d %B %Y}"
            return f"This very picture is filed for this patient already, in the study of {day}. Submit it again?"
        return "This very picture is filed for another patient of the hospital. Is this the right child?"


def permitted(study, membership):
    """The verbs that `membership` may use on `study` now."""
    return VERBS_BY_STATE.get(study.state, set()) if membership.role in CLINICAL_ROLES else set()


def submit(*, patient, radiograph, acquired_on, indication, notices, submission, actor, confirmed=False):
    """Create the study of `radiograph` and queue its analysis; the form sent twice gives the first study again.

    Raises DuplicateRadiograph, unless `confirmed`, when the picture belongs to an earlier submission.
    """
    again = Study.objects.filter(patient=patient, radiograph=radiograph, submission=submission).first()
    if again:
        return again
    if not confirmed:
        earlier = radiograph.studies.exclude(state=State.CANCELLED)
        own = earlier.filter(patient=patient).first()
        if own or earlier.exists():
            raise DuplicateRadiograph(radiograph, own or earlier.first(), same_patient=own is not None)
    try:
        with transaction.atomic():
            study = Study(
                hospital=patient.hospital,
                patient=patient,
                radiograph=radiograph,
                analysis=inference.enqueue(patient.hospital, radiograph.name, patient.sex),
                sex=patient.sex,
                acquired_on=acquired_on,
                indication=indication,
                notices=notices,
                submission=submission,
                submitted_by=actor,
            )
            study.save(force_insert=True)
            record(Verb.SUBMIT, study, actor=actor)
    except IntegrityError:  # The other half of a double click was faster.
        return Study.objects.get(patient=patient, radiograph=radiograph, submission=submission)
    return study


@transaction.atomic
def retry(study, actor):
    """Analyse the picture once more. Raises WrongState unless the study is failed or rejected."""
    study.analysis = inference.retry(study.analysis)
    study.state = study.analysis.state
    study.save(update_fields=["analysis", "state"])
    record(Verb.RETRY, study, actor=actor)


@transaction.atomic
def cancel(study, actor):
    """Take the study back before a worker has begun. Raises WrongState afterwards."""
    inference.cancel(study.analysis)
    study.refresh_from_db()
    record(Verb.CANCEL, study, actor=actor)


@receiver(inference.analysis_changed)
def mirror_state(sender, analysis, **kwargs):
    Study.objects.filter(analysis=analysis).update(state=analysis.state)
