"""Who of a patient's family may read the reports: what becomes of it once `accounts.invitations` gave it."""

from django.db import transaction
from django.db.models import Q
from django.urls import reverse
from django.utils import timezone

from clinical.accounts import invitations
from clinical.accounts.models import Hospital
from clinical.audit.record import Verb, record
from clinical.growth.ages import birthday
from clinical.notices.models import Kind
from clinical.notices.notify import take_back
from clinical.patients.models import OF_A_CHILD, FamilyInvitation, Guardianship

OF_AGE = "the patient is of age"


@transaction.atomic
def revoke(guardianship, actor, why=""):
    """End one person's access to one patient's reports, with the next request they make."""
    detail = ", ".join(filter(None, [guardianship.relation, why]))
    record(Verb.REVOKE, guardianship, actor=actor, detail=detail)
    take_back(Kind.REPORT_READY, child_page(guardianship.patient_id), user=guardianship.user)
    guardianship.delete()


def child_page(patient_id):
    """The path of the family's page on one patient."""
    return reverse("patients:child", args=[patient_id])


@transaction.atomic
def end_with_childhood():
    """End what parents and guardians of a child may read, and may still accept, where the patient has come of age.

    Returns how many people lost their access.
    """
    ages = list(Hospital.objects.order_by().values_list("age_of_majority", flat=True).distinct())
    for invitation in _of_adults(FamilyInvitation.objects.unanswered(), ages):
        invitations.withdraw(invitation, None)
    ended = _of_adults(Guardianship.objects.select_related("user"), ages)
    for guardianship in ended:
        revoke(guardianship, None, OF_AGE)
    return len(ended)


def _of_adults(rows, ages):
    """Those of `rows` whose relation was to end by today, locked; `ages` are those of majority."""
    today = timezone.localdate()
    born_by = Q(pk__in=[])
    for years in ages:
        born_by |= Q(hospital__age_of_majority=years, patient__date_of_birth__lte=birthday(today, -years))
    rows = rows.filter(born_by, relation__in=OF_A_CHILD).select_related("patient", "hospital")
    # A 29 February has no counterpart in most years: who was born on the day after is of age then.
    return [row for row in rows.select_for_update(of=("self",)) if row.patient.of_age_on <= today]
