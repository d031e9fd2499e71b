"""Who may open a view. Objects need no check of their own here: the hospital scope turns a stranger's into 404."""

from functools import partial, wraps
from urllib.parse import urlsplit

from allauth.account.decorators import reauthentication_required
from allauth.core import ratelimit
from allauth.core.exceptions import ReauthenticationRequired
from django.contrib import messages
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import Http404
from django.shortcuts import redirect, render
from django_htmx.http import HttpResponseClientRefresh, reselect

from clinical.accounts import opened_in
from clinical.accounts.models import Role

CLINICAL_ROLES = (Role.TECHNICIAN, Role.DOCTOR)


def _sign_in(request):
    """Send a browser to the sign-in page; tell a script, which would follow the redirect unseen."""
    if request.htmx:
        sentence = "You were signed out. Sign in again in a new tab, then go on here: nothing is lost."
        answer = render(request, "portal/error_fragment.html", {"message": sentence}, status=401)
        return reselect(answer, ".notice")  # whichever part of a page was asked for
    if request.method == "POST":
        messages.warning(request, "You were no longer signed in, so nothing was saved. Sign in, then enter it again.")
    return redirect_to_login(_page(request))


def _page(request):
    """The page that somebody is on: for what they sent from it, not where that went, which only takes forms."""
    if request.method in ("GET", "HEAD"):
        return request.get_full_path()
    page = urlsplit(request.headers.get("Referer", ""))
    return page._replace(scheme="", netloc="").geturl() if page.netloc == request.get_host() else "/"


def requires(is_allowed, sentence):
    """A decorator that lets in whom `is_allowed(request)` names; the others are told the `sentence`."""

    def decorator(view):
        @wraps(view)
        def guarded(request, *args, **kwargs):
            if not request.user.is_authenticated:
                return _sign_in(request)
            if opened_in.is_of_another(request):
                return HttpResponseClientRefresh()
            try:
                if not is_allowed(request):
                    raise PermissionDenied(sentence)
                return view(request, *args, **kwargs)
            except (PermissionDenied, Http404):  # in the hospital where this was opened it may be neither
                if elsewhere := opened_in.elsewhere(request):
                    return opened_in.refused(request, elsewhere)
                raise

        return guarded

    return decorator


user_required = requires(lambda request: True, "")


def role_required(*roles):
    """Let members with one of `roles` in their active hospital in."""
    names = " or ".join(Role(role).label.lower() for role in roles)
    return requires(
        lambda request: request.membership is not None and request.membership.role in roles,
        f"This page is for the role {names} of your hospital. Ask your hospital's administrator for it.",
    )


clinician_required = role_required(*CLINICAL_ROLES)
doctor_required = role_required(Role.DOCTOR)
hospital_admin_required = role_required(Role.HOSPITAL_ADMIN)
member_required = requires(lambda request: request.membership is not None, "This page is for the staff of a hospital.")
family_required = requires(lambda request: request.is_family, "This page is for patients and their guardians.")


def limited(action):
    """Answer 429 to whoever does more of `action` than ACCOUNT_RATE_LIMITS allows."""

    def decorator(view):
        @wraps(view)
        def counted(request, *args, **kwargs):
            return ratelimit.consume_or_429(request, action=action) or view(request, *args, **kwargs)

        return counted

    return decorator


# For what counts as a signature: whoever has not just confirmed that it is they does so first, by password, code or
# passkey. What they sent waits meanwhile, and is carried out then.
confirmed = partial(reauthentication_required, app="clinical.accounts", allow_get=True)


def confirmed_first(view):
    """As `confirmed`, but before the form is shown: it takes a password, and what waits does so in the session."""
    asked = reauthentication_required(view, app="clinical.accounts")

    @wraps(view)
    def first(request, *args, **kwargs):
        try:
            return asked(request, *args, **kwargs)
        except ReauthenticationRequired:
            if request.method != "POST":
                raise
            sentence = (
                "Too much time had passed, and nothing was saved. Confirm that it is you, then fill in the form again."
            )
            messages.warning(request, sentence)
            return redirect(request.get_full_path())

    return first
