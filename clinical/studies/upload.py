"""The upload page: several files, each with its own answer; one that is refused does not stop the others."""

import uuid
from dataclasses import dataclass, field

from django.core.exceptions import ValidationError
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_http_methods

from clinical.accounts.permissions import clinician_required
from clinical.patients.models import Patient
from clinical.studies import intake, workflow
from clinical.studies.forms import UploadForm, check_study_date
from clinical.studies.models import Radiograph, Study
from inference.engine import UnreadableRadiograph


@dataclass
class UploadResult:
    """What became of one file. `status`: queued, duplicate or refused; `http_status` is its own."""

    file_name: str
    status: str
    message: str
    http_status: int = 200
    study: Study | None = None
    notices: list[str] = field(default_factory=list)
    confirm: dict[str, str] | None = None


@clinician_required
@require_http_methods(["GET", "POST"])
def upload(request, pk):
    patient = get_object_or_404(Patient, pk=pk)
    if request.method == "GET":
        return _page(request, patient, UploadForm(patient=patient))
    form = UploadForm(request.POST, patient=patient)
    if patient.archived_at:
        form.add_error(None, "This patient is archived. Restore the record before you upload.")
    files = request.FILES.getlist("files")
    stored = request.POST.get("radiograph")
    if not files and not stored:
        form.add_error(None, "Choose at least one file.")
    if not form.is_valid():
        return _invalid(request, patient, form)
    if stored:
        results = [_submit_stored(request, patient, stored, form.cleaned_data)]
    else:
        results = [_submit_file(request, patient, file, form.cleaned_data) for file in files]
    if request.htmx:
        [result, *_] = results
        return render(request, "studies/_upload_result.html", {"result": result}, status=result.http_status)
    # The next upload from this page is a new one, with what the files share kept.
    again = UploadForm(initial={**form.cleaned_data, "submission": uuid.uuid4()}, patient=patient)
    status = max(result.http_status for result in results) if len(results) == 1 else 200
    return _page(request, patient, again, results, status)


def _page(request, patient, form, results=(), status=200):
    context = {"patient": patient, "form": form, "submission": form["submission"].value(), "results": results}
    return render(request, "studies/upload.html", context, status=status)


def _invalid(request, patient, form):
    if request.htmx:
        message = " ".join(error for errors in form.errors.values() for error in errors)
        return render(request, "portal/error_fragment.html", {"message": message}, status=422)
    return _page(request, patient, form, status=422)


def _submit_file(request, patient, file, shared):
    try:
        radiograph, picture = intake.store(request.hospital, intake.read_upload(file))
    except UnreadableRadiograph as error:
        return UploadResult(file.name, "refused", str(error), 422)
    except intake.StorageFull as error:
        return UploadResult(file.name, "refused", str(error), 507)
    return _submit(request, patient, radiograph, picture, file.name, shared, confirmed=False)


def _submit_stored(request, patient, pk, shared):
    """Submit a picture that the portal holds, after the question about a duplicate was answered with yes."""
    radiograph = get_object_or_404(Radiograph, pk=pk if pk.isdigit() and len(pk) < 18 else None)
    name = request.POST.get("file_name", "")[:200] or "The stored picture"
    try:
        picture = intake.reread(radiograph)
    except FileNotFoundError:
        return UploadResult(name, "refused", "The stored picture could not be found. Upload the file again.", 422)
    return _submit(request, patient, radiograph, picture, name, shared, confirmed=True)


def _submit(request, patient, radiograph, picture, file_name, shared, confirmed):
    acquired_on = intake.study_date(picture, shared["acquired_on"])
    try:
        check_study_date(acquired_on, patient)
    except ValidationError as error:
        return UploadResult(file_name, "refused", f"{error.message} Enter the right date and try again.", 422)
    notices = intake.mismatches(picture, patient, acquired_on)
    try:
        study = workflow.submit(
            patient=patient,
            radiograph=radiograph,
            acquired_on=acquired_on,
            indication=shared["indication"],
            notices=notices,
            submission=shared["submission"],
            actor=request.user,
            confirmed=confirmed,
        )
    except workflow.DuplicateRadiograph as duplicate:
        confirm = {
            "radiograph": str(radiograph.pk),
            "submission": str(uuid.uuid4()),
            "acquired_on": shared["acquired_on"].isoformat() if shared["acquired_on"] else "",
            "indication": shared["indication"],
            "file_name": file_name,
        }
        return UploadResult(file_name, "duplicate", str(duplicate), 409, notices=notices, confirm=confirm)
    return UploadResult(file_name, "queued", "Uploaded and queued.", 200, study, notices)
