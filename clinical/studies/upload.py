"""Uploads: several files, each with its own answer; one that is refused does not stop the others."""

import uuid
from dataclasses import dataclass, field

from django.core.exceptions import ValidationError
from django.db import transaction
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_GET, require_http_methods
from django_htmx.http import reswap

from clinical.accounts import opened_in
from clinical.accounts.permissions import clinician_required, limited
from clinical.audit.record import Verb, record
from clinical.patients.models import Patient
from clinical.studies import intake, workflow
from clinical.studies.forms import UploadForm, check_study_date
from clinical.studies.models import Radiograph, Study
from clinical.studies.queries import with_row_facts
from clinical.studies.workflow import ARCHIVED
from inference.engine import UnreadableRadiograph, read_radiograph


@dataclass
class UploadResult:
    """What became of one file. `status`: queued, duplicate, unmatched or refused; `http_status` is its own."""

    file_name: str
    status: str
    message: str
    http_status: int = 200
    study: Study | None = None
    notices: list[str] = field(default_factory=list)
    confirm: dict[str, str] | None = None
    filed_for: Patient | None = None
    earlier: Study | None = None  # of the same picture

    @property
    def worth_another_try(self):
        """The file itself is in order; what stands in its way can be put right."""
        return self.status == "unmatched" or self.http_status == 507


class Unplaced(Exception):
    """The file cannot be filed. Its text is for the technician; `status` as in UploadResult."""

    def __init__(self, message, status="refused"):
        super().__init__(message)
        self.status = status


@clinician_required
@limited("upload")
@require_http_methods(["GET", "POST"])
def upload(request, pk):
    """Radiographs of one patient."""
    patient = get_object_or_404(Patient, pk=pk, anonymised_at=None)

    def page(form, results=(), status=200):
        record(Verb.VIEW, patient, request=request, detail="upload")
        context = {"patient": patient, "form": form, "results": results}
        return render(request, "studies/upload.html", context, status=status)

    if request.method == "GET":
        return page(UploadForm(patient=patient))
    form = UploadForm(request.POST, patient=patient)
    if patient.archived_at:
        form.add_error(None, ARCHIVED)
    return receive(
        request,
        form,
        page,
        place=lambda picture, name, shared: (patient, intake.study_date(picture, shared["acquired_on"])),
        again=lambda shared: UploadForm(initial=shared, patient=patient),
    )


@clinician_required
@require_GET
def outcome(request, pk):
    """What became of an uploaded file since, for its row, which asks until there is something to see."""
    study = get_object_or_404(with_row_facts(Study.objects.all()), pk=pk)
    if not study.is_pending:
        record(Verb.VIEW, study, request=request, detail="outcome")
    return render(request, "studies/_outcome.html", {"study": study, "is_pending": study.is_pending})


def receive(request, form, page, place, again, names_patient=False):
    """Answer an upload: submit each file and say what became of it, as a fragment to the script, else on the page.

    page(form, results, status) -> response. place(picture, file name, shared) -> (patient, study date) or raises
    Unplaced; `shared` is what the form says of all files. again(shared) -> the form for the next upload.
    names_patient: the answers say for whom a file was filed.
    """
    files = request.FILES.getlist("files")
    stored = request.POST.get("radiograph")
    if not files and not stored:
        form.add_error(None, "Choose at least one file.")
    opened_in.check(request, form)
    if not form.is_valid():
        status = opened_in.refusal(form)
        if request.htmx:
            message = " ".join(error for errors in form.errors.values() for error in errors)
            answer = render(request, "portal/error_fragment.html", {"message": message}, status=status)
            answer["Invalid-Fields"] = " ".join(form.errors.keys() & form.fields.keys())  # for the script to mark
            return reswap(answer, "beforeend")  # below the question about a duplicate, which stays
        return page(form, status=status)
    shared = form.cleaned_data
    if stored:
        key = stored if stored.isdecimal() and len(stored) < 18 else None
        radiograph = Radiograph.objects.filter(pk=key).first()
        name = request.POST.get("file_name", "")[:200] or "The stored picture"
        if radiograph is None:  # the question was answered after `unfiled.KEPT_DAYS`
            results = [UploadResult(name, "refused", "The file was not kept so long. Choose it again.", 422)]
        else:
            results = [submit_stored(request, radiograph, name, shared, place, confirmed=True)]
    else:
        results = [submit_file(request, file, shared, place) for file in files]
    if request.htmx:
        [result, *_] = results
        context = {"result": result, "names_patient": names_patient}
        return render(request, "studies/_upload_result.html", context, status=result.http_status)
    # The next upload from this page is a new one, with what the files share kept.
    status = max(result.http_status for result in results) if len(results) == 1 else 200
    return page(again({**shared, "submission": uuid.uuid4()}), results, status)


def _placed(place, picture, file_name, shared):
    """What `place` says, with a date that can be right."""
    patient, acquired_on = place(picture, file_name, shared)
    try:
        check_study_date(acquired_on, patient)
    except ValidationError as error:
        raise Unplaced(f"{error.message} Enter the right date and try again.") from error
    return patient, acquired_on


def submit_file(request, file, shared, place, confirmed=False):
    """Submit one file; an UploadResult says what became of it. `place` and `shared` as in `receive`.

    `confirmed`: the same picture is meant to be filed again.
    """
    try:
        data = intake.read_upload(file)
        picture = read_radiograph(data)
        patient, acquired_on = _placed(place, picture, file.name, shared)
        radiograph = intake.keep(request.hospital, data, picture)
    except UnreadableRadiograph as error:
        return UploadResult(file.name, "refused", str(error), 422)
    except Unplaced as error:
        return UploadResult(file.name, error.status, str(error), 422)
    except intake.StorageFull as error:
        return UploadResult(file.name, "refused", str(error), 507)
    return _submit(request, patient, radiograph, picture, file.name, acquired_on, shared, confirmed)


def submit_stored(request, radiograph, name, shared, place, confirmed=False, check=lambda: None):
    """The same for a picture that the portal holds already.

    `check()`, in the transaction that makes the study, may raise Unplaced.
    """
    try:
        picture = intake.reread(radiograph)
        patient, acquired_on = _placed(place, picture, name, shared)
    except FileNotFoundError:
        return UploadResult(name, "refused", "The stored picture could not be found. Upload the file again.", 422)
    except Unplaced as error:
        return UploadResult(name, error.status, str(error), 422)
    try:
        with transaction.atomic():
            check()
            return _submit(request, patient, radiograph, picture, name, acquired_on, shared, confirmed)
    except Unplaced as error:
        return UploadResult(name, error.status, str(error), 422)


def _submit(request, patient, radiograph, picture, file_name, acquired_on, shared, confirmed):
    notices = intake.mismatches(picture, patient, acquired_on)
    try:
        study = workflow.submit(
            patient=patient,
            radiograph=radiograph,
            acquired_on=acquired_on,
            indication=shared["indication"],
            urgent=shared["urgent"],
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
            "urgent": "on" if shared["urgent"] else "",
            "file_name": file_name,
            "mrn": patient.mrn,  # the name of a file of the bulk upload may not say it
        }
        asks, earlier = str(duplicate), duplicate.earlier
        record(Verb.VIEW, patient, request=request, detail="upload asked about")
        return UploadResult(file_name, "duplicate", asks, 409, None, notices, confirm, patient, earlier)
    except workflow.WrongState as error:
        return UploadResult(file_name, "refused", str(error), 422)
    return UploadResult(file_name, "queued", "Uploaded and queued.", 200, study, notices, filed_for=patient)
