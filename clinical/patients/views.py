from django.contrib import messages
from django.core.paginator import Paginator
from django.db import IntegrityError, transaction
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from clinical.accounts import opened_in
from clinical.accounts.permissions import clinician_required
from clinical.audit.record import Verb, record, record_each
from clinical.listing import PAGE_SIZE, listing
from clinical.patients.forms import PatientForm
from clinical.patients.growth_record import growth_record
from clinical.patients.models import Patient
from clinical.patients.queries import SORTS, PatientFilter, removed_measurements, with_study_facts
from clinical.studies.queries import with_row_facts


@clinician_required
@require_GET
def patient_list(request):
    patients = with_study_facts(Patient.objects.all())
    if "archived" not in request.GET:
        patients = patients.filter(archived_at=None)
    record(Verb.VIEW, request.hospital, request=request, detail="list of patients")
    context = listing(request, PatientFilter(request.GET, patients), SORTS, "name")
    if not context["page_obj"]:
        archived = PatientFilter({**request.GET.dict(), "archived": "true"}, Patient.objects.all())
        context["fits_archived"] = archived.is_valid() and archived.qs.exists()
    return render(request, "patients/list.html", context)


@clinician_required
@require_GET
def detail(request, pk):
    patient = get_object_or_404(Patient, pk=pk)
    record(Verb.VIEW, patient, request=request)
    studies = with_row_facts(patient.studies).order_by("-acquired_on", "-pk")
    context = {
        "patient": patient,
        "studies": Paginator(studies, PAGE_SIZE).get_page(request.GET.get("page")),
        "guardians": patient.guardianships.select_related("user"),
        "growth": growth_record(patient),
        "removed_measurements": removed_measurements(patient),
    }
    return render(request, "patients/detail.html", context)


@clinician_required
@require_http_methods(["GET", "POST"])
def create(request):
    return edit_record(request, Patient(hospital=request.hospital), Verb.CREATE)


@clinician_required
@require_http_methods(["GET", "POST"])
def edit(request, pk):
    if request.method == "GET":
        return edit_record(request, get_object_or_404(Patient, pk=pk, anonymised_at=None), Verb.EDIT)
    with transaction.atomic():
        # Locked, so that of two who save at once the second finds what the first has saved.
        patient = get_object_or_404(Patient.objects.select_for_update(), pk=pk, anonymised_at=None)
        return edit_record(request, patient, Verb.EDIT)


def edit_record(request, patient, verb, onward=None):
    """The form of a new patient or of one on record. `onward`: the row whose page comes after a new one's."""
    form = PatientForm(request.POST if request.method == "POST" else None, instance=patient)
    opened_in.check(request, form)
    if request.method == "POST" and form.is_valid():
        try:
            with transaction.atomic():
                form.save()
                if verb == Verb.CREATE:  # edits are on record field by field: `audit.changes`
                    record(verb, patient, request=request)
        except IntegrityError:
            # Two people, or a double click, saved the same MRN at once.
            form.add_error("mrn", "This MRN was just given to another patient of the hospital. Check the list.")
        else:
            messages.success(request, f"{patient} was saved.")
            return redirect(onward or reverse("patients:detail", args=[patient.pk]))
    if verb == Verb.EDIT:
        record(Verb.VIEW, patient, request=request, detail="form")
    status = opened_in.refusal(form) if form.errors else 200
    alike = form.alike if status == 422 else []  # else they are of a hospital that is not meant
    record_each(Verb.VIEW, alike, request=request, detail="perhaps the same child as a new patient")
    context = {"form": form, "alike": alike, "patient": None if verb == Verb.CREATE else patient, "onward": onward}
    return render(request, "patients/form.html", context, status=status)


@clinician_required
@require_POST
def archive(request, pk):
    return _set_archived(request, pk, timezone.now(), Verb.ARCHIVE, "was archived. You can restore the record here.")


@clinician_required
@require_POST
def restore(request, pk):
    return _set_archived(request, pk, None, Verb.RESTORE, "was restored.")


def _set_archived(request, pk, archived_at, verb, sentence):
    with transaction.atomic():
        patient = get_object_or_404(Patient.objects.select_for_update(), pk=pk, anonymised_at=None)
        if bool(patient.archived_at) != bool(archived_at):
            patient.archived_at = archived_at
            patient.save(update_fields=["archived_at"])
            record(verb, patient, request=request)
    messages.success(request, f"{patient} {sentence}")
    return redirect("patients:detail", pk=patient.pk)
