"""What becomes of a film that comes by itself: filed for one patient beyond doubt, or it waits."""

import uuid
from datetime import date, timedelta

import pytest
from django.core.files.storage import storages
from django.utils import timezone
from django_scopes import scopes_disabled
from pydicom.uid import generate_uid

from clinical.audit.models import AccessEvent
from clinical.dicom import arrivals
from clinical.dicom.models import Arrival
from clinical.dicom.tasks import remove_discarded
from clinical.patients import erasure
from clinical.patients.models import Patient
from clinical.studies.display import display_name
from clinical.studies.models import Radiograph, Study
from inference.engine import UnreadableRadiograph
from tests import radiograph_files
from tests.factories import ArrivalFactory, PatientFactory, StudyFactory

HEADER = {
    "PatientID": "A-1",
    "PatientName": "Doe^Jane",
    "PatientSex": "F",
    "PatientBirthDate": "20140203",
    "StudyDate": "20240501",
    "ImageLaterality": "L",
}


@pytest.fixture
def jane(hospital):
    born = date(2014, 2, 3)
    return PatientFactory(
        hospital=hospital, mrn="A-1", family_name="Doe", given_name="Jane", sex="F", date_of_birth=born
    )


@pytest.fixture
def take(room, in_hospital):
    """Take a film with HEADER and what is given besides."""

    def of(uid=None, **elements):
        uid = uid or generate_uid()
        return arrivals.take(room, radiograph_files.dicom(SOPInstanceUID=uid, **{**HEADER, **elements}), uid)

    return of


def test_a_film_whose_header_names_a_patient_is_a_study_in_the_queue(take, jane, tess):
    study = take()
    assert (study.patient, study.state, study.acquired_on) == (jane, "queued", date(2024, 5, 1))
    assert (study.submitted_by, study.notices) == (tess, [])
    event = AccessEvent.objects.get(verb="submit", object_key=str(study.pk))
    assert (event.actor, event.detail, event.patient_key) == (tess, "by X-ray room 2", str(jane.pk))
    assert not Arrival.objects.exists()


def test_a_right_hand_is_filed_and_doctors_are_told(take, jane):
    assert take(ImageLaterality="R").notices == ["The file says right hand. Bone age is read from the left hand."]


def test_a_header_without_date_of_birth_and_sex_is_enough(take, jane):
    assert take(PatientBirthDate="", PatientSex="").patient == jane


def test_the_same_film_sent_twice_is_one_study(take, jane):
    uid = generate_uid()
    assert take(uid) == take(uid)
    assert Study.objects.count() == Radiograph.objects.count() == 1


@pytest.mark.parametrize(
    ("elements", "reason"),
    [
        ({"PatientID": ""}, "The file names no patient ID."),
        ({"PatientID": "A-2"}, "No patient with the MRN A-2."),
        ({"PatientSex": "M"}, "The file says male, the record female."),
        ({"PatientBirthDate": "20140204"}, "The file says born 4 February 2014, the record 3 February 2014."),
        ({"StudyDate": "20130501"}, "The study date lies before the patient's birth."),
        ({"StudyDate": "20990501"}, "The study date lies in the future."),
    ],
)
def test_whatever_leaves_a_doubt_waits_and_says_why(take, jane, elements, reason):
    film = take(**elements)
    assert (type(film), film.reason) == (Arrival, reason)
    assert not Study.objects.exists()
    assert film.full_name == "Doe, Jane"
    assert film.mrn == elements.get("PatientID", "A-1")
    assert AccessEvent.objects.filter(verb="create", object_key=str(film.pk), detail="by X-ray room 2").exists()


def test_a_film_of_an_archived_patient_waits(take, jane):
    Patient.objects.filter(pk=jane.pk).update(archived_at=timezone.now())
    assert take().reason.startswith("This patient is archived.")


def test_an_mrn_of_another_hospital_is_nobodys(take, other_hospital):
    with scopes_disabled():
        PatientFactory(hospital=other_hospital, mrn="A-1")
    assert take().reason == "No patient with the MRN A-1."


def test_a_picture_that_is_another_patients_already_waits(take, jane, room, hospital):
    data = radiograph_files.dicom(**HEADER)
    uid = generate_uid()
    arrivals.take(room, data, uid)
    Study.objects.update(patient=PatientFactory(hospital=hospital), submission=uuid.uuid4())
    assert arrivals.take(room, data, uid).reason == "This very picture is filed for another patient of the hospital."


def test_a_film_that_was_filed_by_hand_and_is_sent_again_stays_where_it_is(take, jane, room):
    uid = generate_uid()
    film = take(uid, PatientID="A-2")
    study = StudyFactory(patient=jane, radiograph=film.radiograph, submission=film.submission)
    film.delete()
    assert take(uid, PatientID="A-2") == study
    assert not Arrival.objects.exists()


def test_a_film_whose_study_was_taken_back_is_not_filed_again_by_itself(take, jane):
    uid = generate_uid()
    study = take(uid)
    Study.objects.update(state="cancelled")
    assert take(uid).reason == "This film was filed before, and its study was cancelled or withdrawn."
    assert Study.objects.get() == study


def test_what_waits_and_is_sent_again_waits_once_and_comes_back_from_the_discarded(take, tess):
    uid = generate_uid()
    film = take(uid)
    assert take(uid) == film
    assert arrivals.discard(film, tess)
    assert not arrivals.discard(film, tess)
    take(uid)
    film.refresh_from_db()
    assert (film.discarded_at, film.discarded_by) == (None, None)
    assert Arrival.objects.count() == 1


def test_what_is_no_radiograph_is_refused_and_not_kept(room, in_hospital):
    with pytest.raises(UnreadableRadiograph):
        arrivals.take(room, radiograph_files.dicom()[:400], generate_uid())
    assert not Arrival.objects.exists()
    assert not Radiograph.objects.exists()


def test_after_thirty_days_a_discarded_film_and_its_picture_go(take, tess, jane):
    kept, gone = take(PatientID="A-2", uid=generate_uid()), take(PatientID="A-3", uid=generate_uid())
    names = [gone.radiograph.name, display_name(gone.radiograph)]
    for film in (kept, gone):
        arrivals.discard(film, tess)
    Arrival.objects.filter(pk=gone.pk).update(discarded_at=timezone.now() - timedelta(days=31))
    remove_discarded.apply()
    assert list(Arrival.objects.all()) == [kept]
    assert [storages["private"].exists(name) for name in names] == [False, False]
    assert storages["private"].exists(kept.radiograph.name)


def test_a_discarded_picture_that_a_study_shows_stays(room, in_hospital, jane):
    study = StudyFactory(patient=jane, radiograph__file=radiograph_files.png())
    ArrivalFactory(sender=room, radiograph=study.radiograph, discarded_at=timezone.now() - timedelta(days=31))
    assert arrivals.remove_discarded() == 1
    assert storages["private"].exists(study.radiograph.name)


@pytest.mark.parametrize("mode", ["erase", "anonymise"])
def test_erasing_a_patient_lets_what_waits_under_their_mrn_go(
    take, jane, ada, mode, django_capture_on_commit_callbacks
):
    waits, other = take(PatientSex="M"), take(PatientID="A-2")
    names = [waits.radiograph.name, display_name(waits.radiograph)]
    decided = erasure.schedule(jane, mode, "asked for", ada)
    type(decided).objects.update(due_at=timezone.now())
    assert erasure.carry_out_due() == 1
    assert list(Arrival.objects.all()) == [other]
    assert [storages["private"].exists(name) for name in names] == [False, False]
