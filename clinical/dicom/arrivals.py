"""Films that come by themselves: each is filed for the patient whom its header names beyond doubt, or waits."""

import uuid
from datetime import timedelta

from django.core.exceptions import ValidationError
from django.core.files.storage import storages
from django.db import transaction
from django.db.models import Q
from django.dispatch import receiver
from django.utils import timezone

from clinical.accounts.scope import every_hospital
from clinical.audit.record import Verb, record
from clinical.dicom.models import IN_ANOTHER_FILE, Arrival
from clinical.dicom.queries import other_files
from clinical.patients.erasure import erasing
from clinical.studies import bulk, intake, workflow
from clinical.studies.display import png_name
from clinical.studies.forms import check_study_date
from clinical.studies.models import Radiograph, State
from clinical.studies.upload import Unplaced
from clinical.turns import take_turn

DISCARDED_DAYS = 30
"""For so long a discarded film can be brought back."""


def take(sender, data, sop_instance_uid):
    """Keep the DICOM file `data` that `sender` has sent. Returns its Study, or the Arrival that waits in place of one.

    The same film sent again is the same study. Raises UnreadableRadiograph or StorageFull; then nothing is kept.
    """
    radiograph, picture = intake.store(sender.hospital, data)
    submission = uuid.uuid5(uuid.NAMESPACE_OID, sop_instance_uid)
    with transaction.atomic():
        take_turn("film", sender.hospital_id, submission)  # with whoever brings another file of the same
        try:
            with transaction.atomic():
                study = _file(sender, radiograph, picture, submission)
                radiograph.arrivals.all().delete()  # it may have waited for its patient until now
                return study
        except workflow.DuplicateRadiograph:
            why = {"for_another": True, "doubts": ""}
        except (Unplaced, workflow.WrongState) as refused:
            why = {"for_another": False, "doubts": str(refused)}
        return _wait(sender, radiograph, picture.dicom, submission, why)


def _file(sender, radiograph, picture, submission):
    """The study of the film. Raises DuplicateRadiograph when it is another patient's, Unplaced or WrongState."""
    filed = list(radiograph.studies.all())
    counting = [study for study in filed if study.state != State.CANCELLED]
    keys = [submission]
    for _ in filed:
        keys.append(workflow.anew(keys[-1]))
    for study in counting:
        if study.submission in keys:  # somebody may have filed it for another than the header names
            return study
    if filed and not counting:
        raise Unplaced("This film was filed before, and its study was cancelled or withdrawn.")
    # A PACS that forwards what the modality has sent, too, changes the header or the transfer syntax.
    studies, films = other_files(submission, radiograph)
    if studies.exists():
        raise Unplaced(IN_ANOTHER_FILE)
    if films.exists():
        raise Unplaced("This film waits already, from a file with another header or compression.")
    patient, acquired_on = _place(picture)
    notices = intake.mismatches(picture, patient, acquired_on)
    if doubts := [notice for notice in notices if notice != intake.RIGHT_HAND]:  # which doctors are told of anyway
        raise Unplaced(" ".join(doubts))
    try:
        return workflow.submit(
            patient=patient,
            radiograph=radiograph,
            acquired_on=acquired_on,
            indication="",
            notices=notices,
            submission=submission,
            actor=sender.membership.user,
            via=f"by {sender.name}",
        )
    except workflow.DuplicateRadiograph as duplicate:
        if duplicate.same_patient:
            return duplicate.earlier
        raise


def _place(picture):
    """The (patient, study date) that the header gives; raises Unplaced."""
    if not picture.dicom.patient_id:
        raise Unplaced("The file names no patient ID.")
    patient = bulk.patient_of(picture, "", "")
    acquired_on = intake.study_date(picture, None)
    try:
        return patient, check_study_date(acquired_on, patient)
    except ValidationError as error:
        raise Unplaced(error.message) from error


def _wait(sender, radiograph, facts, submission, why):
    own = {"hospital": sender.hospital, "radiograph": radiograph}
    discarded = Arrival.objects.filter(**own, discarded_at__isnull=False).exists()
    arrival, is_new = Arrival.objects.update_or_create(
        **own,
        defaults={
            "sender": sender,
            "submission": submission,
            "mrn": facts.patient_id or "",
            "family_name": facts.family_name or "",
            "given_name": facts.given_name or "",
            "sex": facts.patient_sex or "",
            "date_of_birth": facts.birth_date,
            "acquired_on": facts.study_date,
            "discarded_at": None,  # sent again after it was discarded, it is meant
            "discarded_by": None,
            **why,
        },
    )
    verb = Verb.CREATE if is_new else Verb.RESTORE if discarded else Verb.EDIT
    record(verb, arrival, actor=sender.membership.user, detail=f"{'' if is_new else 'sent again '}by {sender.name}")
    return arrival


@transaction.atomic
def discard(arrival, actor):
    """Take a film that is nobody's off the list. Returns whether it was there."""
    waiting = Arrival.objects.filter(pk=arrival.pk, discarded_at=None)
    if done := waiting.update(discarded_at=timezone.now(), discarded_by=actor):
        record(Verb.REMOVE, arrival, actor=actor)
    return bool(done)


@transaction.atomic
def restore(arrival, actor):
    discarded = Arrival.objects.filter(pk=arrival.pk, discarded_at__isnull=False)
    if done := discarded.update(discarded_at=None, discarded_by=None):
        record(Verb.RESTORE, arrival, actor=actor)
    return bool(done)


def remove_discarded():
    """Let go of what was discarded long ago, its picture too. Returns the number of films."""
    with every_hospital():
        old = Arrival.objects.filter(discarded_at__lt=timezone.now() - timedelta(days=DISCARDED_DAYS))
        return sum(_remove(old.filter(pk=key)) for key in old.values_list("pk", flat=True))


@transaction.atomic
def _remove(old):
    """Remove one film, with its files inside the transaction: what the storage does not let go of keeps its row.

    Returns whether it was still there and discarded.
    """
    film = old.select_for_update(of=("self",)).first()
    if film is None:
        return False
    record(Verb.REMOVE, film, detail="for good")
    for name in _forget(old):
        storages["private"].delete(name)
    return True


@transaction.atomic
def _forget(arrivals):
    """Delete the rows, and of pictures that no study holds theirs; returns the names of their files."""
    radiographs = list(arrivals.values_list("radiograph", flat=True))
    arrivals.delete()
    nobodys = Radiograph.objects.filter(pk__in=radiographs, studies=None)
    names = [name for radiograph in nobodys for name in (radiograph.name, png_name(radiograph))]
    nobodys.delete()
    return names


@receiver(workflow.refiled)
def wait_no_more(sender, study, **kwargs):
    """Somebody has said whose film it is."""
    Arrival.objects.filter(radiograph=study.radiograph_id).delete()


@receiver(erasing)
def let_go(sender, patient, files, **kwargs):
    """What waits under the patient's MRN or is a picture of theirs goes, too, while the record still says so."""
    theirs = Q(mrn__iexact=patient.mrn) | Q(radiograph__studies__patient=patient)
    keys = Arrival.objects.filter(theirs, hospital=patient.hospital_id).values_list("pk", flat=True)
    files += _forget(Arrival.objects.filter(pk__in=list(keys)))
