"""Keeps `Study.notices` what the file of a study says otherwise than the record, when the record is corrected.

Workers decode the files, while no row is locked. What is due is noted at the study, so that a lost call loses nothing.
"""

from django.db import transaction
from django.db.models.signals import post_save, pre_save
from django.dispatch import receiver

from clinical.patients.models import Patient
from clinical.studies import intake
from clinical.studies.models import SIGNED, State, Study

COMPARED = ("sex", "date_of_birth", "mrn")


def is_described_alike(patient, other):
    """Whether two states of a record say the same of what files are compared with."""
    return all(getattr(patient, name) == getattr(other, name) for name in COMPARED)


def compare_anew(studies):
    """Have workers compare the files of `studies`, a queryset, with the record; what is signed or withdrawn stays."""
    from clinical.studies.tasks import compare_due

    due = studies.filter(radiograph__format="dicom").exclude(state__in=(*SIGNED, State.CANCELLED))
    if due.update(comparison_due=True):
        transaction.on_commit(compare_due.apply_async, robust=True)


@receiver(pre_save, sender=Patient)
def look_at_the_record(sender, instance, **kwargs):
    """For `compare_with_record`: whether the database holds something else."""
    stored = None if instance._state.adding else Patient.objects.filter(pk=instance.pk).first()
    instance._is_described_anew = stored is not None and not is_described_alike(instance, stored)


@receiver(post_save, sender=Patient)
def compare_with_record(sender, instance, **kwargs):
    if instance._is_described_anew:
        compare_anew(Study.objects.filter(patient=instance))


def compare_due():
    """Compare what is due. Safe to be called twice, and every minute, should a call be lost."""
    for study in Study.objects.filter(comparison_due=True).select_related("patient", "radiograph"):
        as_seen = {f"patient__{name}": getattr(study.patient, name) for name in COMPARED}
        notices = intake.notices_of(study, study.acquired_on)
        # After another correction meanwhile it is still due.
        rows = Study.objects.filter(pk=study.pk, comparison_due=True, acquired_on=study.acquired_on, **as_seen)
        rows.update(notices=notices, comparison_due=False)
