from django.contrib import messages
from django.core.paginator import Paginator
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from clinical.accounts import invitations, opened_in
from clinical.accounts import membership as memberships
from clinical.accounts.forms import InvitationForm, RoleForm
from clinical.accounts.models import Invitation
from clinical.accounts.permissions import confirmed, hospital_admin_required, member_required
from clinical.accounts.scope import ACTIVE_MEMBERSHIP


@member_required
@require_http_methods(["GET", "POST"])
def choose_hospital(request):
    if request.method == "POST":
        membership = get_object_or_404(request.user.memberships, pk=_number(request.POST.get("membership")))
        request.session[ACTIVE_MEMBERSHIP] = membership.pk
        return redirect("home")
    return render(request, "accounts/choose_hospital.html", {"memberships": request.memberships})


def _number(text):
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 18 else None


def _members_page(request, form, status=200):
    hospital = request.hospital
    members = hospital.memberships.select_related("user").order_by("user__name", "pk")
    context = {
        "memberships": Paginator(members, 50).get_page(request.GET.get("page")),
        "invitations": hospital.invitations.unanswered(),
        "form": form,
    }
    return render(request, "accounts/members.html", context, status=status)


@hospital_admin_required
@require_GET
def members(request):
    return _members_page(request, InvitationForm(instance=Invitation(hospital=request.hospital)))


@hospital_admin_required
@require_http_methods(["GET", "POST"])
@confirmed
def invite(request):
    if request.method == "GET":
        return redirect("accounts:members")
    form = InvitationForm(request.POST, instance=Invitation(hospital=request.hospital))
    opened_in.check(request, form)
    if not form.is_valid():
        return _members_page(request, form, status=opened_in.refusal(form))

    def link(token):
        return request.build_absolute_uri(reverse("accounts:accept_invitation", args=[token]))

    try:
        invitations.invite(form.instance, request.user, link)
    except invitations.NotSent as error:
        form.add_error(None, str(error))
        return _members_page(request, form, status=503)
    messages.success(request, "The invitation is on its way.")
    return redirect("accounts:members")


@hospital_admin_required
@require_http_methods(["GET", "POST"])
@confirmed
def change_role(request, pk):
    membership = get_object_or_404(request.hospital.memberships, pk=pk)
    if request.method == "GET":
        return redirect("accounts:members")
    form = RoleForm(request.POST)
    if not form.is_valid():
        messages.error(request, "Choose one of the roles in the list.")
    else:
        try:
            memberships.change_role(membership, form.cleaned_data["role"], request.user)
            messages.success(request, f"{membership.user} is now {membership.get_role_display().lower()}.")
        except memberships.Refused as error:
            messages.error(request, str(error))
    return _members_or_home(request, membership)


def _members_or_home(request, changed):
    """Where an administrator goes on, who may just have ended being one."""
    return redirect("home" if changed.user == request.user else "accounts:members")


@hospital_admin_required
@require_http_methods(["GET", "POST"])
@confirmed
def remove_member(request, pk):
    membership = get_object_or_404(request.hospital.memberships, pk=pk)
    if request.method == "GET":
        context = {
            "title": f"Remove {membership.user}?",
            "message": f"They lose access to {request.hospital} at once. What they recorded stays, with their name.",
            "verb": "Remove",
            "back": reverse("accounts:members"),
        }
        return render(request, "portal/confirm.html", context)
    try:
        memberships.remove(membership, request.user)
        messages.success(request, f"{membership.user} was removed.")
    except memberships.Refused as error:
        messages.error(request, str(error))
    return _members_or_home(request, membership)


@hospital_admin_required
@require_POST
def withdraw_invitation(request, pk):
    invitation = get_object_or_404(request.hospital.invitations.unanswered(), pk=pk)
    invitations.say_withdrawn(request, invitations.withdraw(invitation, request.user))
    return redirect("accounts:members")


@require_http_methods(["GET", "POST"])
def accept_invitation(request, token):
    """Join a hospital by the link from the mail."""

    def welcome(user):
        request.session[ACTIVE_MEMBERSHIP] = invitation.holders().get(user=user).pk
        messages.success(request, f"Welcome to {invitation.hospital}.")

    with invitations.opened(Invitation.objects, token) as invitation:
        return invitations.answer(request, invitation, "accounts/accept_invitation.html", "home", welcome)
