"""What becomes of a film that comes by itself: filed for one patient beyond doubt, or it waits."""

import importlib
import uuid
from datetime import date, timedelta

import pytest
from django.apps import apps
from django.core.files.storage import storages
from django.utils import timezone
from django_scopes import scopes_disabled
from pydicom.uid import generate_uid

from clinical.audit.models import AccessEvent
from clinical.dicom import arrivals, queries
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


def test_one_film_in_two_files_is_one_study_and_the_second_waits(take, jane):
    uid = generate_uid()
    study = take(uid)
    waits = take(uid, InstitutionName="Forwarded by the PACS")
    assert waits.reason == "This film is filed already, from a file with another header or compression."
    assert waits.submission == study.submission
    assert Study.objects.get() == study


def test_one_film_in_two_files_waits_twice_and_is_filed_by_somebody(take, jane):
    uid = generate_uid()
    take(uid, PatientID="A-2")
    waits = take(uid)
    assert waits.reason == "This film waits already, from a file with another header or compression."
    assert not Study.objects.exists()


@pytest.mark.parametrize("ended", ["cancelled", "discarded"])
def test_a_film_whose_other_file_is_nothing_any_more_is_filed(take, jane, tess, ended):
    uid = generate_uid()
    if ended == "cancelled":
        take(uid)
        Study.objects.update(state="cancelled")
    else:
        arrivals.discard(take(uid, PatientID="A-2"), tess)
    assert take(uid, InstitutionName="Corrected").patient == jane


def test_a_film_that_waited_for_its_patient_leaves_the_list_once_it_is_filed(take, hospital):
    uid = generate_uid()
    film = take(uid)
    PatientFactory(hospital=hospital, mrn="A-1", sex="F", date_of_birth=date(2014, 2, 3))
    study = take(uid)
    assert study.radiograph == film.radiograph
    assert not Arrival.objects.exists()


def test_a_film_that_was_uploaded_by_hand_waits_no_longer(take, jane):
    film, other = take(PatientID="A-2"), take(PatientID="A-3")
    StudyFactory(patient=jane, radiograph=film.radiograph)
    assert list(queries.waiting()) == [other]
    Study.objects.update(state="cancelled")
    assert set(queries.waiting()) == {film, other}


def test_a_picture_that_is_filed_for_another_still_waits(take, jane, room, hospital):
    data = radiograph_files.dicom(**HEADER)
    arrivals.take(room, data, generate_uid())
    Study.objects.update(patient=PatientFactory(hospital=hospital))
    film = arrivals.take(room, data, generate_uid())
    assert list(queries.waiting()) == [film]


@pytest.mark.usefixtures("db", "unscoped")
def test_the_migration_knows_by_its_text_which_film_is_another_patients():
    other = ArrivalFactory()
    film = ArrivalFactory(doubts="This very picture is filed for another patient of the hospital.")
    importlib.import_module("clinical.dicom.migrations.0004_film_of_another").tell(apps, None)
    found = Arrival.objects.get(for_another=True)
    assert (found, found.doubts, found.reason) == (film, "", film.doubts)
    assert Arrival.objects.get(for_another=False).reason == other.doubts


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
    events = AccessEvent.objects.filter(object_key=str(film.pk)).order_by("pk").values_list("verb", "detail")
    again = "sent again by X-ray room 2"
    assert list(events) == [("create", "by X-ray room 2"), ("edit", again), ("remove", ""), ("restore", again)]


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
    assert AccessEvent.objects.get(object_key=str(gone.pk), detail="for good").verb == "remove"


def test_what_the_storage_does_not_let_go_of_is_tried_again(take, tess, monkeypatch):
    for mrn in ("A-2", "A-3"):
        arrivals.discard(take(PatientID=mrn), tess)
    Arrival.objects.update(discarded_at=timezone.now() - timedelta(days=31))
    names = list(Radiograph.objects.values_list("name", flat=True))

    def fail(name):
        raise OSError

    with monkeypatch.context() as away:
        away.setattr(storages["private"], "delete", fail)
        with pytest.raises(OSError):  # noqa: PT011 (it says nothing)
            arrivals.remove_discarded()
    assert Arrival.objects.count() == Radiograph.objects.count() == 2
    assert arrivals.remove_discarded() == 2
    assert not any(storages["private"].exists(name) for name in names)


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
