"""Joining and leaving a hospital: one function a verb, each recorded in the audit."""

from django.core.mail import send_mail
from django.db import transaction
from django.template.loader import render_to_string
from django.utils import timezone

from clinical.accounts.models import Invitation, Membership, Role, User
from clinical.audit.record import Verb, record


class LastAdministrator(Exception):
    """A hospital must keep one administrator."""

    def __str__(self):
        return "This is the hospital's only administrator. Make somebody else administrator first."


class InvitationClosed(Exception):
    def __str__(self):
        return "This invitation was used, withdrawn or has expired. Ask your hospital to send a new one."


@transaction.atomic
def invite(invitation, invited_by, link):
    """Save `invitation` and mail its `link(token)`."""
    invitation.invited_by = invited_by
    invitation.save()
    record(Verb.INVITE, invitation, actor=invited_by, detail=invitation.role)
    body = render_to_string("accounts/invitation_email.txt", {"invitation": invitation, "link": link(invitation.token)})
    transaction.on_commit(
        lambda: send_mail(f"Invitation to {invitation.hospital.name}", body, None, [invitation.email])
    )


@transaction.atomic
def accept(invitation, user=None, *, name="", password=""):
    """Make `user`, or a new account for the invited address, a member. Returns the user.

    Raises InvitationClosed when it was accepted or withdrawn meanwhile, or has expired.
    """
    invitation = Invitation.objects.select_for_update().filter(pk=invitation.pk).first()
    if invitation is None or not invitation.is_pending:
        raise InvitationClosed
    if user is None:
        user = User.objects.create_user(invitation.email, password, name=name)
    membership, joined = Membership.objects.get_or_create(
        user=user, hospital=invitation.hospital, defaults={"role": invitation.role}
    )
    invitation.accepted_at = timezone.now()
    invitation.save(update_fields=["accepted_at"])
    if joined:
        record(Verb.JOIN, membership, actor=user, detail=membership.role)
    return user


@transaction.atomic
def withdraw(invitation, actor):
    record(Verb.WITHDRAW_INVITATION, invitation, actor=actor)
    invitation.delete()


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
