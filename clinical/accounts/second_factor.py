"""Staff have a second factor, where REQUIRE_MFA says so: what is still to be done, and nothing else until it is."""

from allauth.mfa.adapter import get_adapter
from allauth.mfa.models import Authenticator
from allauth.mfa.signals import authenticator_removed
from django.conf import settings
from django.http import JsonResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django_htmx.http import HttpResponseClientRedirect

from clinical.accounts import single_sign_on

DESTINATION = "after_second_factor"
SENTENCE = "Set up a second factor first: open the portal in a browser and follow the page that is shown."

# What leads to a second factor, or out.
OPEN = {
    "account_logout",
    "account_reauthenticate",
    "mfa_reauthenticate",
    "mfa_reauthenticate_webauthn",
    "mfa_activate_totp",
    "mfa_add_webauthn",
    "mfa_generate_recovery_codes",
    "mfa_view_recovery_codes",
    "mfa_download_recovery_codes",
    "accounts:set_up_second_factor",
    "accounts:acknowledge_recovery_codes",
    "accounts:session",
    "health",
}


def next_step(user):
    """The name of the page where `user` goes on with setting up a second factor; None when all is done."""
    held = {authenticator.type: authenticator for authenticator in Authenticator.objects.filter(user=user)}
    if not held.keys() & {Authenticator.Type.TOTP, Authenticator.Type.WEBAUTHN}:
        return "accounts:set_up_second_factor"
    codes = held.get(Authenticator.Type.RECOVERY_CODES)
    if codes is None:
        return "mfa_generate_recovery_codes"
    return None if "acknowledged_at" in codes.data else "mfa_view_recovery_codes"


def acknowledge_recovery_codes(user):
    """`user` says that they have kept the codes they were shown."""
    codes = Authenticator.objects.filter(user=user, type=Authenticator.Type.RECOVERY_CODES).first()
    if codes is not None and "acknowledged_at" not in codes.data:
        codes.data["acknowledged_at"] = timezone.now().isoformat()
        codes.save(update_fields=["data"])


def reset(request, user):
    """Take every second factor from `user`, who lost theirs: they set up another one when they sign in next."""
    for authenticator in Authenticator.objects.filter(user=user):
        authenticator.delete()
        authenticator_removed.send(sender=Authenticator, request=request, user=user, authenticator=authenticator)
    get_adapter().send_notification_mail("mfa/email/reset", user)


class SecondFactorMiddleware:
    """Leads staff without a second factor to the page where they set one up. After HospitalScopeMiddleware."""

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        return self.get_response(request)

    def process_view(self, request, view, args, kwargs):
        if not settings.REQUIRE_MFA or request.resolver_match.view_name in OPEN:
            return None
        if single_sign_on.brought_second_factor(request, request.user):
            return None
        is_staff = request.user.is_authenticated and (request.memberships or request.user.is_staff)
        step = next_step(request.user) if is_staff else None
        return step and self.lead(request, reverse(step))

    def lead(self, request, page):
        if request.htmx:
            return HttpResponseClientRedirect(page)
        wants_json = request.get_preferred_type(["text/html", "application/json"]) == "application/json"
        if wants_json or getattr(request, "access_token", None):
            return JsonResponse({"detail": SENTENCE}, status=403)
        if request.method == "GET" and request.headers.get("Sec-Fetch-Mode", "navigate") == "navigate":
            request.session[DESTINATION] = request.get_full_path()
        return redirect(page)
