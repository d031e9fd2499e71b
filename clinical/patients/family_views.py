"""The family's own pages, and the doctor's verbs on who belongs to it."""

from django.contrib import messages
from django.db.models import Count, Exists, OuterRef, Q
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from clinical.accounts import invitations
from clinical.accounts.permissions import doctor_required, family_required, user_required
from clinical.audit.record import Verb, record, record_each
from clinical.patients import families
from clinical.patients.family_chart import chart
from clinical.patients.family_forms import FamilyInvitationForm
from clinical.patients.models import FamilyInvitation, Patient
from clinical.patients.plain_words import explain
from clinical.studies.models import State, Study

INVITATION_MAIL = "patients/family_invitation_email.txt"


def _taken_back():
    """Studies whose report the family once had: a copy of it must not pass for the last word."""
    return Study.objects.filter(reports__released_at__isnull=False).exclude(state=State.RELEASED)


def _replaced(study):
    """The report that the family had before the one that counts now, or None."""
    had = (report for report in study.reports.all() if report.superseded_at and report.released_at)
    return max(had, key=lambda report: report.version, default=None)


@family_required
@require_GET
def family(request):
    released = Count("patient__studies", filter=Q(patient__studies__state=State.RELEASED))
    taken_back = Exists(_taken_back().filter(patient=OuterRef("patient")))
    children = request.user.guardianships.select_related("patient", "hospital")
    children = children.annotate(reports=released, taken_back=taken_back)
    # A query that counts forgets the order of its model.
    children = children.order_by("patient__family_name", "patient__given_name", "pk")
    patients = [guardianship.patient for guardianship in children]
    record_each(Verb.VIEW, patients, request=request, detail="family page")
    return render(request, "patients/family.html", {"children": children})


@user_required
@require_GET
def child(request, pk):
    """One child's released reports in plain words. Whose child it is not, or no longer, finds nothing here."""
    guardianship = get_object_or_404(request.user.guardianships.select_related("patient", "hospital"), patient=pk)
    record(Verb.VIEW, guardianship.patient, request=request, detail="family page")
    request.user.notifications.about(request.path).mark_read()
    studies = Study.objects.filter(patient=pk, state=State.RELEASED).select_related(
        "hospital", "patient", "analysis", "review"
    )
    # The reports' own rows belong to the floor above; the page names who signed and links the PDF.
    studies = list(studies.prefetch_related("reports__signed_by").order_by("-acquired_on", "-pk"))
    context = {
        "guardianship": guardianship,
        "patient": guardianship.patient,
        "reports": [(study, explain(study, guardianship.relation), _replaced(study)) for study in studies],
        "taken_back": _taken_back().filter(patient=pk).distinct().order_by("-acquired_on", "-pk"),
        "chart": chart(studies),
    }
    return render(request, "patients/family_child.html", context)


@user_required
@require_http_methods(["GET", "POST"])
def leave(request, pk):
    """Give up one's own access to the reports of one child."""
    guardianship = get_object_or_404(request.user.guardianships.select_related("user", "patient"), patient=pk)
    patient = guardianship.patient
    if request.method == "GET":
        record(Verb.VIEW, patient, request=request, detail="family page")
        context = {
            "title": f"Give up reading the reports of {patient.full_name}?",
            "message": "You can no longer open them, from now on. Only a doctor of the hospital can invite you again: "
            "save a copy first of what you want to keep.",
            "verb": "Give it up",
            "back": families.child_page(patient.pk),
        }
        return render(request, "portal/confirm.html", context)
    families.revoke(guardianship, request.user, "of their own accord")
    messages.success(request, f"You no longer read the reports of {patient.full_name}.")
    return redirect("home")


@doctor_required
@require_http_methods(["GET", "POST"])
def invite(request, pk):
    patient = get_object_or_404(Patient, pk=pk, anonymised_at=None)
    invitation = FamilyInvitation(hospital=request.hospital, patient=patient)
    form = FamilyInvitationForm(request.POST if request.method == "POST" else None, instance=invitation)
    status = 422 if form.errors else 200
    if request.method == "POST" and form.is_valid():

        def link(token):
            return request.build_absolute_uri(reverse("patients:accept_family_invitation", args=[token]))

        try:
            invitations.invite(invitation, request.user, link, INVITATION_MAIL)
        except invitations.NotSent as error:
            form.add_error(None, str(error))
            status = 503
        else:
            messages.success(request, "The invitation is on its way.")
            return redirect("patients:detail", pk=patient.pk)
    record(Verb.VIEW, patient, request=request, detail="invitation")
    return render(request, "patients/family_invite.html", {"patient": patient, "form": form}, status=status)


@doctor_required
@require_POST
def withdraw_invitation(request, pk):
    invitation = get_object_or_404(request.hospital.family_invitations.unanswered(), pk=pk)
    invitations.say_withdrawn(request, invitations.withdraw(invitation, request.user))
    return redirect("patients:detail", pk=invitation.patient_id)


@doctor_required
@require_http_methods(["GET", "POST"])
def revoke(request, pk):
    guardianship = get_object_or_404(request.hospital.guardianships.select_related("user", "patient"), pk=pk)
    if request.method == "GET":
        context = {
            "title": f"Revoke the access of {guardianship.user}?",
            "message": "They can no longer open this patient's reports, from now on. You can invite them again.",
            "verb": "Revoke the access",
            "back": reverse("patients:detail", args=[guardianship.patient_id]),
        }
        return render(request, "portal/confirm.html", context)
    families.revoke(guardianship, request.user)
    messages.success(request, f"{guardianship.user} no longer has access.")
    return redirect("patients:detail", pk=guardianship.patient_id)


@require_http_methods(["GET", "POST"])
def accept_invitation(request, token):
    """Become family of a patient by the link from the mail."""

    def welcome(user):
        messages.success(request, "Welcome. Reports appear here once a doctor has released them.")

    with invitations.opened(FamilyInvitation.objects.select_related("patient"), token) as invitation:
        return invitations.answer(request, invitation, "patients/family_accept.html", "patients:family", welcome)
