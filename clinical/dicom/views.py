"""Films that have arrived and wait until somebody says whose they are."""

import uuid
from functools import wraps

from django.contrib import messages
from django.http import Http404
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from clinical.accounts import opened_in
from clinical.accounts.permissions import clinician_required
from clinical.audit.models import AccessEvent
from clinical.audit.record import Verb, record
from clinical.dicom import arrivals
from clinical.dicom.forms import ArrivalForm
from clinical.dicom.models import IN_ANOTHER_FILE, Arrival
from clinical.dicom.queries import SORTS, ArrivalFilter, other_files, waiting
from clinical.listing import listing
from clinical.patients.models import Patient
from clinical.patients.queries import with_mrn
from clinical.patients.views import edit_record
from clinical.studies import intake
from clinical.studies.upload import ARCHIVED, Unplaced, submit_stored
from clinical.studies.views import deliver_picture
from clinical.turns import take_turn

FILED = "filed"


@clinician_required
@require_GET
def arrival_list(request):
    discarded = request.GET.get("discarded") == "true"
    films = Arrival.objects.filter(discarded_at__isnull=False) if discarded else waiting()
    films = films.select_related("sender", "discarded_by")
    record(Verb.VIEW, request.hospital, request=request, detail="arrivals")
    context = listing(request, ArrivalFilter(request.GET, films), SORTS, "-received")
    context |= {"discarded": discarded, "days": arrivals.DISCARDED_DAYS}
    return render(request, "dicom/arrivals.html", context)


def _of_a_film(view):
    """Hand `view` the film. Whoever comes to one that is filed by now is told so, back on the list."""

    @wraps(view)
    def found(request, pk):
        film = Arrival.objects.select_related("sender", "radiograph", "discarded_by").filter(pk=pk).first()
        if film:
            return view(request, film)
        events = AccessEvent.objects.filter(object_type="arrival", object_key=str(pk))
        if not events.exists():
            raise Http404("There was no such film.")
        filed = events.filter(verb=Verb.REMOVE, detail=FILED).first()
        what = f"{filed.actor_name} has filed this film already." if filed else "This film does not wait any more."
        messages.warning(request, what)
        return redirect("dicom:arrivals")

    return found


@clinician_required
@require_http_methods(["GET", "POST"])
@_of_a_film
def arrival(request, film):
    """One film: look at it, and file it for whom it is."""
    if request.method == "GET":
        return _page(request, film, ArrivalForm(arrival=film))
    if film.discarded_at:
        messages.warning(
            request, f"{film.discarded_by or 'Somebody'} has discarded this film. Bring it back to file it."
        )
        return redirect(film)
    form = ArrivalForm(request.POST, arrival=film)
    opened_in.check(request, form)
    if form.is_valid() and (study := _file(request, film, form)):
        record(Verb.REMOVE, film, request=request, detail=FILED)
        film.delete()
        messages.success(request, f"The film was filed for {study.patient} and queued.")
        return redirect("studies:detail", pk=study.pk)
    return _page(request, film, form, opened_in.refusal(form))


def _page(request, film, form, status=200):
    record(Verb.VIEW, film, request=request)
    known = with_mrn(film.mrn)
    if known:
        record(Verb.VIEW, known, request=request, detail="perhaps the patient of a film")
    return render(request, "dicom/arrival.html", {"arrival": film, "form": form, "known": known}, status=status)


def _file(request, film, form):
    """The study that the film makes, or None, and the form says why. Of two who file it at once both get the same."""
    confirmed = form.cleaned_data["confirmed"]

    def check():
        take_turn("film", film.hospital_id, film.submission)
        studies, _ = other_files(film.submission, film.radiograph)
        if not confirmed and studies.exists():
            raise Unplaced(f"{IN_ANOTHER_FILE} Is it meant to be filed again?", "duplicate")

    shared = {**form.cleaned_data, "submission": uuid.uuid5(film.pk, "again") if confirmed else film.submission}
    result = submit_stored(request, film.radiograph, "The film", shared, _place, confirmed, check)
    if result.study is None:
        form.add_error("mrn" if result.status == "unmatched" else None, result.message)
        form.asks = result.status == "duplicate"
    return result.study


def _place(picture, file_name, shared):
    patient = with_mrn(shared["mrn"])
    if patient is None:
        raise Unplaced(f"No patient with the MRN {shared['mrn']}. Register the child first.", "unmatched")
    if patient.archived_at:
        raise Unplaced(ARCHIVED)
    return patient, intake.study_date(picture, shared["acquired_on"])


@clinician_required
@require_http_methods(["GET", "POST"])
@_of_a_film
def register(request, film):
    """Register the child that the header names; the film is filed afterwards, on its own page."""
    said = {name: getattr(film, name) for name in ("mrn", "family_name", "given_name", "sex", "date_of_birth")}
    if request.method == "GET":
        record(Verb.VIEW, film, request=request, detail="form of a new patient")
    return edit_record(request, Patient(hospital=request.hospital, **said), Verb.CREATE, onward=film)


@clinician_required
@require_GET
def picture(request, pk):
    return deliver_picture(request, get_object_or_404(Arrival.objects.select_related("radiograph"), pk=pk))


@clinician_required
@require_POST
@_of_a_film
def discard(request, film):
    arrivals.discard(film, request.user)
    messages.success(request, f"The film was discarded. For {arrivals.DISCARDED_DAYS} days it can be brought back.")
    return redirect("dicom:arrivals")


@clinician_required
@require_POST
@_of_a_film
def restore(request, film):
    arrivals.restore(film, request.user)
    messages.success(request, "The film waits for its patient again.")
    return redirect(film)
