"""What people do with a study: one function a verb. The worker's verbs are in `inference.workflow`."""

import uuid

from django.db import transaction
from django.dispatch import Signal
from django.utils import timezone

from clinical.accounts.models import Role
from clinical.accounts.permissions import CLINICAL_ROLES
from clinical.audit.record import Verb, record
from clinical.patients.models import Patient
from clinical.studies.comparison import compare_anew, is_described_alike
from clinical.studies.doubts import doubts
from clinical.studies.judgement import judge
from clinical.studies.models import SIGNED, TROUBLE, Radiograph, State, Study
from inference import registry
from inference import workflow as inference
from inference.models import PENDING, Analysis
from inference.workflow import WrongState

CLINICIANS, DOCTOR = CLINICAL_ROLES, (Role.DOCTOR,)
WITHDRAWN_BY = dict.fromkeys(TROUBLE, CLINICIANS) | dict.fromkeys((State.ANALYSED, State.REVIEWED), DOCTOR)
# Verb -> state it starts from -> roles that may.
TABLE = {
    "cancel": {State.QUEUED: CLINICIANS},
    "withdraw": WITHDRAWN_BY,
    "refile": {State.QUEUED: CLINICIANS} | WITHDRAWN_BY,
    "retry": dict.fromkeys(TROUBLE, CLINICIANS),
    # Of what was withdrawn, too: a date that was typed wrongly there would stand in the way of the record's correction.
    "correct": dict.fromkeys((*PENDING, *TROUBLE, State.ANALYSED, State.REVIEWED, State.CANCELLED), CLINICIANS),
    "set_urgency": dict.fromkeys((*PENDING, *TROUBLE, State.ANALYSED, State.REVIEWED), CLINICIANS),
    "reanalyse": dict.fromkeys((State.ANALYSED, State.REVIEWED), DOCTOR),
    "review": dict.fromkeys((State.ANALYSED, State.REJECTED, State.REVIEWED), DOCTOR),
    "sign": {State.REVIEWED: DOCTOR},
    "release": {State.SIGNED: DOCTOR},
    "amend": dict.fromkeys(SIGNED, DOCTOR),
}
CORRECTED = ("acquired_on", "indication")
OF_ANONYMISED = {"cancel", "withdraw"}  # the verbs that add nothing to a record
MOVED_ON = "The study has moved on meanwhile; look at where it stands now."
ANONYMISED = "The record is anonymised and takes no new entry: nothing was saved."
ARCHIVED = "This patient is archived. Restore the record before you upload."
PICTURE_GONE = "The stored picture was removed meanwhile, with another record. Upload the file again."
BEFORE_BIRTH = "The date of birth was corrected meanwhile, to a day after this study date."

# For the floors above; sent inside the transaction of the verb, with `study` and `actor`, `amended` with `reason`, too.
urgency_set, refiled, reviewed, withdrawn, signed, released, amended = (Signal() for _ in range(7))


class DuplicateRadiograph(Exception):
    """The same picture is in the hospital already. Its text asks whether that is meant."""

    def __init__(self, radiograph, earlier, same_patient):
        self.radiograph, self.earlier, self.same_patient = radiograph, earlier, same_patient

    def __str__(self):
        if self.same_patient:
            day = f"{self.earlier.acquired_on:%d %B %Y}"
            return f"This very picture is filed for this patient already, in the study of {day}. Submit it again?"
        return "This very picture is filed for another patient of the hospital. Is this the right child?"


class Doubtful(Exception):
    """A reading that asks once whether child, sex and date are right. `reasons` are sentences."""

    def __init__(self, reasons):
        super().__init__(" ".join(reasons))
        self.reasons = reasons


def anew(submission):
    """The key of a study that is made of the same submission once the one before was taken back."""
    return uuid.uuid5(submission, "again")


def permitted(study, membership):
    """The verbs that `membership` may use on `study` now."""
    verbs = {verb for verb, states in TABLE.items() if membership.role in states.get(study.state, ())}
    if study.patient.anonymised_at:
        return verbs & OF_ANONYMISED
    return verbs if "reanalyse" not in verbs or outdated(study) else verbs - {"reanalyse"}


def outdated(study):
    """Whether the model would read `study` otherwise now, and is not at it already.

    Another version of it serves than the one that has, or the record's sex was corrected since.
    """
    version = study.analysis.model_version_id
    if version is None or study.reanalysis_id is not None:
        return False
    serving = registry.active()
    return serving is not None and (serving.pk != version or not study.estimate_is_of_this_sex)


def _lock_record(patient_id, verb):
    """The record of a study as it stands. An anonymisation or a correction that comes now waits, and finds what is
    added. Raises WrongState after an anonymisation, unless `verb` is one of OF_ANONYMISED.
    """
    patient = Patient.objects.select_for_update(no_key=True).filter(pk=patient_id).first()
    if patient is None or (patient.anonymised_at and verb not in OF_ANONYMISED):
        raise WrongState(ANONYMISED)
    return patient


def _move(study, verb, to, **conditions):
    """Change the state of a study whose record is locked by then."""
    _lock_record(study.patient_id, verb)
    _set_state(study, verb, to, **conditions)


def _set_state(study, verb, to, **conditions):
    """One conditional UPDATE, so that of two doctors or two clicks one wins."""
    rows = Study.objects.filter(pk=study.pk, state__in=TABLE[verb], **conditions)
    if not rows.update(state=to):
        raise WrongState(MOVED_ON)
    study.refresh_from_db()


@transaction.atomic
def submit(
    *,
    patient,
    radiograph,
    acquired_on,
    indication,
    notices,
    submission,
    actor,
    urgent=False,
    confirmed=False,
    via="",
):
    """Create the study of `radiograph` and queue its analysis; the same sent twice gives the first study again.

    `via`: for the record, what sent it in the name of `actor`.

    Raises DuplicateRadiograph when the picture belongs to an earlier submission, unless `confirmed`; always when that
    has the same key and says something else. A cancelled study is none. Raises WrongState when the record, as it
    stands by now, takes no study of that day.
    """
    compared, patient = patient, _lock_record(patient.pk, "submit")
    if patient.archived_at:
        raise WrongState(ARCHIVED)
    if acquired_on < patient.date_of_birth:
        raise WrongState(BEFORE_BIRTH)
    # Locked: of a double click, or of one file dropped twice, the second finds the study of the first.
    if not Radiograph.objects.select_for_update().filter(pk=radiograph.pk, name=radiograph.name).exists():
        raise WrongState(PICTURE_GONE)
    filed = list(radiograph.studies.all())
    own = [study for study in filed if study.patient_id == patient.pk]
    sent = {study.submission: study for study in own}
    while (again := sent.get(submission)) and again.state == State.CANCELLED:
        submission = anew(submission)  # a key makes one study
    if again and (again.acquired_on, again.indication) == (acquired_on, indication) and (again.urgent or not urgent):
        return again
    if again or not confirmed:
        # Those of the patient first: of two questions theirs is the one to ask.
        earlier = next((study for study in [*own, *filed] if study.state != State.CANCELLED), None)
        if earlier:
            raise DuplicateRadiograph(radiograph, earlier, same_patient=earlier in own)
    study = Study(
        hospital=patient.hospital,
        patient=patient,
        radiograph=radiograph,
        analysis=inference.enqueue(patient.hospital, radiograph.name, patient.sex, urgent=urgent),
        sex=patient.sex,
        acquired_on=acquired_on,
        indication=indication,
        urgent=urgent,
        notices=notices,
        submission=submission,
        submitted_by=actor,
    )
    study.save(force_insert=True)
    taken_back = radiograph.studies.filter(state=State.CANCELLED)
    taken_back.exclude(patient=patient).update(film_of_another=True)
    if not is_described_alike(patient, compared):
        compare_anew(Study.objects.filter(pk=study.pk))
    record(Verb.SUBMIT, study, actor=actor, detail=via)
    return study


@transaction.atomic
def retry(study, actor):
    """Analyse the picture once more. Raises WrongState unless the study is failed or rejected."""
    _move(study, "retry", State.QUEUED)
    study.analysis = inference.retry(study.analysis, study.sex)
    study.save(update_fields=["analysis"])
    record(Verb.RETRY, study, actor=actor)


@transaction.atomic
def correct(study, actor, *, seen, acquired_on, indication, notices):
    """Put the study date and the indication right, in sight of those in `seen`; `notices` are those of the new date.

    Raises WrongState for a signed study, which is amended first, when others stand there by now, and for a day before
    the birth. A reading made before is judged anew, and read again before it is signed (`Study.corrections`).
    """
    patient = _lock_record(study.patient_id, "correct")
    if acquired_on < patient.date_of_birth:
        raise WrongState(BEFORE_BIRTH)
    before = dict(zip(CORRECTED, seen, strict=True))
    after = dict(zip(CORRECTED, (acquired_on, indication), strict=True))
    rows = Study.objects.filter(pk=study.pk, state__in=TABLE["correct"])
    stands = rows.select_for_update().values(*CORRECTED).first()
    if stands is None:
        raise WrongState(MOVED_ON)
    if stands != before:
        raise WrongState("Somebody has corrected this study meanwhile; look at what stands there now.")
    rows.update(**after, notices=notices)
    if not is_described_alike(patient, study.patient):
        compare_anew(rows)
    changes = {name: (before[name], after[name]) for name in CORRECTED if before[name] != after[name]}
    if changes:
        judge(rows)
        record(Verb.EDIT, study, actor=actor, detail=", ".join(changes), changes=changes)
    study.refresh_from_db()


@transaction.atomic
def set_urgency(study, actor, urgent):
    """Have the study read before all that is not urgent, by the model and by doctors, or in its turn again.

    Raises WrongState once nobody has to read it any more.
    """
    _lock_record(study.patient_id, "set_urgency")
    study.refresh_from_db()  # it may have been tried again meanwhile
    # Before the study, as in `cancel`.
    Analysis.objects.filter(pk__in=[study.analysis_id, study.reanalysis_id]).update(urgent=urgent)
    rows = Study.objects.filter(pk=study.pk, state__in=TABLE["set_urgency"])
    if not rows.exists():
        raise WrongState(MOVED_ON)
    if rows.exclude(urgent=urgent).update(urgent=urgent):
        study.refresh_from_db()
        record(Verb.EDIT, study, actor=actor, detail="urgent", changes={"urgent": (not urgent, urgent)})
        urgency_set.send(Study, study=study, actor=actor)


@transaction.atomic
def reanalyse(study, actor):
    """Let the version of the model that serves now read the picture too. What there is stands until that succeeds.

    Raises WrongState unless it was another version that read it, or as that of a child of the other sex.
    """
    _lock_record(study.patient_id, "reanalyse")
    rows = Study.objects.filter(pk=study.pk, state__in=TABLE["reanalyse"], analysis=study.analysis, reanalysis=None)
    # Locked: of two at once the second finds a reanalysis.
    if not rows.select_for_update(of=("self",)).first():
        raise WrongState(MOVED_ON)
    if not outdated(study):
        raise WrongState("The version of the model that serves now has read this study already.")
    study.reanalysis = inference.reanalyse(study.analysis, study.sex)
    study.save(update_fields=["reanalysis"])
    record(Verb.REANALYSE, study, actor=actor)


@transaction.atomic
def cancel(study, actor, reason=""):
    """Take the study back before a worker has begun. Raises WrongState afterwards."""
    _lock_record(study.patient_id, "cancel")
    # Before the study, as a worker does that begins: else each waits for what the other has.
    Analysis.objects.select_for_update().get(pk=study.analysis_id)
    _take_back(study, "cancel", actor, reason)
    inference.cancel(study.analysis)


@transaction.atomic
def withdraw(study, actor, reason):
    """Take a film of the wrong child or day out of the record: it stays to be looked at, and counts for nothing.

    Raises WrongState for a signed study, which is amended first, and when the study has moved on since it was
    loaded: who may withdraw it depends on where it stands.
    """
    _take_back(study, "withdraw", actor, reason, state=study.state)
    judge(Study.objects.filter(pk=study.pk))
    withdrawn.send(Study, study=study, actor=actor)


@transaction.atomic
def refile(study, actor, *, patient, acquired_on, indication, notices, reason):
    """File the film of `study`, which is of the wrong child, for `patient`; returns the new study, which is queued.

    The old one is cancelled or withdrawn. Raises WrongState as these and `submit` do, and when the picture is filed
    for `patient` already.
    """
    # In one order, so that of two films that change places neither waits for the other.
    both = Patient.objects.select_for_update(no_key=True).filter(pk__in=[study.patient_id, patient.pk])
    list(both.order_by("pk"))
    _lock_record(study.patient_id, "refile")
    (cancel if study.state == State.QUEUED else withdraw)(study, actor, reason)
    if study.radiograph.studies.filter(patient=patient).exclude(state=State.CANCELLED).exists():
        raise WrongState("This very picture is filed for that patient already. Withdraw the study here instead.")
    new = submit(
        patient=patient,
        radiograph=study.radiograph,
        acquired_on=acquired_on,
        indication=indication,
        notices=notices,
        urgent=study.urgent,
        submission=study.submission,  # so that the film, sent again, is known
        actor=actor,
        confirmed=True,
        via="moved from another patient",
    )
    refiled.send(Study, study=new, actor=actor)
    return new


def _take_back(study, verb, actor, reason, **conditions):
    """End the study, and keep who did it when and why; of an anonymised record, which takes no new text, not why."""
    _move(study, verb, State.CANCELLED, **conditions)
    study.cancelled_by, study.cancelled_at = actor, timezone.now()
    study.cancellation_reason = "" if study.patient.anonymised_at else reason
    study.save(update_fields=["cancelled_by", "cancelled_at", "cancellation_reason"])
    record(Verb(verb), study, actor=actor, changes=_why(study.cancellation_reason))


def _why(reason):
    """A reason as the record of access keeps it: beside the event, which lists show to others."""
    return {"reason": ("", reason)} if reason else None


@transaction.atomic
def review(study, doctor, *, seen, method, bone_age_months, impression, comment="", confirmed=False):
    """Keep the doctor's reading, made in sight of the review whose key is `seen` (None: of no review).

    Raises WrongState, also when another doctor was faster, or Doubtful unless `confirmed`.
    """
    _move(study, "review", State.REVIEWED, review=seen, analysis=study.analysis)
    reasons = doubts(study, bone_age_months)
    if reasons and not confirmed:
        raise Doubtful(reasons)
    study.review = study.judged(bone_age_months, doctor=doctor, method=method, impression=impression, comment=comment)
    study.review.save(force_insert=True)
    study.sds = study.assessment.sds
    study.save(update_fields=["review", "sds"])
    record(Verb.REVIEW, study, actor=doctor, detail=method)
    reviewed.send(Study, study=study, actor=doctor)


@transaction.atomic
def sign(study, doctor, seen):
    """Put the doctor's name under the review whose key is `seen`.

    Raises WrongState when another one counts now, or it was judged by what has been corrected since.
    """
    _lock_record(study.patient_id, "sign")
    study.refresh_from_db()  # now that no correction can come in between
    if study.corrections:
        raise WrongState(f"Since this reading {' and '.join(study.corrections)}. Read the study again, then sign it.")
    _set_state(study, "sign", State.SIGNED, review=seen)
    record(Verb.SIGN, study, actor=doctor)
    signed.send(Study, study=study, actor=doctor)


@transaction.atomic
def release(study, doctor):
    """Let the family see the report. Listeners may raise WrongState while it is not ready."""
    _move(study, "release", State.RELEASED)
    record(Verb.RELEASE, study, actor=doctor)
    released.send(Study, study=study, actor=doctor)


@transaction.atomic
def amend(study, doctor, reason):
    """Open a signed study for another review; its report stays and is marked superseded, with the reason."""
    _move(study, "amend", State.REVIEWED)
    study.sex = study.patient.sex
    study.save(update_fields=["sex"])
    opened = Study.objects.filter(pk=study.pk)
    judge(opened)
    compare_anew(opened)
    record(Verb.AMEND, study, actor=doctor, changes=_why(reason))
    amended.send(Study, study=study, actor=doctor, reason=reason)
