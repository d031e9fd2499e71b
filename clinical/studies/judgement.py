"""Keeps `Study.sds` what the hospital's reference table says of the bone age that counts, so that lists can use it."""

from uuid import UUID

from django.db import transaction
from django.db.models.signals import post_save, pre_save
from django.dispatch import receiver

from clinical.accounts.models import Hospital
from clinical.patients.models import Patient
from clinical.studies.models import SIGNED, Study

FIRST = UUID(int=0)  # before all keys of studies
SLICE = 500  # judged in under a second, for which their rows are locked


def locked(studies):
    """The rows of `studies`, a queryset, locked, with what they are judged by as it stands from then on.

    In one query PostgreSQL would wait for the rows, and join what stood there before: a birth that is corrected since.
    """
    keys = list(studies.select_for_update().values_list("pk", flat=True))
    return Study.objects.filter(pk__in=keys).select_related("hospital", "patient", "analysis", "review")


@transaction.atomic
def judge(studies):
    """Bring the SDS of `studies`, a queryset, up to date: None without a bone age and outside the table."""
    stale = []
    for study in locked(studies):
        sds = study.assessment and study.assessment.sds
        if sds != study.sds:
            study.sds = sds
            stale.append(study)
    Study.objects.bulk_update(stale, ["sds"], batch_size=500)


@receiver(post_save, sender=Patient)
def judge_of_patient(sender, instance, created, **kwargs):
    """A corrected date of birth or gestational age is another age to judge by, a corrected sex another reference.

    What is signed keeps the sex that it was signed for, until it is amended.
    """
    if not created:
        studies = Study.objects.filter(patient=instance)
        studies.exclude(state__in=SIGNED).exclude(sex=instance.sex).update(sex=instance.sex)
        judge(studies)


@receiver(pre_save, sender=Hospital)
def look_at_the_table(sender, instance, **kwargs):
    """For `judge_of_hospital`: whether the database holds another reference table."""
    stored = Hospital.objects.filter(pk=instance.pk)
    instance._has_another_table = stored.exclude(bone_age_reference=instance.bone_age_reference).exists()


@receiver(post_save, sender=Hospital)
def judge_of_hospital(sender, instance, **kwargs):
    """Another reference table is another SDS: of very many studies, so workers judge them."""
    if instance._has_another_table:
        Hospital.objects.filter(pk=instance.pk).update(judged_to=FIRST)
        instance.judged_to = FIRST
        _wake()


def _wake():
    from clinical.studies.tasks import judge_due

    transaction.on_commit(judge_due.apply_async, robust=True)


def judge_due():
    """Judge the next studies of each hospital that chose another table, and pass the call on: what else is to be done
    goes in between. Safe to be called twice, and every minute, should a call be lost.
    """
    due = Hospital.objects.filter(judged_to__isnull=False)
    for hospital in due:
        _judge_slice(hospital)
    if due.all().exists():
        _wake()


@transaction.atomic
def _judge_slice(hospital):
    beyond = Study.objects.filter(hospital=hospital, pk__gt=hospital.judged_to).order_by("pk")
    keys = list(beyond.values_list("pk", flat=True)[:SLICE])
    judge(Study.objects.filter(pk__in=keys))
    # After another choice meanwhile it begins anew; of two workers with the same studies one goes on.
    as_seen = {"judged_to": hospital.judged_to, "bone_age_reference": hospital.bone_age_reference}
    Hospital.objects.filter(pk=hospital.pk, **as_seen).update(judged_to=keys[-1] if keys else None)
