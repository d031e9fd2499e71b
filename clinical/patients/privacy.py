"""Pages on which a hospital's administrators give a patient's record out, or have it erased."""

from django.contrib import messages
from django.db import transaction
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from clinical.accounts import opened_in
from clinical.accounts.permissions import confirmed, hospital_admin_required
from clinical.audit.downloads import deliver
from clinical.audit.record import Verb, record
from clinical.listing import listing
from clinical.patients import copies, erasure
from clinical.patients.models import Erasure, ExportState, Patient, PatientExport, Retention
from clinical.patients.privacy_forms import ErasureForm, RetentionForm
from clinical.patients.queries import SORTS, PatientFilter, with_study_facts


@hospital_admin_required
@require_http_methods(["GET", "POST"])
def overview(request):
    """Find a patient; how long records are retained; what is to be erased."""
    rule = Retention.objects.filter(hospital=request.hospital).first() or Retention(hospital=request.hospital)
    form = RetentionForm(request.POST if request.method == "POST" else None, instance=rule)
    opened_in.check(request, form)
    if request.method == "POST" and form.is_valid():
        with transaction.atomic():
            changes = {name: (form.initial[name], form.cleaned_data[name]) for name in form.changed_data}
            form.save()
            if changes:
                record(Verb.CONFIGURE, request.hospital, request=request, detail="retention", changes=changes)
        messages.success(request, "The retention was saved.")
        return redirect("patients:privacy_overview")
    found = listing(request, PatientFilter(request.GET, with_study_facts(Patient.objects.all())), SORTS, "name")
    record(Verb.VIEW, request.hospital, request=request, detail="list of patients")
    context = found | {
        "form": form,
        "scheduled": Erasure.objects.scheduled().select_related("patient", "requested_by").order_by("due_at"),
    }
    return render(
        request, "patients/privacy_overview.html", context, status=opened_in.refusal(form) if form.errors else 200
    )


@hospital_admin_required
@require_GET
def of_patient(request, pk):
    patient = get_object_or_404(Patient, pk=pk)
    record(Verb.VIEW, patient, request=request, detail="privacy")
    context = {
        "patient": patient,
        "exports": patient.exports.select_related("requested_by")[:20],
        "erasures": patient.erasures.select_related("requested_by", "cancelled_by"),
        "scheduled": patient.erasures.scheduled().first(),
        "until": _retained_until(patient),
    }
    return render(request, "patients/privacy.html", context)


def _retained_until(patient):
    """The day, while it lies ahead."""
    until = erasure.retained_until(patient)
    return until if until and until > timezone.localdate() else None


@hospital_admin_required
@require_http_methods(["GET", "POST"])
@confirmed
def export(request, pk):
    patient = get_object_or_404(Patient, pk=pk)
    if request.method == "POST":
        copies.ask(patient, request.user)
        messages.success(request, "The copy is being made. It appears here when it is ready.")
    return redirect("patients:privacy", pk=pk)


@hospital_admin_required
@require_GET
def export_status(request, pk):
    """One export, as its row on the page shows it; asked for again while it is being made."""
    asked = get_object_or_404(PatientExport.objects.select_related("requested_by"), pk=pk)
    return render(request, "patients/_export.html", {"export": asked})


@hospital_admin_required
@require_GET
def download(request, pk):
    ready = {"state": ExportState.READY, "expires_at__gt": timezone.now()}
    asked = get_object_or_404(PatientExport, pk=pk, **ready)
    kind = {"content_type": "application/zip", "filename": "patient-record.zip", "as_attachment": True}
    return deliver(request, asked, Verb.EXPORT, asked.file, **kind)


@hospital_admin_required
@require_http_methods(["GET", "POST"])
@confirmed
def erase(request, pk):
    patient = get_object_or_404(Patient, pk=pk)
    if patient.erasures.scheduled().exists():
        return redirect("patients:privacy", pk=pk)
    until = _retained_until(patient)
    form = ErasureForm(request.POST if request.method == "POST" else None, patient=patient, until=until)
    if request.method == "POST" and form.is_valid():
        decided = form.cleaned_data
        try:
            scheduled = erasure.schedule(
                patient, decided["mode"], decided["reason"], request.user, decided.get("override", "")
            )
        except erasure.StillRetained as error:
            form.add_error("override" if "override" in form.fields else None, str(error))
        else:
            day = timezone.localtime(scheduled.due_at)
            messages.success(request, f"This is done on {day:%d %B %Y}. Until then you can cancel it here.")
            return redirect("patients:privacy", pk=pk)
    record(Verb.VIEW, patient, request=request, detail="erasure")
    context = {"form": form, "patient": patient, "until": until}
    return render(request, "patients/erase.html", context, status=422 if form.errors else 200)


@hospital_admin_required
@require_POST
def cancel_erasure(request, pk):
    scheduled = get_object_or_404(Erasure.objects.select_related("patient"), pk=pk, patient__isnull=False)
    if erasure.cancel(scheduled, request.user):
        messages.success(request, "Cancelled: the record stays as it is.")
    else:
        messages.warning(request, "There was nothing left to cancel.")
    return redirect("patients:privacy", pk=scheduled.patient_id)
