"""How long a session lasts, where somebody is signed in, and what ends when their password or second factor changes."""

import time

from allauth.account.models import EmailAddress
from allauth.account.signals import password_changed, password_reset, password_set
from allauth.mfa.signals import authenticator_added, authenticator_removed, authenticator_reset
from allauth.usersessions.adapter import get_adapter
from allauth.usersessions.models import UserSession
from django.conf import settings
from django.contrib.auth import logout
from django.contrib.auth.signals import user_logged_in
from django.dispatch import receiver
from django.urls import reverse

SIGNED_IN_AT, SEEN_AT = "signed_in_at", "seen_at"  # seconds, in the session
SIGNED_OUT = "signed_out"  # a cookie: a message would be gone with the first of the open tabs that shows it


def remaining(request):
    """Seconds until the session ends if nothing more is done."""
    idle = request.session.get(SEEN_AT, 0) + settings.SESSION_IDLE_SECONDS
    longest = request.session.get(SIGNED_IN_AT, 0) + settings.SESSION_COOKIE_AGE
    return max(0, min(idle, longest) - time.time())


@receiver(user_logged_in)
def begin(sender, request, **kwargs):
    request.session[SIGNED_IN_AT] = request.session[SEEN_AT] = time.time()


def see(request):
    """Note that the person is there: the time of idleness starts anew."""
    request.session[SEEN_AT] = time.time()
    UserSession.objects.create_from_request(request)


class SessionLimitMiddleware:
    """Ends a session in which nothing was done for SESSION_IDLE_SECONDS, or that is SESSION_COOKIE_AGE old.

    A page that somebody opens and whatever they send is activity. What pages fetch by themselves is not, so that a
    page left open ends, too; where somebody reads or types for long, its script says so (session.js).
    """

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        request.idle_seconds = settings.SESSION_IDLE_SECONDS
        ends = request.user.is_authenticated and not remaining(request)
        if ends:
            logout(request)
        elif request.user.is_authenticated and self.is_activity(request) and self.is_due(request):
            see(request)
        request.signed_out = ends or bool(request.COOKIES.get(SIGNED_OUT))  # the sign-in page says why
        response = self.get_response(request)
        if request.signed_out and request.user.is_authenticated:
            response.delete_cookie(SIGNED_OUT)
        elif ends:
            response.set_cookie(SIGNED_OUT, "1", secure=settings.HTTPS, httponly=True, samesite="Lax")
        return response

    def is_activity(self, request):
        if request.method not in ("GET", "HEAD"):
            return True
        opened = not request.htmx and request.headers.get("Sec-Fetch-Mode", "navigate") == "navigate"
        return opened and request.path != reverse("accounts:session")

    def is_due(self, request):
        """Busy people do not cost a write with every page."""
        return time.time() - request.session[SEEN_AT] >= min(60, settings.SESSION_IDLE_SECONDS / 15)


def end(sessions):
    get_adapter().end_sessions(sessions)


def others(request, user):
    """The sessions of `user` but the one of `request`."""
    return UserSession.objects.filter(user=user).exclude(session_key=request.session.session_key or "")


@receiver([password_changed, password_set, password_reset])
def end_what_the_old_password_began(sender, request, user, **kwargs):
    """Sessions, and links to confirm an address: whoever knew the old password may have asked for them."""
    end(others(request, user))
    EmailAddress.objects.filter(user=user, verified=False).delete()


@receiver([authenticator_added, authenticator_removed, authenticator_reset])
def end_other_sessions(sender, request, user, **kwargs):
    end(others(request, user))
