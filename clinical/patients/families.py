"""Who of a patient's family may read the reports: what becomes of it once `accounts.invitations` gave it."""

from django.db import transaction
from django.urls import reverse

from clinical.audit.record import Verb, record
from clinical.notices.models import Kind
from clinical.notices.notify import take_back


@transaction.atomic
def revoke(guardianship, actor):
    """End one person's access to one patient's reports, with the next request they make."""
    record(Verb.REVOKE, guardianship, actor=actor, detail=guardianship.relation)
    take_back(Kind.REPORT_READY, child_page(guardianship.patient_id), user=guardianship.user)
    guardianship.delete()


def child_page(patient_id):
    """The path of the family's page on one patient."""
    return reverse("patients:child", args=[patient_id])
