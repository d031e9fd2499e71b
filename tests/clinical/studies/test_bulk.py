"""Many radiographs at once: each finds its patient by the MRN in its name or in its DICOM header."""

from datetime import date, timedelta

import numpy as np
import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.utils import timezone

from clinical.audit.models import AccessEvent
from clinical.studies.models import Radiograph, Study
from tests import radiograph_files
from tests.factories import PatientFactory

pytestmark = pytest.mark.usefixtures("unscoped")

SUBMISSION = "0d4d9f7e-0000-4000-8000-000000000001"


def picture(number=0):
    """A radiograph unlike those of other numbers."""
    pixels = radiograph_files.hand()
    pixels[0, :8] = np.unpackbits(np.array([number], np.uint8)) * 40
    return radiograph_files.png(pixels)


@pytest.fixture
def bulk(client):
    """Post files to the bulk upload: `bulk(("A-1.png", data), ...)`."""

    def post(*files, headers=None, **fields):
        data = {"submission": SUBMISSION, "acquired_on": "2024-06-03", **fields}
        if files:
            data["files"] = [SimpleUploadedFile(name, content) for name, content in files]
        return client.post("/studies/upload/", data, headers=headers or {})

    return post


def statuses(response):
    return [result.status for result in response.context["results"]]


@pytest.mark.parametrize(
    ("mrn", "file_name"),
    [
        ("A-7", "A-7.png"),
        ("A-7", "a-7.PNG"),
        ("A-7", "A-7"),
        ("12.345", "12.345.png"),
        ("12.345", "12.345"),
        ("A_7", "A_7.png"),
        ("A_7", "A_7_2024-05-01.png"),
    ],
)
def test_the_name_of_the_file_is_the_mrn(as_user, tess, hospital, bulk, mrn, file_name):
    child = PatientFactory(hospital=hospital, mrn=mrn)
    as_user(tess)
    assert statuses(bulk((file_name, picture()))) == ["queued"]
    assert Study.objects.get().patient == child


def test_the_header_of_a_dicom_file_gives_the_mrn_and_the_date(as_user, tess, patient, bulk):
    as_user(tess)
    bulk(("IM0001", radiograph_files.dicom(PatientID=" a-1", StudyDate="20240501")))
    study = Study.objects.get()
    assert (study.patient, study.acquired_on, study.notices) == (patient, date(2024, 5, 1), [])


@pytest.mark.parametrize(
    ("file_name", "data", "day"),
    [
        ("A-1_2024-05-02.png", picture(), date(2024, 5, 2)),
        ("A-1.png", picture(), date(2024, 6, 3)),
        ("A-1_2024-05-02.dcm", radiograph_files.dicom(StudyDate="20240501"), date(2024, 5, 2)),
        ("A-1.dcm", radiograph_files.dicom(StudyDate="20240501"), date(2024, 5, 1)),
        ("A-1_1.5.2024.dcm", radiograph_files.dicom(StudyDate="20240501"), date(2024, 5, 1)),
        ("A-1.dcm", radiograph_files.dicom(), date(2024, 6, 3)),
    ],
)
def test_the_date_is_that_of_the_name_then_of_the_header_then_the_one_entered(
    as_user, tess, patient, bulk, file_name, data, day
):
    as_user(tess)
    bulk((file_name, data))
    assert Study.objects.get().acquired_on == day


@pytest.mark.parametrize(
    ("day", "words"),
    [
        ("2024-02-30", "is no clear date"),
        ("05-01-2024", "is no clear date"),
        ("1.5.2024", "is no clear date"),
        (str(date.today() + timedelta(days=2)), "lies in the future. The file name gives"),
        ("2001-01-01", "before the patient"),
    ],
)
def test_an_impossible_date_in_the_name_is_refused_and_nothing_is_kept(as_user, tess, patient, bulk, day, words):
    as_user(tess)
    response = bulk((f"A-1_{day}.png", picture()))
    assert response.status_code == 422
    assert words in response.content.decode()
    assert not Radiograph.objects.exists()


def test_an_impossible_date_in_the_header_is_said_to_be_that(as_user, tess, patient, bulk):
    as_user(tess)
    response = bulk(("A-1.dcm", radiograph_files.dicom(StudyDate="20990501")))
    assert "The DICOM header gives 2099-05-01." in response.content.decode()


def test_a_file_without_a_patient_is_not_kept_and_offers_to_create_one(as_user, tess, patient, bulk):
    as_user(tess)
    response = bulk(("B-2.png", picture()))
    page = response.content.decode()
    assert (response.status_code, statuses(response)) == (422, ["unmatched"])
    assert "No patient with the MRN B-2" in page
    assert 'href="/patients/new/"' in page
    assert not Radiograph.objects.exists()


def test_an_mrn_entered_for_a_file_stands_for_that_of_its_name(as_user, tess, hospital, patient, bulk):
    other = PatientFactory(hospital=hospital, mrn="C-3")
    as_user(tess)
    assert statuses(bulk(("hand.png", picture()), mrn=" a-1 ")) == ["queued"]
    assert Study.objects.get().patient == patient
    [question] = bulk(("hand.png", picture()), mrn="C-3").context["results"]
    assert question.status == "duplicate"
    assert statuses(bulk(**question.confirm)) == ["queued"]
    assert Study.objects.first().patient == other
    for mrn in ("X-9", "X-\0"):
        assert f"No patient with the MRN {mrn}." in bulk(("hand.png", picture(1)), mrn=mrn).content.decode()


def test_an_mrn_that_the_header_contradicts_files_for_neither(as_user, tess, hospital, patient, bulk):
    PatientFactory(hospital=hospital, mrn="C-3")
    as_user(tess)
    response = bulk(("IM0001", radiograph_files.dicom(PatientID="C-3")), mrn="A-1")
    assert "The MRN and the DICOM header name two different patients" in response.content.decode()
    assert not Study.objects.exists()


def test_the_mrn_of_another_hospital_is_as_unknown_as_any(as_user, tess, other_hospital, bulk):
    as_user(tess)
    unknown = bulk(("B-2.png", picture())).context["results"]
    PatientFactory(hospital=other_hospital, mrn="B-2", family_name="Secret")
    response = bulk(("B-2.png", picture()))
    assert response.context["results"] == unknown
    assert "Secret" not in response.content.decode()
    assert not Study.objects.exists()


def test_a_name_and_a_header_of_two_patients_are_filed_for_neither(as_user, tess, hospital, patient, bulk):
    PatientFactory(hospital=hospital, mrn="B-2")
    as_user(tess)
    response = bulk(("A-1.dcm", radiograph_files.dicom(PatientID="B-2")))
    assert statuses(response) == ["refused"]
    assert "two different patients" in response.content.decode()
    assert not Radiograph.objects.exists()


def test_a_header_of_nobody_is_a_notice_when_the_name_is_somebodys(as_user, tess, patient, bulk):
    as_user(tess)
    bulk(("A-1.dcm", radiograph_files.dicom(PatientID="X-9")))
    assert "The patient ID in the file differs" in Study.objects.get().notices[0]


def test_an_archived_patient_takes_no_radiograph(as_user, tess, patient, bulk):
    patient.archived_at = timezone.now()
    patient.save()
    as_user(tess)
    response = bulk(("A-1.png", picture()))
    assert statuses(response) == ["refused"]
    assert "This patient is archived" in response.content.decode()
    assert not Radiograph.objects.exists()


def test_an_anonymised_record_is_nobodys(as_user, tess, patient, bulk):
    patient.anonymised_at = patient.archived_at = timezone.now()
    patient.save()
    as_user(tess)
    response = bulk(("A-1.png", picture()))
    assert statuses(response) == ["unmatched"]
    assert "No patient with the MRN A-1" in response.content.decode()


def test_each_file_has_its_own_answer(as_user, tess, hospital, patient, bulk):
    other = PatientFactory(hospital=hospital, mrn="B-2", family_name="Roe")
    as_user(tess)
    response = bulk(
        ("A-1.png", picture(1)),
        ("C-3.png", picture(2)),
        ("B-2.png", picture(1)),
        ("A-1_2024-05-01.png", b"no picture"),
        ("B-2_2024-05-01.png", picture(3)),
    )
    assert response.status_code == 200
    assert statuses(response) == ["queued", "unmatched", "duplicate", "refused", "queued"]
    page = response.content.decode()
    assert f'href="/patients/{other.pk}/"' in page
    assert "Roe, Kim" in page
    assert {study.patient.mrn for study in Study.objects.all()} == {"A-1", "B-2"}


def test_a_duplicate_is_taken_for_the_same_patient_when_that_is_meant(as_user, tess, hospital, patient, bulk):
    as_user(tess)
    bulk(("A-1.png", picture()))
    response = bulk(("A-1_2024-05-01.png", picture()), submission="0d4d9f7e-0000-4000-8000-000000000002")
    [result] = response.context["results"]
    assert result.status == "duplicate"
    assert bulk(**result.confirm).status_code == 200
    assert {study.acquired_on for study in patient.studies.all()} == {date(2024, 5, 1), date(2024, 6, 3)}


def test_the_upload_sent_twice_is_filed_once(as_user, tess, patient, bulk):
    as_user(tess)
    for _ in range(2):
        assert statuses(bulk(("A-1.png", picture()))) == ["queued"]
    assert Study.objects.count() == 1


def test_the_script_gets_one_answer_that_says_for_whom(as_user, tess, patient, bulk):
    as_user(tess)
    response = bulk(("A-1.png", picture()), headers={"HX-Request": "true"})
    page = response.content.decode()
    assert "<html" not in page
    assert "Doe, Jane" in page
    response = bulk(("B-2.png", picture()), headers={"HX-Request": "true"})
    assert "data-again" in response.content.decode()


@pytest.mark.parametrize(("field", "value"), [("acquired_on", ""), ("acquired_on", "2999-01-01"), ("submission", "x")])
def test_what_the_files_share_is_checked(as_user, tess, patient, bulk, field, value):
    as_user(tess)
    assert bulk(("A-1.png", picture()), **{field: value}).status_code == 422
    assert not Study.objects.exists()


def test_a_page_for_one_patient_does_not_say_whose_it_is_in_each_answer(as_user, tess, patient, upload, hand):
    as_user(tess)
    assert "Filed for" not in upload(patient, hand, headers={"HX-Request": "true"}).content.decode()


def test_whom_a_question_about_a_picture_names_is_on_record(as_user, tess, patient, bulk):
    as_user(tess)
    bulk(("A-1.png", picture()))
    response = bulk(("A-1.png", picture()), submission="0d4d9f7e-0000-4000-8000-000000000002")
    assert "Doe, Jane" in response.content.decode()
    event = AccessEvent.objects.get(verb="view", patient_key=str(patient.pk))
    assert (event.actor, event.detail) == (tess, "upload asked about")
