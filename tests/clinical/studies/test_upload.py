import errno
from datetime import date, timedelta

import pytest
from django.core.files.storage import storages
from django.utils import timezone

from clinical.audit.models import AccessEvent
from clinical.studies.models import Radiograph, Study
from inference.models import Analysis, State
from tests import radiograph_files
from tests.factories import PatientFactory

pytestmark = pytest.mark.usefixtures("unscoped")

BAD_FILES = {
    "empty.png": (radiograph_files.empty, "The file is empty"),
    "notes.png": (radiograph_files.text_named_png, "not a PNG, JPEG, TIFF, WebP or DICOM file"),
    "bomb.png": (radiograph_files.bomb_png, "more than 60 million pixels"),
    "cut.jpg": (radiograph_files.truncated_jpeg, "damaged or incomplete"),
    "moving.webp": (radiograph_files.animated_webp, "several pictures"),
    "pages.tif": (radiograph_files.multi_page_tiff, "several pictures"),
    "holiday.jpg": (radiograph_files.colour_photograph, "a colour picture"),
}
GOOD_FILES = {
    "hand.png": radiograph_files.png,
    "hand.jpg": radiograph_files.jpeg,
    "hand.tif": radiograph_files.tiff,
    "hand.webp": radiograph_files.webp,
    "IM0001": radiograph_files.dicom,
}


@pytest.mark.parametrize("name", GOOD_FILES)
def test_a_radiograph_in_any_format_becomes_a_queued_study(as_user, tess, patient, upload, name):
    as_user(tess)
    response = upload(patient, (name, GOOD_FILES[name]()), indication="Short stature")
    assert response.status_code == 200
    study = Study.objects.get()
    assert (study.state, study.patient, study.sex, study.indication) == ("queued", patient, "F", "Short stature")
    assert study.submitted_by == tess
    assert storages["private"].exists(study.radiograph.name)
    assert study.analysis.radiograph == study.radiograph.name


@pytest.mark.parametrize("name", BAD_FILES)
def test_a_bad_file_gets_its_sentence_and_leaves_nothing(as_user, tess, patient, upload, name):
    as_user(tess)
    make, words = BAD_FILES[name]
    response = upload(patient, (name, make()))
    assert response.status_code == 422
    assert words in response.content.decode()
    assert not Radiograph.objects.exists()


def test_the_other_files_go_on(as_user, tess, patient, upload, hand):
    as_user(tess)
    files = [(name, make()) for name, (make, _) in BAD_FILES.items()]
    response = upload(patient, *files, hand)
    assert response.status_code == 200
    page = response.content.decode()
    for _, words in BAD_FILES.values():
        assert words in page
    assert Study.objects.count() == 1


def test_a_file_over_25_megabytes_is_refused(as_user, tess, patient, upload):
    as_user(tess)
    response = upload(patient, ("large.tif", b"II*\0" + bytes(25 * 1024 * 1024)))
    assert response.status_code == 422
    assert "larger than 25 MB" in response.content.decode()


def test_the_form_sent_twice_is_one_study(as_user, tess, patient, upload, hand):
    as_user(tess)
    for _ in range(2):
        assert upload(patient, hand).status_code == 200
    assert Study.objects.count() == Analysis.objects.count() == 1


@pytest.mark.parametrize("correction", [{"acquired_on": "2024-06-01"}, {"indication": "Tall stature"}])
def test_the_form_sent_again_with_another_date_or_indication_asks(as_user, tess, patient, upload, hand, correction):
    as_user(tess)
    first = {"acquired_on": "2021-05-01", "indication": "Short stature"}
    upload(patient, hand, **first)
    response = upload(patient, hand, **first | correction)
    [result] = response.context["results"]
    assert (response.status_code, result.status) == (409, "duplicate")
    assert upload(patient, **result.confirm).status_code == 200
    latest = Study.objects.first()
    assert (str(latest.acquired_on), latest.indication) == tuple((first | correction).values())
    assert Study.objects.count() == 2


def test_the_form_sent_again_after_its_study_was_cancelled_is_one_new_study(as_user, tess, patient, upload, hand):
    as_user(tess)
    upload(patient, hand)
    for _ in range(2):
        Study.objects.update(state=State.CANCELLED)
        for _ in range(2):
            assert upload(patient, hand).status_code == 200
    assert [study.state for study in Study.objects.all()] == ["queued", "cancelled", "cancelled"]


def test_the_same_picture_again_asks_and_is_taken_when_that_is_meant(as_user, tess, patient, upload, hand):
    as_user(tess)
    upload(patient, hand)
    response = upload(patient, hand, submission="0d4d9f7e-0000-4000-8000-000000000002")
    assert response.status_code == 409
    [result] = response.context["results"]
    assert "filed for this patient already" in result.message
    assert Study.objects.count() == 1
    assert upload(patient, **result.confirm).status_code == 200
    assert Study.objects.count() == 2
    assert Radiograph.objects.count() == 1


def test_a_picture_of_another_patient_asks_for_the_right_child(as_user, tess, hospital, patient, upload, hand):
    as_user(tess)
    upload(PatientFactory(hospital=hospital), hand)
    response = upload(patient, hand, submission="0d4d9f7e-0000-4000-8000-000000000002")
    assert response.status_code == 409
    page = response.content.decode()
    assert "filed for another patient" in page
    assert f'href="/studies/{Study.objects.get().pk}/"' in page  # whose it is, is what decides


def test_another_hospital_stores_its_own_copy_and_is_told_nothing(
    as_user, tess, bob, patient, other_hospital, upload, hand
):
    as_user(tess)
    upload(patient, hand)
    as_user(bob)
    assert upload(PatientFactory(hospital=other_hospital), hand).status_code == 200
    assert Radiograph.objects.count() == 2


def test_a_stored_picture_of_another_hospital_cannot_be_submitted_by_its_number(
    as_user, tess, bob, patient, other_hospital, upload, hand
):
    as_user(tess)
    upload(patient, hand)
    as_user(bob)
    own = PatientFactory(hospital=other_hospital)
    assert upload(own, radiograph=str(Radiograph.objects.get().pk)).status_code == 422
    assert not own.studies.exists()


@pytest.mark.parametrize("number", ["0", "-1", "x", "²", "9" * 30])
def test_a_made_up_number_of_a_stored_picture_is_refused(as_user, tess, patient, upload, number):
    as_user(tess)
    assert upload(patient, radiograph=number).status_code == 422


@pytest.mark.parametrize("script", [{}, {"HX-Request": "true"}])
def test_a_question_answered_once_the_picture_is_gone_asks_for_the_file_again(
    as_user, tess, hospital, patient, upload, hand, script
):
    as_user(tess)
    other = PatientFactory(hospital=hospital)
    upload(other, hand)
    [result] = upload(patient, hand).context["results"]
    other.studies.all().delete()
    Radiograph.objects.all().delete()
    response = upload(patient, headers=script, **result.confirm)
    assert response.status_code == 422
    assert "The file was not kept so long. Choose it again." in response.content.decode()


def test_what_the_dicom_file_says_otherwise_is_shown_and_not_taken(as_user, tess, patient, upload):
    as_user(tess)
    data = radiograph_files.dicom(PatientSex="M", PatientBirthDate="20100101", PatientID="B-2", StudyDate="20240502")
    response = upload(patient, ("IM0001", data), acquired_on="2024-05-01")
    study = Study.objects.get()
    assert study.notices == [
        "The file says male, the record female.",
        "The file says born 1 January 2010, the record 9 March 2014.",
        "The patient ID in the file differs from the MRN of the record.",
        "The file says taken on 2 May 2024, the study 1 May 2024.",
    ]
    assert all(notice.split(".")[0] in response.content.decode() for notice in study.notices)
    patient.refresh_from_db()
    assert (patient.sex, patient.mrn, study.sex) == ("F", "A-1", "F")
    assert study.acquired_on == date(2024, 5, 1)


@pytest.mark.parametrize(
    ("day", "words"),
    [
        (timezone.localdate() + timedelta(days=2), "lies in the future"),
        (date(2000, 1, 1), "before the patient"),
        ("yesterday", "Enter a valid date"),
    ],
)
def test_an_impossible_study_date_is_refused(as_user, tess, patient, upload, hand, day, words):
    as_user(tess)
    response = upload(patient, hand, acquired_on=str(day))
    assert response.status_code == 422
    assert words in response.content.decode()
    assert not Study.objects.exists()


def test_no_file_at_all_is_said(as_user, tess, patient, upload):
    as_user(tess)
    response = upload(patient)
    assert response.status_code == 422
    assert "Choose at least one file" in response.content.decode()


def test_nothing_is_uploaded_to_an_archived_patient(as_user, tess, patient, upload, hand):
    patient.archived_at = timezone.now()
    patient.save()
    as_user(tess)
    assert upload(patient, hand).status_code == 422
    assert not Study.objects.exists()


def test_a_full_disk_is_said_and_keeps_nothing(as_user, tess, patient, upload, hand, monkeypatch):
    def full(name, content, **kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(storages["private"], "save", full)
    as_user(tess)
    response = upload(patient, hand)
    assert response.status_code == 507
    assert "storage is full" in response.content.decode()
    assert not Radiograph.objects.exists()


def test_a_session_that_ended_is_told_to_the_script(as_user, patient, upload, hand):
    as_user(None)
    response = upload(patient, hand, headers={"HX-Request": "true"})
    assert response.status_code == 401
    assert "signed out" in response.content.decode()


def test_the_script_gets_the_answer_for_its_file_as_a_fragment(as_user, tess, patient, upload, hand):
    as_user(tess)
    response = upload(patient, hand, headers={"HX-Request": "true"})
    page = response.content.decode()
    assert "<html" not in page
    assert f"/studies/{Study.objects.get().pk}/" in page


def test_a_cancelled_study_does_not_count_as_a_duplicate(as_user, tess, patient, upload, hand):
    as_user(tess)
    upload(patient, hand)
    Study.objects.update(state=State.CANCELLED)
    assert upload(patient, hand, submission="0d4d9f7e-0000-4000-8000-000000000002").status_code == 200


def test_a_row_tells_what_became_of_its_film_and_a_look_at_that_is_on_record(as_user, tess, patient, upload, hand):
    as_user(tess)
    answer = upload(patient, hand, headers={"HX-Request": "true"}).content.decode()
    study = Study.objects.get()
    address = f"/studies/{study.pk}/outcome/"
    looks = AccessEvent.objects.filter(object_key=study.pk, detail="outcome")

    def row():
        return " ".join(tess_sees.get(address).content.decode().split())

    tess_sees = as_user(tess)
    assert f'hx-get="{address}"' in answer
    assert f'hx-get="{address}"' in row()
    assert not looks.exists()
    Analysis.objects.update(bone_age_months=98.2)
    Study.objects.update(state=State.ANALYSED)
    assert "Read: <strong>8 y 2 m</strong>" in row()
    assert looks.count() == 1
    Analysis.objects.update(bone_age_months=None, reason="No hand was found.")
    Study.objects.update(state=State.REJECTED)
    assert "Rejected: No hand was found." in row()
    assert "hx-get" not in row()
