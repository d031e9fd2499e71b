"""What becomes of members: one function a verb, each recorded in the audit. They join by `invitations`."""

from django.db import transaction
from django.db.models import Q

from clinical.accounts.models import Membership, Role
from clinical.audit.record import Verb, record


class Refused(Exception):
    """Its text says why."""


class LastAdministrator(Refused):
    """A hospital must keep one administrator."""

    def __str__(self):
        return "This is the hospital's only administrator. Make somebody else administrator first."


class NoMember(Refused):
    def __str__(self):
        return "Somebody else has just removed this member."


@transaction.atomic
def change_role(membership, role, actor):
    """Raises LastAdministrator or NoMember."""
    before = _lock(membership, leaves=role != Role.HOSPITAL_ADMIN)
    membership.role = role
    if role == before:
        return
    membership.save(update_fields=["role"])
    record(Verb.CHANGE_ROLE, membership, actor=actor, detail=f"{before} to {role}")


@transaction.atomic
def remove(membership, actor):
    """Raises LastAdministrator or NoMember."""
    record(Verb.REMOVE_MEMBER, membership, actor=actor, detail=_lock(membership, leaves=True))
    membership.delete()


def _lock(membership, leaves):
    """The role as it is now: another administrator may act at once, and waits from here on.

    Locked with those of all administrators, of whom one must stay.
    """
    touched = Membership.objects.filter(Q(pk=membership.pk) | Q(role=Role.HOSPITAL_ADMIN), hospital=membership.hospital)
    roles = dict(touched.select_for_update().order_by("pk").values_list("pk", "role"))
    role = roles.pop(membership.pk, None)
    if role is None:
        raise NoMember
    if leaves and role == Role.HOSPITAL_ADMIN and Role.HOSPITAL_ADMIN not in roles.values():
        raise LastAdministrator
    return role
