"""Sign-in by a hospital's identity provider (OpenID Connect), for staff who were invited.

The provider speaks for the addresses of OIDC_DOMAINS and for no others, whatever it says. The first sign-in finds the
account by its address and keeps the provider's identifier of the person (`sub`); from then on that alone counts, so
that who is given a former colleague's address is not taken for them. Nothing else that the provider tells is kept.
"""

import logging

from allauth.account.authentication import get_authentication_records
from allauth.account.models import EmailAddress
from allauth.core.exceptions import ImmediateHttpResponse
from allauth.socialaccount.adapter import DefaultSocialAccountAdapter
from allauth.socialaccount.helpers import render_authentication_error
from allauth.socialaccount.models import SocialAccount
from allauth.socialaccount.providers.base import AuthError
from allauth.socialaccount.providers.openid_connect import views as openid_connect
from django.conf import settings
from django.contrib import messages
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST
from django_scopes import scope
from requests import RequestException

from clinical.audit.record import Verb
from clinical.audit.sign_ins import record_person

logger = logging.getLogger(__name__)

VOUCHED = (True, "true")  # some providers send words
FAILED = "The sign-in with {name} failed there. Try again in a minute, or sign in by e-mail and password."
UNKNOWN = "No member of a hospital’s staff has the address that came from there. Ask your administrator to invite you."
ANOTHER = (
    "The account with your address is connected with another identity there. If the account is yours, sign in by "
    "e-mail and password, and disconnect that identity under Account security."
)


class IdentityProviderAdapter(DefaultSocialAccountAdapter):
    """Who may come in by the provider, and what those are told who may not."""

    def is_email_verified(self, provider, email):
        return email.rpartition("@")[2].lower() in settings.OIDC_DOMAINS

    def can_authenticate_by_email(self, login, email):
        claims = login.account.extra_data
        said = (claims.get("userinfo") or claims.get("id_token") or {}).get("email_verified", True)
        return said in VOUCHED and self.is_email_verified(login.provider, email)

    def authenticate_by_email(self, sociallogin):
        """Not by an address that somebody has entered for their account and never confirmed."""
        found = super().authenticate_by_email(sociallogin)
        if found and EmailAddress.objects.filter(user=found[0], email=found[1].lower(), verified=True).exists():
            return found
        return None

    def pre_social_login(self, request, sociallogin):
        sociallogin.state["process"] = "login"  # nothing else is offered
        account, user = sociallogin.account, sociallogin.user
        account.extra_data = {}
        if account.pk:
            account.save(update_fields=["extra_data"])
        if not sociallogin.is_existing or not is_staff(user):
            raise ImmediateHttpResponse(refused(request, UNKNOWN, 403))
        if not account.pk and SocialAccount.objects.filter(user=user, provider=account.provider).exists():
            record_person(Verb.FAIL_TO_SIGN_IN, user, request=request, detail="single sign-on")
            raise ImmediateHttpResponse(refused(request, ANOTHER, 403))

    def on_authentication_error(self, request, provider, error=None, exception=None, extra_context=None):
        if error == AuthError.CANCELLED:
            messages.info(request, f"You did not sign in with {provider.name}.")
            raise ImmediateHttpResponse(redirect("account_login"))
        logger.error("Single sign-on failed (%s)", type(exception).__name__)  # its text may hold the address
        raise ImmediateHttpResponse(refused(request, FAILED.format(name=provider.name), 502))


def is_staff(user):
    """Of a hospital or of the platform."""
    with scope(user=lambda: user.pk):  # who signs in is nobody yet
        return user.is_staff or user.memberships.exists()


def refused(request, sentence, status):
    return render(request, "account/single_sign_on_refused.html", {"sentence": sentence}, status=status)


@require_POST
def begin(request, provider_id):
    """Leads to the provider, if it can be asked where its pages are."""
    try:
        return openid_connect.login(request, provider_id)
    except RequestException as error:
        provider = IdentityProviderAdapter(request).get_provider(request, provider_id)
        return render_authentication_error(request, provider, exception=error)


def brought_second_factor(request, user):
    """Whether `user` signed in by the provider, and OIDC_SECOND_FACTOR says that it asked for a second factor."""
    return settings.OIDC_SECOND_FACTOR and any(
        record["method"] == "socialaccount" for record in get_authentication_records(request, user)
    )


def identity_of(user):
    """What connects `user` with the provider, or None."""
    return SocialAccount.objects.filter(user=user).first()


def disconnect(request, identity):
    user = identity.user
    identity.delete()
    record_person(Verb.CHANGE_IDENTITY, user, request=request, actor=user, detail="disconnected")
    IdentityProviderAdapter(request).send_notification_mail("socialaccount/email/account_disconnected", user)
