"""Inviting by e-mail, to a hospital or to a child's reports: the verbs, and the page behind the link.

What an invitation offers is its model's affair; see `InvitationLink`.
"""

import logging
from contextlib import contextmanager, nullcontext

from allauth.account.internal.flows.login import record_authentication
from allauth.core import ratelimit
from django.contrib import messages
from django.contrib.auth import login
from django.core.mail import send_mail
from django.db import transaction
from django.shortcuts import redirect, render
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone
from django_scopes import scope

from clinical.accounts import sessions
from clinical.accounts.forms import AcceptInvitationForm
from clinical.accounts.models import User
from clinical.accounts.scope import every_hospital
from clinical.audit.record import Verb, record

logger = logging.getLogger(__name__)


class InvitationClosed(Exception):
    def __str__(self):
        return "This invitation was used, withdrawn or has expired. Ask your hospital to send a new one."


class NotSent(Exception):
    def __str__(self):
        return (
            "The invitation was not sent: check the address and send it again in a few minutes, "
            "or tell whoever runs the portal if that fails, too."
        )


def invite(invitation, invited_by, link, template="accounts/invitation_email.txt"):
    """Save `invitation` and mail its `link(token)`, in place of one that this address has not answered.

    Raises NotSent; then it is withdrawn, and the earlier one stays.
    """
    invitation.invited_by = invited_by
    with transaction.atomic():
        invitation.save()
        record(Verb.INVITE, invitation, actor=invited_by, detail=invitation.right)
    body = render_to_string(template, {"invitation": invitation, "link": link(invitation.token)})
    try:
        send_mail(f"Invitation to {invitation.hospital.name}", body, None, [invitation.email])
    except OSError as error:  # smtplib's own are among them; their text may hold the address
        logger.error("Invitation %s was not sent (%s)", invitation.pk, type(error).__name__)
        withdraw(invitation, invited_by)
        raise NotSent from error
    for earlier in invitation.alike().unanswered().filter(email=invitation.email).exclude(pk=invitation.pk):
        withdraw(earlier, invited_by)


@transaction.atomic
def accept(invitation, user=None, *, name="", password=""):
    """Grant `user`, or a new account for the invited address, what is offered. Returns the user.

    Raises InvitationClosed when it was accepted or withdrawn meanwhile, or has expired.
    """
    invitation = type(invitation).objects.select_for_update().filter(pk=invitation.pk).first()
    if invitation is None or not invitation.is_pending:
        raise InvitationClosed
    if user is None:
        user = User.objects.create_user(invitation.email, password, name=name)
    granted, is_new = invitation.grant(user)
    invitation.accepted_at = timezone.now()
    invitation.save(update_fields=["accepted_at"])
    if is_new:
        record(Verb.JOIN, granted, actor=user, detail=invitation.right)
    return user


@transaction.atomic
def withdraw(invitation, actor):
    """Returns whether that was in time: nobody had accepted or withdrawn it."""
    invitation = type(invitation).objects.unanswered().select_for_update().filter(pk=invitation.pk).first()
    if invitation is None:
        return False
    record(Verb.WITHDRAW_INVITATION, invitation, actor=actor)
    invitation.delete()
    return True


def say_withdrawn(request, in_time):
    if in_time:
        messages.success(request, "The invitation was withdrawn; its link no longer works.")
    else:
        messages.warning(request, "The invitation was accepted or withdrawn meanwhile.")


@contextmanager
def opened(invitations, token):
    """The one of `invitations` whose link was opened, or None, in the scope of its hospital: the guest has none yet."""
    with every_hospital():
        invitation = invitations.select_related("hospital").filter(token=token).first()
    with scope(hospital=[invitation.hospital]) if invitation else nullcontext():
        yield invitation


def answer(request, invitation, template, destination, welcome):
    """The page behind the link of `invitation` (None where there is no such link).

    A new person sets a password, a known one signs in first. `welcome(user)` greets who has just accepted,
    before they go on to `destination`.
    """
    known = invitation and User.objects.with_address(invitation.email)
    if invitation is None or not invitation.is_pending:
        if known and invitation.holders().filter(user=known).exists() and request.user == known:
            return redirect(destination)  # a double click, or the mail opened again
        return render(request, template, {"expired": True}, status=404)
    if known and request.user.is_authenticated and request.user != known:
        messages.error(request, "This invitation is for somebody else. Sign out, then open its link again.")
        return redirect("home")
    if known and request.user != known:
        return redirect(f"{reverse('account_login')}?next={request.path}")
    if limited := ratelimit.consume_or_429(request, action="accept_invitation"):
        return limited
    data = request.POST if request.method == "POST" else None
    form = None if known else AcceptInvitationForm(data, email=invitation.email)
    if request.method == "POST" and (known or form.is_valid()):
        try:
            if known:
                user = accept(invitation, known)
            else:
                user = accept(invitation, name=form.cleaned_data["name"], password=form.cleaned_data["password1"])
        except InvitationClosed:
            return render(request, template, {"expired": True}, status=404)
        if not known:
            login(request, user, backend="allauth.account.auth_backends.AuthenticationBackend")
            record_authentication(request, user, "password")
            sessions.see(request)
        welcome(user)
        return redirect(destination)
    context = {"invitation": invitation, "form": form, "expired": False}
    return render(request, template, context, status=422 if form and form.errors else 200)
