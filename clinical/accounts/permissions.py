"""Who may open a view. Objects need no check of their own here: the hospital scope turns a stranger's into 404."""

from functools import wraps

from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.shortcuts import render

from clinical.accounts.models import Role

CLINICAL_ROLES = (Role.TECHNICIAN, Role.DOCTOR)


def _sign_in(request):
    """Send a browser to the sign-in page; tell a script, which would follow the redirect unseen."""
    if request.htmx:
        sentence = "You were signed out. Sign in again in a new tab, then go on here: nothing is lost."
        return render(request, "portal/error_fragment.html", {"message": sentence}, status=401)
    return redirect_to_login(request.get_full_path())


def _requires(is_allowed, sentence):
    def decorator(view):
        @wraps(view)
        def guarded(request, *args, **kwargs):
            if not request.user.is_authenticated:
                return _sign_in(request)
            if not is_allowed(request):
                raise PermissionDenied(sentence)
            return view(request, *args, **kwargs)

        return guarded

    return decorator


user_required = _requires(lambda request: True, "")


def role_required(*roles):
    """Let members with one of `roles` in their active hospital in."""
    names = " or ".join(Role(role).label.lower() for role in roles)
    return _requires(
        lambda request: request.membership is not None and request.membership.role in roles,
        f"This page is for the role {names} of your hospital. Ask your hospital's administrator for it.",
    )


clinician_required = role_required(*CLINICAL_ROLES)
doctor_required = role_required(Role.DOCTOR)
hospital_admin_required = role_required(Role.HOSPITAL_ADMIN)
member_required = _requires(lambda request: request.membership is not None, "This page is for the staff of a hospital.")
family_required = _requires(lambda request: request.is_family, "This page is for patients and their guardians.")
