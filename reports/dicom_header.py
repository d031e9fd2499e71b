"""What every DICOM instance made of a report says of the patient and the study, and whence the film came.

The patient is the record's, as it stands now, and the study that of the film where it came as DICOM: a PACS files the
report beside it. UIDs follow from the keys of the rows, so that a report exported twice is the same instance.
"""

import io
import re
import uuid

import pydicom
from django.core.files.storage import storages
from django.utils import timezone
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.uid import UID
from pydicom.valuerep import DA, TM

from clinical.growth.ages import completed

PRODUCT = "Bone Age Portal"
LONGEST = 64  # characters of a name (VR PN) and of most other text (VR LO)
IDENTITY = ("SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID")
ORDER = ("AccessionNumber", "StudyID")


def uid(key, part=""):
    """The UID of a row with the UUID `key`, or of a `part` of it, below the root for UUIDs (PS3.5, B.2)."""
    return f"2.25.{(uuid.uuid5(key, part) if part else key).int}"


def source(radiograph):
    """A Dataset with the IDENTITY and ORDER of a film that came as DICOM, or None of one that a PACS cannot know.

    Raises FileNotFoundError when its file is gone.
    """
    if radiograph.format != "dicom":
        return None
    try:
        with storages["private"].open(radiograph.name) as file:
            stored = pydicom.dcmread(file, stop_before_pixels=True, specific_tags=[*IDENTITY, *ORDER])
    except InvalidDicomError as error:
        raise FileNotFoundError("The stored file is damaged.") from error
    film = Dataset()
    for keyword in IDENTITY:
        value = _ascii(stored, keyword)
        if not (value and UID(value).is_valid):
            return None
        setattr(film, keyword, value)
    for keyword in ORDER:
        value = _ascii(stored, keyword)
        setattr(film, keyword, value if len(value) <= 16 else "")
    return film


def _ascii(dataset, keyword):
    """A value as it is stored. pydicom's own reading quotes what is no valid value in a warning."""
    element = dataset.get_item(keyword)
    value = (element.value or b"") if element else b""
    return value.decode("ascii").strip(" \0") if value.isascii() and b"\\" not in value else ""


def header(report, film):
    """The modules Patient, General Study and Patient Study of a report of `film`, which is its `source`."""
    study, patient = report.study, report.study.patient
    dataset = Dataset()
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.PatientName = name = patient_name(patient)
    dataset.PatientID = text(patient.mrn)
    dataset.PatientBirthDate = DA(patient.date_of_birth)
    dataset.PatientSex = patient.sex
    if len(name) == LONGEST:
        dataset.PatientComments = f"Whole name: {patient.full_name}"
    dataset.PatientAge = f"{completed(report.review.age_months):03}M"
    dataset.StudyInstanceUID = film.StudyInstanceUID if film else uid(study.pk)
    dataset.StudyDate, dataset.StudyTime = DA(report.acquired_on), ""
    dataset.ReferringPhysicianName = ""
    for keyword in ORDER:
        setattr(dataset, keyword, film.get(keyword) if film else "")
    return dataset


def signed_at(report):
    """Day and time of the signature where the portal is, as DICOM writes them."""
    at = timezone.localtime(report.signed_at)
    return DA(at.date()), TM(at.time())


def patient_name(patient):
    """Family and given name as DICOM writes them; where both are too long, the end of both is missing."""
    family, given = _component(patient.family_name), _component(patient.given_name)
    given = given[: max(LONGEST // 2, LONGEST - 1 - len(family))]
    return f"{family[: LONGEST - 1 - len(given)]}^{given}"


def person_name(user):
    """Whole in the first component: which part of a user's name is the family's is not known."""
    return f"{_component(str(user))[: LONGEST - 1]}^"


def _component(name):
    """Without what separates the components and the scripts of a name."""
    return re.sub(r"[\\^=\x00-\x1f\x7f]+", " ", name).strip()


def text(words):
    """On one line, and without what separates one value from the next."""
    return re.sub(r"[\\\x00-\x1f\x7f]", " ", words).strip()[:LONGEST]


def encoded(dataset):
    """The bytes of the file."""
    written = io.BytesIO()
    dataset.save_as(written, enforce_file_format=True)
    return written.getvalue()
