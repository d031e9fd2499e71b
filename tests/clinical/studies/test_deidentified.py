"""Copies of radiographs that name nobody."""

import io

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import generate_uid

from clinical.audit.models import AccessEvent
from clinical.studies.deidentified import deidentify
from inference.engine import read_radiograph
from tests import radiograph_files
from tests.factories import StudyFactory

pytestmark = pytest.mark.usefixtures("unscoped")
SECRET = "Xanthippe"


def of_xanthippe(**elements):
    """A DICOM file that names her in its header, in sequences and in private elements."""
    dataset = pydicom.dcmread(io.BytesIO(radiograph_files.dicom(**elements)))
    for keyword in (
        "PatientName",
        "PatientID",
        "InstitutionName",
        "PatientComments",
        "StudyDescription",
        "AccessionNumber",
    ):
        setattr(dataset, keyword, SECRET)
    dataset.PatientBirthDate, dataset.StudyDate, dataset.PatientSex = "20140309", "20240501", "F"
    dataset.private_block(0x0009, SECRET, create=True).add_new(1, "LO", SECRET)
    inner, outer = Dataset(), Dataset()
    inner.PatientName = inner.ReferringPhysicianName = SECRET
    outer.AnatomicRegionSequence, outer.PersonName = Sequence([inner]), SECRET
    dataset.AnatomicRegionSequence = Sequence([inner])
    dataset.RequestAttributesSequence = Sequence([outer])
    dataset.preamble = SECRET.encode().ljust(128, b"\0")
    meta = dataset.file_meta
    meta.SourceApplicationEntityTitle = meta.SendingApplicationEntityTitle = SECRET
    meta.PrivateInformationCreatorUID, meta.PrivateInformation = generate_uid(), SECRET.encode() + b"\0"
    written = io.BytesIO()
    dataset.save_as(written)
    return written.getvalue()


def test_nothing_in_the_file_names_the_patient():
    before = of_xanthippe()
    assert SECRET.encode() in before
    after = deidentify(before)
    for told in (SECRET.encode(), b"20140309", b"20240501"):
        assert told in before
        assert told not in after


def test_its_keys_are_new_and_fit_one_another():
    before, after = of_xanthippe(), pydicom.dcmread(io.BytesIO(deidentify(of_xanthippe())))
    dataset = pydicom.dcmread(io.BytesIO(before))
    for keyword in ("SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"):
        if keyword in dataset:
            assert after[keyword].value != dataset[keyword].value
    assert after.file_meta.MediaStorageSOPInstanceUID == after.SOPInstanceUID
    assert after.SOPClassUID == dataset.SOPClassUID


@pytest.mark.parametrize("missing", ["SOPInstanceUID", "SOPClassUID"])
def test_a_file_without_a_key_or_a_class_gets_one(missing):
    after = pydicom.dcmread(io.BytesIO(deidentify(of_xanthippe(**{missing: None}))))
    assert after.file_meta.MediaStorageSOPInstanceUID == after.SOPInstanceUID
    assert after.file_meta.MediaStorageSOPClassUID == after.SOPClassUID


def test_it_says_what_was_done_to_it():
    after = pydicom.dcmread(io.BytesIO(deidentify(of_xanthippe())))
    assert (after.PatientIdentityRemoved, after.DeidentificationMethodCodeSequence[0].CodeValue) == ("YES", "113100")


def test_the_picture_is_the_same_and_read_as_before():
    before = of_xanthippe(pixels=radiograph_files.hand(depth=12))
    np.testing.assert_array_equal(read_radiograph(deidentify(before)).pixels, read_radiograph(before).pixels)


@pytest.fixture
def copied(as_user, alice, patient):
    def download(content, format):
        study = StudyFactory(patient=patient, radiograph__file=content, radiograph__format=format)
        response = as_user(alice).get(f"/studies/{study.pk}/de-identified/")
        assert response.status_code == 200
        return response

    return download


def test_a_doctor_downloads_it_and_that_is_on_record(copied, patient):
    response = copied(of_xanthippe(), "dicom")
    assert SECRET.encode() not in response.content
    assert response["Content-Disposition"] == 'attachment; filename="de-identified.dcm"'
    event = AccessEvent.objects.get(verb="download")
    assert (event.patient_key, event.detail) == (str(patient.pk), "de-identified")


def test_of_other_formats_the_pixels_alone_are_copied(copied):
    exif = Image.Exif()
    exif[0x010E] = SECRET  # description
    before = radiograph_files.jpeg(exif=exif)
    assert SECRET.encode() in before
    response = copied(before, "jpeg")
    assert SECRET.encode() not in response.content
    assert response["Content-Disposition"] == 'attachment; filename="de-identified.png"'
    np.testing.assert_array_equal(read_radiograph(response.content).pixels, read_radiograph(before).pixels)
