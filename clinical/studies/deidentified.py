"""A copy of the radiograph that names nobody, to be shown or sent to others.

DICOM keeps to the Basic Application Level Confidentiality Profile of PS3.15, Annex E, by the table of dicom-anonymizer;
of other formats the pixels alone are copied. Neither looks at what is written in the picture itself.
"""

import io
from functools import partial

import cv2
import pydicom
from dicomanonymizer.simpledicomanonymizer import anonymize_dataset, initialize_actions
from django.core.files.storage import storages
from django.http import Http404
from django.shortcuts import get_object_or_404
from django.views.decorators.http import require_GET
from pydicom.dataset import FileMetaDataset
from pydicom.errors import InvalidDicomError
from pydicom.sequence import Sequence
from pydicom.uid import SecondaryCaptureImageStorage, generate_uid

from clinical.accounts.permissions import clinician_required
from clinical.audit.downloads import deliver_made
from clinical.studies.intake import reread
from clinical.studies.models import Study

RULES = partial(initialize_actions, "dicomfields_2026c")
METHOD = "DICOM PS3.15 Basic Application Level Confidentiality Profile"


@clinician_required
@require_GET
def deidentified(request, pk):
    """The copy, to be saved."""
    study = get_object_or_404(Study.objects.select_related("radiograph"), pk=pk)
    try:
        content, extension, content_type = copy_of(study.radiograph)
    except FileNotFoundError:
        raise Http404("The stored radiograph is gone.") from None
    filename = f"de-identified.{extension}"
    return deliver_made(request, study, content, content_type=content_type, filename=filename, as_attachment=True)


def copy_of(radiograph):
    """(bytes, extension, content type) of a copy of `radiograph` that names nobody. Raises FileNotFoundError."""
    if radiograph.format == "dicom":
        with storages["private"].open(radiograph.name) as file:
            data = file.read()
        try:
            return deidentify(data), "dcm", "application/dicom"
        except InvalidDicomError as error:
            raise FileNotFoundError("The stored file is damaged.") from error
    _, encoded = cv2.imencode(".png", reread(radiograph).pixels)
    return encoded.tobytes(), "png", "image/png"


def deidentify(data):
    """The DICOM file in the bytes `data` without what the profile removes, in all its sequences. Pixels stay."""
    dataset = pydicom.dcmread(io.BytesIO(data))
    came = dataset.file_meta
    _clean(dataset)
    dataset.SOPClassUID = (
        dataset.get("SOPClassUID") or came.get("MediaStorageSOPClassUID") or SecondaryCaptureImageStorage
    )
    dataset.SOPInstanceUID = dataset.get("SOPInstanceUID") or generate_uid()
    # Made anew: no table of the profile knows what stands here, as whence the file was sent and private information.
    dataset.preamble, dataset.file_meta = b"\0" * 128, FileMetaDataset()
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.file_meta.TransferSyntaxUID = came.TransferSyntaxUID
    dataset.PatientIdentityRemoved = "YES"
    dataset.DeidentificationMethod = METHOD
    code = pydicom.Dataset()
    code.CodeValue, code.CodingSchemeDesignator = "113100", "DCM"
    code.CodeMeaning = "Basic Application Confidentiality Profile"
    dataset.DeidentificationMethodCodeSequence = Sequence([code])
    written = io.BytesIO()
    dataset.save_as(written, enforce_file_format=True)
    return written.getvalue()


def _clean(dataset):
    anonymize_dataset(dataset, base_rules_gen=RULES)
    for element in dataset:
        if element.VR == "SQ":
            for item in element.value:
                _clean(item)
