"""Many radiographs at once, each filed for the patient whose MRN its name or its DICOM header gives."""

import re
from datetime import date
from functools import partial

from django.core.exceptions import ValidationError
from django.shortcuts import render
from django.views.decorators.http import require_http_methods

from clinical.accounts.permissions import clinician_required, limited
from clinical.patients.queries import with_mrn
from clinical.studies.forms import BulkUploadForm, check_study_date
from clinical.studies.upload import ARCHIVED, Unplaced, receive

# MRN.png, MRN_2024-05-01.dcm. Only endings that pictures have are cut off: an MRN may contain a dot.
NAME = re.compile(
    r"(?P<mrn>.+?)(_((?P<day>\d{4}-\d{2}-\d{2})|(?P<unclear_day>\d{1,2}[-.]\d{1,2}[-.]\d{4})))?"
    r"(\.(png|jpe?g|tiff?|webp|dcm|dicom))?",
    re.IGNORECASE | re.DOTALL,
)


@clinician_required
@limited("upload")
@require_http_methods(["GET", "POST"])
def bulk_upload(request):
    def page(form, results=(), status=200):
        context = {"form": form, "results": results, "names_patient": True}
        return render(request, "studies/bulk_upload.html", context, status=status)

    if request.method == "GET":
        return page(BulkUploadForm())
    return receive(
        request,
        BulkUploadForm(request.POST),
        page,
        place=partial(place, mrn=request.POST.get("mrn", "").strip()),
        again=lambda shared: BulkUploadForm(initial=shared),
        names_patient=True,
    )


def place(picture, file_name, shared, mrn):
    """The (patient, study date) that the name and the DICOM header of a file give; raises Unplaced.

    `mrn`, where one was entered for the file, stands for that of the name.

    The date: of the name, else of the header, else the one entered for files without. Two patients are no match:
    a radiograph filed for the wrong child is worse than one that is not filed.
    """
    name = NAME.fullmatch(file_name)
    patient = patient_of(picture, mrn or name["mrn"].strip(), "MRN" if mrn else "file name", missing=mrn)
    day, source = _date(name["day"]), "file name"
    if not day:
        day, source = picture.dicom and picture.dicom.study_date, "DICOM header"
    if not day:
        if name["unclear_day"]:  # 05-01-2024 is in May or in January
            raise _no_date(name["unclear_day"])
        return patient, shared["acquired_on"]
    try:
        return patient, check_study_date(day, patient)
    except ValidationError as error:
        raise Unplaced(
            f"{error.message} The {source} gives {day}. "
            "Upload the file from the patient's page, where the date can be entered."
        ) from error


def patient_of(picture, mrn, source, missing=""):
    """Whom `mrn`, which the `source` gives, and the DICOM header name; raises Unplaced where that is not one patient.

    `missing`: the MRN that the refusal names before all others.
    """
    header_id = ((picture.dicom and picture.dicom.patient_id) or "").strip()
    by_mrn, by_header = with_mrn(mrn), with_mrn(header_id)
    patient = by_mrn or by_header
    if patient is None:
        raise Unplaced(f"No patient with the MRN {missing or header_id or mrn}.", "unmatched")
    if by_mrn and by_header and by_mrn != by_header:
        raise Unplaced(
            f"The {source} and the DICOM header name two different patients. "
            "Find out whose radiograph it is, and upload it from that patient's page."
        )
    if patient.archived_at:
        raise Unplaced(ARCHIVED)
    return patient


def _date(text):
    try:
        return text and date.fromisoformat(text)
    except ValueError:
        raise _no_date(text) from None


def _no_date(text):
    return Unplaced(f"{text} in the file name is no clear date. Write it as year, month and day: 2024-05-01.")
