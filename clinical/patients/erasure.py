"""Erasing or anonymising a patient: decided with a reason, carried out some days later, until then to be cancelled.

What the record of access says of the patient stays: keys, people, times and verbs, no value. Backups of the database
and of the storage have their own time, which the hospital sets.
"""

import logging
import secrets
from contextlib import contextmanager
from datetime import timedelta

from django.conf import settings
from django.contrib.admin.models import LogEntry
from django.core.files.storage import storages
from django.db import IntegrityError, transaction
from django.db.models import Max, Q
from django.dispatch import Signal
from django.utils import timezone

from clinical.audit.models import ChangedValues
from clinical.audit.record import Verb, record
from clinical.growth.ages import birthday
from clinical.growth.preterm import completed_weeks
from clinical.notices.models import Notification
from clinical.patients import copies
from clinical.patients.families import child_page
from clinical.patients.models import Erasure, ErasureMode, Patient, Retention
from clinical.stored import lying_in
from clinical.studies.display import png_name
from clinical.studies.models import OcclusionMap, Radiograph, Review, State, Study
from inference.models import PENDING, Analysis, ShadowAnalysis

logger = logging.getLogger(__name__)

# For the floors above: sent inside the transaction with `patient`, `mode` (an ErasureMode) and `files`, a list to which
# they add the names of what the private storage is to let go; the other with `files` and `studies` of other patients,
# which stay, but whose film was filed there wrongly and goes.
erasing, film_going = Signal(), Signal()


NO_WORDS = {"indication": "", "notices": [], "comparison_due": False, "cancellation_reason": ""}


class StillRetained(Exception):
    """The law asks the hospital to keep the record for now."""

    def __init__(self, until):
        self.until = until

    def __str__(self):
        return (
            f"Signed reports of this patient must be kept until {self.until:%d %B %Y}. "
            "Wait until then, or say why the record may go earlier."
        )


def retained_until(patient):
    """The day until which the hospital's retention keeps the record, or None where nothing of it is signed."""
    last = patient.studies.aggregate(last=Max("reports__signed_at"))["last"]
    if last is None:
        return None
    rule = Retention.objects.filter(hospital=patient.hospital_id).first() or Retention()
    return max(birthday(timezone.localdate(last), rule.years), birthday(patient.date_of_birth, rule.until_age))


@transaction.atomic
def schedule(patient, mode, reason, actor, override=""):
    """Decide it; returns the Erasure, or the one that is scheduled already. Raises StillRetained without `override`."""
    until = retained_until(patient)
    if until and until > timezone.localdate() and not override:
        raise StillRetained(until)
    due_at = timezone.now() + timedelta(days=settings.ERASURE_WAIT_DAYS)
    decided = {"mode": mode, "reason": reason, "override": override, "requested_by": actor, "due_at": due_at}
    try:
        with transaction.atomic():
            erasure = Erasure.objects.create(
                hospital=patient.hospital, patient=patient, patient_key=patient.pk, **decided
            )
    except IntegrityError:
        return patient.erasures.scheduled().get()
    record(
        Verb.SCHEDULE_ERASURE,
        patient,
        actor=actor,
        detail=f"{mode}{', before the end of retention' if override else ''}",
    )
    return erasure


@transaction.atomic
def cancel(erasure, actor=None, detail=""):
    """Take it back. Returns whether there was something to take back."""
    scheduled = Erasure.objects.scheduled().filter(pk=erasure.pk)
    if not scheduled.update(cancelled_at=timezone.now(), cancelled_by=actor):
        return False
    record(Verb.CANCEL_ERASURE, erasure.patient, actor=actor, detail=detail)
    return True


def carry_out_due():
    """Carry out what is due, and delete the files of what was. Returns the number of patients.

    One that fails is tried again with the next call, and keeps none of the others waiting.
    """
    number = 0
    for key in Erasure.objects.scheduled().filter(due_at__lte=timezone.now()).values_list("pk", flat=True):
        with _going_on(key):
            number += carry_out(key)
    for erasure in Erasure.objects.filter(done_at__isnull=False).exclude(files=[]):
        with _going_on(erasure.pk):
            for name in [*erasure.files, *_beside(erasure.files)]:
                storages["private"].delete(name)
            Erasure.objects.filter(pk=erasure.pk).update(files=[])
    return number


@contextmanager
def _going_on(key):
    try:
        yield
    except Exception as error:
        # Without the error's own words, which may quote the record.
        logger.error("Erasure %s: %s", key, type(error).__name__)


def _beside(names):
    """What a write that was cut off or came second left beside a picture, its hash in front of the name, too.

    Not asked for while an erasure is carried out: the folders hold all pictures of the hospital, and rows are locked.
    """
    pictures = tuple(name.removesuffix(".png") for name in names if name.startswith(("radiographs/", "display/")))
    folders = {name.rpartition("/")[0] for name in pictures}
    return [name for folder in folders for name in lying_in(folder) if name.startswith(pictures)]


@transaction.atomic
def carry_out(key):
    """Returns whether it was: not while a worker reads a radiograph, nor where a report was signed meanwhile."""
    erasure = Erasure.objects.select_for_update().scheduled().filter(pk=key).first()
    if erasure is None:
        return False
    patient = Patient.objects.select_for_update().get(pk=erasure.patient_id)
    if patient.studies.filter(Q(state__in=PENDING) | Q(reanalysis__isnull=False)).exists():
        return False
    # The reason to erase before the end of retention was given without knowing of this report.
    signed_meanwhile = patient.studies.filter(reports__signed_at__gt=erasure.requested_at).exists()
    until = retained_until(patient)
    if signed_meanwhile or (until and until > timezone.localdate() and not erasure.override):
        cancel(erasure, detail="a report was signed meanwhile")
        return False
    files = []
    erasing.send(Erasure, patient=patient, mode=erasure.mode, files=files)
    analyses = _analyses(Study.objects.filter(patient=patient))
    _forget_family(patient)
    _let_pictures_go(patient, analyses, files)
    record(Verb(erasure.mode), patient)
    if erasure.mode == ErasureMode.ERASE:
        _erase(patient, analyses)
    else:
        _anonymise(patient)
    ChangedValues.objects.filter(event__patient_key=str(erasure.patient_key)).delete()
    acts = LogEntry.objects.filter(content_type__app_label="patients", object_id=str(erasure.patient_key))
    acts.update(object_repr="", change_message="")
    Erasure.objects.filter(pk=key).update(done_at=timezone.now(), files=sorted({*files} - {""}))
    return True


def _analyses(studies):
    """Keys of all their analyses, those that were replaced too."""
    keys = set(studies.values_list("analysis", flat=True))
    while more := set(
        Analysis.objects.filter(Q(next__in=keys) | Q(previous__in=keys))
        .exclude(pk__in=keys)
        .values_list("pk", flat=True)
    ):
        keys |= more
    return keys


def _forget_family(patient):
    Notification.objects.about(child_page(patient.pk)).delete()  # read ones too: each names the patient's key
    patient.guardianships.all().delete()
    patient.family_invitations.all().delete()


def _let_pictures_go(patient, analyses, files):
    """Name the files, and leave rows that lead to none.

    A picture that counts for another patient, too, is theirs to keep, and so is one that was filed here wrongly; of one
    that was filed there wrongly nothing stays there.
    """
    theirs = Study.objects.filter(patient=patient)
    # Locked: one that is filed for somebody else at this moment is theirs too, or gone before it is.
    list(Radiograph.objects.filter(pk__in=theirs.values("radiograph")).order_by("pk").select_for_update())
    others = Study.objects.exclude(patient=patient).filter(radiograph__in=theirs.values("radiograph"))
    counting = theirs.exclude(state=State.CANCELLED).values("radiograph")
    filed_here_wrongly = ~Q(radiograph__in=counting) & Q(patient__anonymised_at=None)
    kept = others.filter(~Q(state=State.CANCELLED) | filed_here_wrongly).values("radiograph")
    own = list(Radiograph.objects.filter(studies__patient=patient).exclude(pk__in=kept).distinct())
    keys = list(others.filter(radiograph__in=own).values_list("pk", flat=True))
    filed_there_wrongly = Study.objects.filter(pk__in=keys)
    analyses = analyses | _analyses(filed_there_wrongly)
    film_going.send(Erasure, studies=filed_there_wrongly, files=files)
    Review.objects.filter(study__in=filed_there_wrongly).update(impression="", comment="")
    filed_there_wrongly.update(**NO_WORDS)
    for radiograph in own:
        files += [radiograph.name, png_name(radiograph)]
        # Another hash too: the same file, uploaded again, is to be stored anew.
        gone = {"name": f"removed/{radiograph.pk}", "sha256": secrets.token_hex(32)}
        Radiograph.objects.filter(pk=radiograph.pk).update(**gone)
    rows = Analysis.objects.filter(pk__in=analyses)
    for analysis in rows:
        files += [analysis.heat_map, *lying_in(f"heat-maps/{analysis.pk}")]
    rows.update(heat_map="", radiograph="")
    OcclusionMap.objects.filter(analysis__in=analyses).delete()
    ShadowAnalysis.objects.filter(analysis__in=analyses).update(radiograph="")
    for copy in patient.exports.all():
        files += [copy.file, *lying_in(copies.folder(copy.pk))]
    patient.exports.all().delete()


def _anonymise(patient):
    """Ages to the month, the gestational one to the week, readings, states, times stay: the statistics name nobody."""
    patient.mrn = f"ANON-{secrets.token_hex(4).upper()}"
    patient.family_name, patient.given_name, patient.notes = "Anonymised", "", ""
    patient.date_of_birth = patient.date_of_birth.replace(day=1)
    patient.gestational_age = completed_weeks(patient.gestational_age)
    patient.mother_height_cm = patient.father_height_cm = None
    patient.anonymised_at = timezone.now()
    patient.archived_at = patient.archived_at or patient.anonymised_at
    patient.save()
    patient.former_measurements.all().delete()
    studies = Study.objects.filter(patient=patient)
    for review in Review.objects.filter(study__in=studies).select_related("study__patient"):
        review.age_months = review.study.chronological_age_months  # to the day it would tell the date of birth
        review.gestational_age = completed_weeks(review.gestational_age)
        review.impression = review.comment = ""
        review.save()
    studies.update(**NO_WORDS, urgent=False)  # nobody reads them any more


def _erase(patient, analyses):
    """Whatever this does not know still refers to the patient, and undoes it all."""
    studies = Study.objects.filter(patient=patient)
    radiographs = list(studies.values_list("radiograph", flat=True))
    reviews = list(Review.objects.filter(study__in=studies).values_list("pk", flat=True))
    studies.update(review=None)
    # Studies and their readings name one another, as analyses do; the database asks at the end, Django at each step.
    for rows in (
        Review.objects.filter(pk__in=reviews),
        studies,
        ShadowAnalysis.objects.filter(analysis__in=analyses),
        Analysis.objects.filter(pk__in=analyses),
        patient.measurements.all(),
        patient.former_measurements.all(),
    ):
        rows._raw_delete(using=rows.db)
    Radiograph.objects.filter(pk__in=radiographs, studies=None).delete()
    patient.delete()
