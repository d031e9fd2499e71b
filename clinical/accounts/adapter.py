"""What the portal asks of allauth beyond its settings."""

import base64
import logging
import secrets
import time

from allauth.account import app_settings
from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.authentication import get_authentication_records
from allauth.core import context
from allauth.core.exceptions import ImmediateHttpResponse
from allauth.core.ratelimit import respond_429
from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.mfa.models import Authenticator
from allauth.usersessions.adapter import DefaultUserSessionsAdapter
from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from django.urls import reverse
from django.utils.crypto import salted_hmac

from clinical.accounts import single_sign_on
from clinical.audit.record import Verb
from clinical.audit.sign_ins import record_person

logger = logging.getLogger(__name__)


class AccountAdapter(DefaultAccountAdapter):
    """Accounts come from invitations only; too many attempts are answered alike, whatever was tried."""

    error_messages = {
        **DefaultAccountAdapter.error_messages,
        "email_password_mismatch": "The e-mail address or the password is wrong.",
    }

    def is_open_for_signup(self, request):
        return False

    def validation_error(self, code, *args):
        if code in ("too_many_login_attempts", "rate_limited"):
            raise ImmediateHttpResponse(respond_429(context.request))
        return super().validation_error(code, *args)

    def is_reauthentication_required(self, *, app, **kwargs):
        """Who signed in a moment ago may arrange how they sign in; a signature or another's role always asks."""
        if app.startswith("allauth.") and _signed_in_recently(context.request):
            return False
        return super().is_reauthentication_required(app=app, **kwargs)

    def send_mail(self, template_prefix, email, context):
        """A mail server that refuses is no fault of who asked: what they did is done, and the page is the usual one."""
        try:
            super().send_mail(template_prefix, email, {**context, "portal": settings.PORTAL_URL})
        except OSError as error:  # smtplib's own are among them; their text may hold the address
            logger.error("The mail %s was not sent (%s)", template_prefix, type(error).__name__)

    def get_password_change_redirect_url(self, request):
        return reverse("mfa_index")


def _signed_in_recently(request):
    records = get_authentication_records(request, request.user)
    return bool(records) and time.time() - records[-1]["at"] < app_settings.REAUTHENTICATION_TIMEOUT


class SecondFactorAdapter(DefaultMFAAdapter):
    """Keys of authenticator apps and recovery codes are encrypted with SECRET_KEY before they are stored."""

    def is_mfa_enabled(self, user, types=None):
        """At a sign-in, not for whom the hospital's provider has just asked for one."""
        signs_in = not context.request.user.is_authenticated
        if signs_in and single_sign_on.brought_second_factor(context.request, user):
            return False
        return super().is_mfa_enabled(user, types)

    def encrypt(self, text):
        return _fernet().encrypt(text.encode()).decode()

    def decrypt(self, encrypted_text):
        try:
            return _fernet().decrypt(encrypted_text.encode()).decode()
        except InvalidToken:
            # Written under a key that is gone: no code matches a secret that nobody has.
            return base64.b32encode(secrets.token_bytes(20)).decode()

    def generate_authenticator_name(self, user, type):
        number = Authenticator.objects.filter(user=user, type=type).count() + 1
        return "Passkey" if number == 1 else f"Passkey {number}"

    def get_public_key_credential_rp_entity(self):
        return {**super().get_public_key_credential_rp_entity(), "name": settings.MFA_TOTP_ISSUER}


class SessionsAdapter(DefaultUserSessionsAdapter):
    """A session that ends from elsewhere, by hand or with the password or second factor that began it, is on record."""

    def end_sessions(self, sessions):
        for session in sessions:
            session.end()
            record_person(Verb.END_SESSION, session.user, request=context.request, detail=f"begun at {session.ip}")


def _fernet():
    keys = [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]
    derived = [salted_hmac("clinical.accounts.second_factor", "", secret=key, algorithm="sha256") for key in keys]
    return MultiFernet([Fernet(base64.urlsafe_b64encode(key.digest())) for key in derived])
