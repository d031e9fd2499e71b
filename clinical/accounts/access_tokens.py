"""Access tokens of programs: the verbs, and the pages on which members make and revoke theirs."""

from datetime import timedelta

from allauth.account.adapter import get_adapter
from django import forms
from django.contrib import messages
from django.core.paginator import Paginator
from django.db import transaction
from django.http import Http404
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.views.decorators.http import require_GET, require_http_methods

from clinical.accounts import opened_in
from clinical.accounts.api import ROOT
from clinical.accounts.models import AccessToken, Role, User
from clinical.accounts.permissions import (
    CLINICAL_ROLES,
    clinician_required,
    confirmed,
    hospital_admin_required,
    member_required,
)
from clinical.audit.record import Verb, record
from clinical.notices.models import Kind
from clinical.notices.notify import notify, take_back

PAGE_SIZE = 50
OWN, OF_HOSPITAL = "accounts:access_tokens", "accounts:hospital_access_tokens"


@transaction.atomic
def make(membership, name, right, days):
    """Returns (AccessToken, the token itself), which nobody can ask for again."""
    token, secret = AccessToken.objects.create(
        membership.user, timedelta(days=days), membership=membership, name=name, right=right
    )
    record(Verb.MAKE_TOKEN, membership, actor=membership.user, detail=f"{name}, {right}, {days} days")
    return token, secret


@transaction.atomic
def revoke(token, actor):
    record(Verb.REVOKE_TOKEN, token.membership, actor=actor, detail=token.name)
    for page in (OWN, OF_HOSPITAL):
        take_back(Kind.TOKEN_ENDS, _place(page, token))
    token.delete()


def _place(page, token):
    """Where `page` has `token`."""
    return f"{reverse(page)}#{token.token_key}"


def tell_of_ends():
    """Tell whom tokens stand for, and the administrators of their hospitals, of those that end soon: once of each."""
    now = timezone.now()
    ending = AccessToken.objects.filter(expiry__gt=now, expiry__lte=now + AccessToken.SOON, told_at=None)
    for token in ending.select_related("membership__user", "membership__hospital"):
        _tell(token)


@transaction.atomic
def _tell(token):
    if not AccessToken.objects.filter(pk=token.pk, told_at=None).update(told_at=timezone.now()):
        return
    member, hospital = token.membership, token.membership.hospital
    ends = f"ends on {date_format(timezone.localtime(token.expiry), 'j F Y')}"
    about = {"kind": Kind.TOKEN_ENDS, "hospital": hospital}
    if member.role in CLINICAL_ROLES:
        notify([member.user], **about, message=f"Your access token {token.name} {ends}.", url=_place(OWN, token))
    administrators = User.objects.filter(memberships__hospital=hospital, memberships__role=Role.HOSPITAL_ADMIN)
    message = f"The access token {token.name} of {member.user} {ends}."
    notify(administrators, **about, message=message, url=_place(OF_HOSPITAL, token))


class AccessTokenForm(forms.ModelForm):
    days = forms.TypedChoiceField(
        label="Ends after",
        coerce=int,
        choices=[(30, "30 days"), (90, "90 days"), (365, "a year")],
        initial=90,
    )

    class Meta:
        model = AccessToken
        fields = ["name", "right"]
        widgets = {"right": forms.RadioSelect}

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.fields["right"].help_text = "Whoever only fetches results needs no more than Read."


@clinician_required
@require_http_methods(["GET", "POST"])
@confirmed
def own(request):
    """The tokens of a member in their active hospital. A new one is shown on the answer to its form, never again."""
    form = AccessTokenForm(request.POST if request.method == "POST" else None)
    opened_in.check(request, form)
    _mark_read(request)
    made, secret = None, ""
    if form.is_valid():
        made, secret = make(request.membership, **form.cleaned_data)
        get_adapter().send_notification_mail("account/email/access_token_made", request.user, {"token": made})
        form = AccessTokenForm()
    context = {
        "tokens": _alive(request.membership.access_tokens),
        "form": form,
        "made": made,
        "secret": secret,
        "root": request.build_absolute_uri(ROOT),
    }
    status = opened_in.refusal(form) if form.errors else 201 if made else 200
    return render(request, "accounts/access_tokens.html", context, status=status)


def _mark_read(request):
    request.user.notifications.filter(hospital=request.hospital, kind=Kind.TOKEN_ENDS).about(request.path).mark_read()


def _alive(tokens):
    return tokens.filter(expiry__gt=timezone.now())


@hospital_admin_required
@require_GET
def of_hospital(request):
    _mark_read(request)
    tokens = _alive(AccessToken.objects.filter(membership__hospital=request.hospital))
    page = Paginator(tokens.select_related("membership__user"), PAGE_SIZE).get_page(request.GET.get("page"))
    return render(request, "accounts/hospital_access_tokens.html", {"page_obj": page})


@member_required
@require_http_methods(["GET", "POST"])
def revoke_one(request, key):
    """One's own, or, for an administrator, anybody's of the hospital. It asks first: the program stops at once."""
    is_administrator = request.membership.role == Role.HOSPITAL_ADMIN
    whose = {"membership__hospital": request.hospital} if is_administrator else {"membership": request.membership}
    token = AccessToken.objects.select_related("membership__user").filter(token_key=key, **whose).first()
    if token is None:
        raise Http404("There is no such token.")
    back = reverse(OF_HOSPITAL if is_administrator else OWN)
    if request.method == "GET":
        context = {
            "title": f"Revoke {token.name}?",
            "message": "Whatever uses this access token is refused from now on. It cannot be brought back.",
            "verb": "Revoke the token",
            "back": back,
        }
        return render(request, "portal/confirm.html", context)
    revoke(token, request.user)
    messages.success(request, f"{token.name} was revoked.")
    return redirect(back)
