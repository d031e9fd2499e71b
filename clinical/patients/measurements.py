"""Entering, changing, removing and putting back a height or weight. Whatever stood there before is kept."""

from datetime import date
from functools import wraps

from django.contrib import messages
from django.db import transaction
from django.http import Http404
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST

from clinical.accounts.permissions import clinician_required
from clinical.audit.record import Verb, record
from clinical.patients.forms import MeasurementForm
from clinical.patients.models import FormerMeasurement, MeasuredValues, Measurement, Patient

VALUES = [field.name for field in MeasuredValues._meta.get_fields()]
NAMED = {"patient__anonymised_at": None}  # of an anonymised patient they are figures, which stay as they are


@clinician_required
@require_http_methods(["GET", "POST"])
def add(request, pk):
    if request.method == "GET":
        patient = get_object_or_404(Patient, pk=pk, anonymised_at=None)
        return _page(
            request, MeasurementForm(instance=Measurement(patient=patient), initial={"measured_on": date.today()})
        )
    with transaction.atomic():
        # Locked, so that a double click finds what its first half has saved.
        patient = get_object_or_404(Patient.objects.select_for_update(), pk=pk, anonymised_at=None)
        return _save(request, Measurement(hospital=request.hospital, patient=patient), Verb.CREATE)


def _unless_removed(view):
    """Whoever comes to a measurement that is removed by now is told so, on the patient's page."""

    @wraps(view)
    def found(request, pk):
        try:
            return view(request, pk)
        except Http404:
            removed = FormerMeasurement.objects.filter(measurement_key=pk, removed=True, **NAMED).first()
            if removed is None:
                raise
            why = f"{removed.replaced_by} has removed this measurement. It can be put back from below the list."
            return _refused(request, removed.patient, why)

    return found


@clinician_required
@require_http_methods(["GET", "POST"])
@_unless_removed
def edit(request, pk):
    if request.method == "GET":
        return _page(request, MeasurementForm(instance=get_object_or_404(Measurement, pk=pk, **NAMED)))
    with transaction.atomic():
        # The record is locked too, so that a correction of the birth comes before this or finds the new date.
        locked = Patient.objects.select_for_update(of=("self",))
        patient = get_object_or_404(locked, measurements=pk, anonymised_at=None)
        measurement = get_object_or_404(patient.measurements.select_for_update(), pk=pk)
        return _save(request, measurement, Verb.EDIT)


def _save(request, measurement, verb):
    former = _former(measurement, request.user)
    form = MeasurementForm(request.POST, instance=measurement)
    if not form.is_valid():
        return _page(request, form, 422)
    if _changed(form):
        if verb == Verb.EDIT:
            former.save()
        keep(form, request, verb)
    messages.success(request, "The measurement was saved.")
    return redirect("patients:detail", pk=measurement.patient_id)


def _changed(form):
    return [name for name in form.changed_data if name in VALUES]


def keep(form, request, verb):
    """Save the measurement of a valid form in the name of who sent it."""
    form.instance.entered_by, form.instance.entered_at = request.user, timezone.now()
    form.save()
    record(verb, form.instance, request=request, detail=", ".join(_changed(form)))


def _page(request, form, status=200):
    measurement = form.instance
    record(Verb.VIEW, measurement.patient, request=request, detail="measurements")
    context = {
        "form": form,
        "patient": measurement.patient,
        "measurement": None if measurement._state.adding else measurement,
        "history": measurement.patient.former_measurements.filter(measurement_key=measurement.pk).select_related(
            "entered_by", "replaced_by"
        ),
    }
    return render(request, "patients/measurement_form.html", context, status=status)


@clinician_required
@require_http_methods(["GET", "POST"])
@_unless_removed
def remove(request, pk):
    if request.method == "GET":
        measurement = get_object_or_404(Measurement, pk=pk, **NAMED)
        context = {
            "title": "Remove this measurement?",
            "message": "It no longer counts in charts and predictions. It stays on record and can be put back.",
            "verb": "Remove the measurement",
            "back": reverse("patients:detail", args=[measurement.patient_id]),
        }
        return render(request, "portal/confirm.html", context)
    with transaction.atomic():
        measurement = get_object_or_404(Measurement.objects.select_for_update(of=("self",)), pk=pk, **NAMED)
        if measurement.patient.archived_at:
            return _refused(request, measurement.patient)
        _former(measurement, request.user, removed=True).save()
        record(Verb.REMOVE, measurement, request=request)
        measurement.delete()
    messages.success(request, "The measurement was removed. It can be put back from below the list.")
    return redirect("patients:detail", pk=measurement.patient_id)


@clinician_required
@require_POST
def put_back(request, pk):
    """Make the removed values `pk`, of a FormerMeasurement, count again; a second click changes nothing."""
    with transaction.atomic():
        former = get_object_or_404(FormerMeasurement, pk=pk, removed=True)
        # Locked, so that a correction of the birth comes before this or finds what was put back.
        patient = get_object_or_404(Patient.objects.select_for_update(), pk=former.patient_id, anonymised_at=None)
        if patient.archived_at:
            return _refused(request, patient)
        if former.measured_on < patient.date_of_birth:
            return _refused(
                request,
                patient,
                f"This measurement is dated {former.measured_on:%d %B %Y}, before the patient's birth. "
                "Enter it anew with the right date.",
            )
        values = {name: getattr(former, name) for name in VALUES}
        measured = {name: values[name] for name in ("measured_on", "height_cm", "weight_kg")}
        if patient.measurements.filter(**measured).exclude(pk=former.measurement_key).exists():
            return _refused(request, patient, "This measurement was entered anew meanwhile: it is on record.")
        measurement, created = Measurement.objects.get_or_create(
            pk=former.measurement_key, defaults={"patient": patient, **values}
        )
        if created:
            record(Verb.RESTORE, measurement, request=request)
    messages.success(request, "The measurement was put back.")
    return redirect("patients:detail", pk=patient.pk)


def _refused(request, patient, why="This patient is archived. Restore the record before you change its measurements."):
    messages.warning(request, why)
    return redirect("patients:detail", pk=patient.pk)


def _former(measurement, user, removed=False):
    """The values of `measurement` as they are, to be saved once `user` has replaced or removed them."""
    values = {name: getattr(measurement, name) for name in VALUES if name != "entered_by"}
    return FormerMeasurement(
        **values,
        entered_by_id=measurement.entered_by_id,
        patient_id=measurement.patient_id,
        measurement_key=measurement.pk,
        replaced_by=user,
        removed=removed,
    )
