"""What becomes of members: one function a verb, each recorded in the audit. They join by `invitations`."""

from django.db import transaction

from clinical.accounts.models import Membership, Role
from clinical.audit.record import Verb, record


class LastAdministrator(Exception):
    """A hospital must keep one administrator."""

    def __str__(self):
        return "This is the hospital's only administrator. Make somebody else administrator first."


@transaction.atomic
def change_role(membership, role, actor):
    if role == membership.role:
        return
    _keep_an_administrator(membership, leaves=role != Role.HOSPITAL_ADMIN)
    before, membership.role = membership.role, role
    membership.save(update_fields=["role"])
    record(Verb.CHANGE_ROLE, membership, actor=actor, detail=f"{before} to {role}")


@transaction.atomic
def remove(membership, actor):
    _keep_an_administrator(membership, leaves=True)
    record(Verb.REMOVE_MEMBER, membership, actor=actor, detail=membership.role)
    membership.delete()


def _keep_an_administrator(membership, leaves):
    administrators = Membership.objects.select_for_update().filter(
        hospital=membership.hospital, role=Role.HOSPITAL_ADMIN
    )
    if leaves and {administrator.pk for administrator in administrators} == {membership.pk}:
        raise LastAdministrator
