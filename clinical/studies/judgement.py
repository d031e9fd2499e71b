"""Keeps `Study.sds` what the hospital's reference table says of the bone age that counts, so that lists can use it."""

from django.db import transaction
from django.db.models.signals import post_save
from django.dispatch import receiver
from django_scopes import scope

from clinical.accounts.models import Hospital
from clinical.patients.models import Patient
from clinical.studies.models import SIGNED, Study


@transaction.atomic
def judge(studies):
    """Bring the SDS of `studies`, a queryset, up to date: None without a bone age and outside the table."""
    stale = []
    studies = studies.select_related("hospital", "patient", "analysis", "review").select_for_update(of=("self",))
    for study in studies.iterator():
        sds = study.assessment and study.assessment.sds
        if sds != study.sds:
            study.sds = sds
            stale.append(study)
    Study.objects.bulk_update(stale, ["sds"], batch_size=500)


@receiver(post_save, sender=Patient)
def judge_of_patient(sender, instance, created, **kwargs):
    """A corrected date of birth is another chronological age, a corrected sex another reference.

    What is signed keeps the sex that it was signed for, until it is amended.
    """
    if not created:
        studies = Study.objects.filter(patient=instance)
        studies.exclude(state__in=SIGNED).exclude(sex=instance.sex).update(sex=instance.sex)
        judge(studies)


@receiver(post_save, sender=Hospital)
def judge_of_hospital(sender, instance, created, **kwargs):
    """Another reference table is another SDS."""
    if not created:
        with scope(hospital=instance):
            judge(Study.objects.all())
