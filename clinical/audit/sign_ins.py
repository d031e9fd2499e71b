"""Sign-ins, failed ones, and whatever changes how somebody signs in. What was typed is not kept."""

from contextlib import nullcontext

from allauth.account import signals as account
from allauth.core import context
from allauth.mfa import signals as second_factor
from allauth.socialaccount.signals import social_account_added
from django.contrib.auth import get_user_model
from django.contrib.auth.signals import user_logged_out, user_login_failed
from django.db.models import Q
from django.dispatch import receiver
from django_scopes import scope

from clinical.accounts.models import Hospital
from clinical.audit.record import Verb, record


def record_person(verb, user, *, request=None, actor=None, detail="", changes=None):
    """On the record of every hospital in which `user` works or is family; of none: on the platform's."""
    belongs = Q(memberships__user=user) | Q(guardianships__user=user)
    with scope(user=lambda: user.pk):  # who fails to sign in is nobody yet
        hospitals = list(Hospital.objects.filter(belongs).distinct().values_list("pk", flat=True)) if user.pk else []
    about = {"request": request, "actor": actor, "detail": detail, "changes": changes}
    for key in hospitals or [None]:
        with scope(hospital=[key]) if key else nullcontext():
            record(verb, user, hospital_id=key, **about)


@receiver(account.user_logged_in)
def signed_in(sender, request, user, sociallogin=None, **kwargs):
    record_person(Verb.SIGN_IN, user, request=request, actor=user, detail="single sign-on" if sociallogin else "")


@receiver(social_account_added)
def connected_identity(sender, request, sociallogin, **kwargs):
    user = sociallogin.user
    record_person(Verb.CHANGE_IDENTITY, user, request=request, actor=user, detail="connected")


@receiver(user_logged_out)
def signed_out(sender, request, user, **kwargs):
    # Outside of a request nobody leaves: a shell, or a test that changes who it is.
    if user is not None and context.request is not None:
        record_person(Verb.SIGN_OUT, user, request=request, actor=user)


@receiver(user_login_failed)
def failed_to_sign_in(sender, credentials, request=None, **kwargs):
    if request is not None:
        User = get_user_model()
        user = User.objects.with_address(credentials.get("email") or "") or User()
        record_person(Verb.FAIL_TO_SIGN_IN, user, request=request, detail="password")


@receiver(second_factor.authentication_failed)
def failed_second_factor(sender, request, user, **kwargs):
    record_person(Verb.FAIL_TO_SIGN_IN, user, request=request, detail="second factor")


@receiver([account.password_changed, account.password_set, account.password_reset])
def changed_password(sender, request, user, signal, **kwargs):
    detail = "reset by mail" if signal is account.password_reset else ""
    record_person(Verb.CHANGE_PASSWORD, user, request=request, actor=user, detail=detail)


ADDRESS_CHANGES = {account.email_added: "added", account.email_removed: "removed", account.email_changed: "changed"}


@receiver(list(ADDRESS_CHANGES))
def changed_address(sender, request, user, signal, **kwargs):
    record_person(Verb.CHANGE_ADDRESS, user, request=request, actor=user, detail=ADDRESS_CHANGES[signal])


SECOND_FACTOR_CHANGES = {
    second_factor.authenticator_added: "added",
    second_factor.authenticator_removed: "removed",
    second_factor.authenticator_reset: "made anew",
}


@receiver(list(SECOND_FACTOR_CHANGES))
def changed_second_factor(sender, request, user, authenticator, signal, **kwargs):
    # Somebody else may do it for them, in the administration.
    detail = f"{authenticator.get_type_display()} {SECOND_FACTOR_CHANGES[signal]}"
    record_person(Verb.CHANGE_SECOND_FACTOR, user, request=request, detail=detail)
