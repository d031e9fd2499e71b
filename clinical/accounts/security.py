"""The pages on which people look after their own account, beside those of allauth."""

from allauth.mfa.base.views import IndexView
from allauth.mfa.webauthn.views import ReauthenticateWebAuthnView
from allauth.usersessions.models import UserSession
from django.contrib import messages
from django.http import Http404, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from clinical.accounts import second_factor, sessions, single_sign_on
from clinical.accounts.permissions import confirmed, user_required


class OverviewView(IndexView):
    """Everything about signing in, on one page."""

    def get_context_data(self, **kwargs):
        user = self.request.user
        own = UserSession.objects.purge_and_list(user)
        return {**super().get_context_data(**kwargs), "sessions": own, "identity": single_sign_on.identity_of(user)}


overview = OverviewView.as_view()


class ConfirmByPasskeyView(ReauthenticateWebAuthnView):
    """Whoever's passkey is not accepted stays on the way to what they were about to do."""

    def form_invalid(self, form):
        super().form_invalid(form)  # says why
        return redirect(self.passthrough_next_url(self.request.path))


confirm_by_passkey = ConfirmByPasskeyView.as_view()


@user_required
@require_GET
def set_up_second_factor(request):
    if second_factor.next_step(request.user) != "accounts:set_up_second_factor":
        return redirect("mfa_index")
    return render(request, "accounts/set_up_second_factor.html")


@user_required
@require_POST
def acknowledge_recovery_codes(request):
    second_factor.acknowledge_recovery_codes(request.user)
    destination = request.session.pop(second_factor.DESTINATION, "")
    safe = url_has_allowed_host_and_scheme(destination, allowed_hosts=None)
    return redirect(destination if safe else "mfa_index")


@user_required
@require_POST
def end_session(request, pk):
    sessions.end([get_object_or_404(sessions.others(request, request.user), pk=pk)])
    messages.success(request, "That session is ended.")
    return redirect("usersessions_list")


@user_required
@require_http_methods(["GET", "POST"])
@confirmed
def disconnect_identity(request):
    identity = single_sign_on.identity_of(request.user)
    if identity is None:
        raise Http404
    if request.method == "POST":
        single_sign_on.disconnect(request, identity)
        messages.success(request, "Your account is no longer connected with that identity.")
        return redirect("mfa_index")
    context = {
        "title": "Disconnect your hospital account?",
        "message": "Whoever then signs in there with your e-mail address is taken for you, and connected again.",
        "verb": "Disconnect",
        "back": reverse("mfa_index"),
    }
    return render(request, "portal/confirm.html", context)


@require_http_methods(["GET", "POST"])
def session(request):
    """How many seconds the session has left; a POST says that the person is there."""
    if not request.user.is_authenticated:
        return JsonResponse({"seconds": 0}, status=401)
    if request.method == "POST":
        sessions.see(request)
    return JsonResponse({"seconds": sessions.remaining(request)})
