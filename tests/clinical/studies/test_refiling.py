"""A film that was filed for the wrong child goes to the right one, with a study of its own."""

import json
import uuid
from datetime import date

import pytest
from django.core.files.storage import storages
from django.utils import timezone

from clinical.audit.models import AccessEvent, ChangedValues
from clinical.dicom import arrivals
from clinical.dicom.queries import waiting
from clinical.patients.fhir import bundle
from clinical.patients.record_zip import files_of
from clinical.studies import workflow
from clinical.studies.intake import store
from clinical.studies.models import State, Study
from inference.models import Analysis
from tests import radiograph_files
from tests.factories import (
    ArrivalFactory,
    NotificationFactory,
    PatientFactory,
    ReviewFactory,
    SenderFactory,
    StudyFactory,
)

pytestmark = pytest.mark.usefixtures("unscoped")


@pytest.fixture
def john(hospital):
    return PatientFactory(
        hospital=hospital, family_name="Roe", given_name="John", mrn="A-2", sex="M", date_of_birth=date(2015, 3, 1)
    )


@pytest.fixture
def study(patient):
    """Of Jane's record, and of a film that is John's."""
    return StudyFactory(
        patient=patient,
        state="rejected",
        sex=patient.sex,
        acquired_on=date(2024, 5, 1),
        indication="Short stature",
        radiograph__file=radiograph_files.dicom(PatientID="A-2", PatientSex="F"),
    )


def page(study):
    return f"/studies/{study.pk}/refile/"


def said(**changes):
    return {"mrn": "a-2", "acquired_on": "2024-05-01", "indication": "Tall stature", "reason": "John's."} | changes


def moved(client, study, john, **changes):
    return client.post(page(study), said(found=john.pk, **changes))


def test_the_child_is_shown_first_and_then_the_film_moved(as_user, tess, study, john, patient):
    client = as_user(tess)
    shown = client.get(page(study))
    assert "Not a film of" in shown.content.decode()
    asked = client.post(page(study), said())
    assert "Is this the right child: <bdi>Roe, John</bdi>?" in " ".join(asked.content.decode().split())
    assert Study.objects.count() == 1
    sent = {field.html_name: field.value() for field in asked.context["form"]}
    answer = client.post(page(study), sent)
    old, new = Study.objects.get(patient=patient), Study.objects.get(patient=john)
    assert answer["Location"] == f"/studies/{new.pk}/"
    assert (old.state, old.cancelled_by, old.cancellation_reason) == (State.CANCELLED, tess, "John's.")
    assert (new.state, new.sex, new.indication, new.acquired_on) == ("queued", "M", "Tall stature", date(2024, 5, 1))
    assert (new.radiograph, new.submission, new.submitted_by) == (old.radiograph, old.submission, tess)
    assert new.analysis.sex == "M"
    assert new.notices == ["The file says female, the record male."]


def test_all_of_it_is_on_record(as_user, tess, study, john, patient):
    client = as_user(tess)
    client.post(page(study), said())
    moved(client, study, john)
    of = {str(patient.pk): "Jane", str(john.pk): "John"}
    events = AccessEvent.objects.filter(patient_key__in=of).order_by("pk")
    assert [(of[event.patient_key], event.verb, event.detail) for event in events] == [
        ("John", "view", "perhaps the patient of a film"),
        ("Jane", "view", "moving the film"),
        ("Jane", "withdraw", ""),
        ("John", "submit", "moved from another patient"),
    ]
    assert ChangedValues.objects.get(event__verb="withdraw").values == {"reason": ["", "John's."]}


def test_another_mrn_than_that_of_the_child_who_was_shown_asks_again(as_user, tess, study, john, hospital):
    jim = PatientFactory(hospital=hospital, mrn="A-3", given_name="Jim", family_name="Poe")
    answer = moved(as_user(tess), study, john, mrn="A-3")
    assert answer.context["found"] == jim
    assert str(jim.pk) in answer.content.decode()
    assert not Study.objects.exclude(pk=study.pk).exists()


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"mrn": ""}, "This field is required."),
        ({"mrn": "A-404"}, "No patient with the MRN A-404. Register the child first."),
        ({"mrn": "B-1"}, "No patient with the MRN B-1. Register the child first."),
        ({"mrn": "A-1"}, "This is the patient for whom the film is filed now."),
        ({"mrn": "OLD-1"}, "This patient is archived. Restore the record before you upload."),
        ({"reason": " "}, "This field is required."),
        ({"acquired_on": "2999-01-01"}, "The study date lies in the future."),
        ({"acquired_on": "2015-02-28"}, "The study date lies before the patient&#x27;s birth."),
    ],
)
def test_what_cannot_be_says_why_and_keeps_what_was_typed(
    as_user, tess, study, john, hospital, other_hospital, changes, sentence
):
    PatientFactory(hospital=hospital, mrn="OLD-1", archived_at=study.submitted_at)
    PatientFactory(hospital=other_hospital, mrn="B-1")
    answer = as_user(tess).post(page(study), said(**changes))
    assert answer.status_code == 422
    assert sentence in answer.content.decode()
    assert "Tall stature" in answer.content.decode()
    assert list(Study.objects.all()) == [study]


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("who", ["alice", "tess"])
def test_who_may_withdraw_or_cancel_a_study_may_move_its_film(as_user, request, study, john, state, who):
    Study.objects.update(state=state)
    if state == "queued":
        Analysis.objects.update(state=state)
    client = as_user(request.getfixturevalue(who))
    fits = state in ("queued", "failed", "rejected") or (state in ("analysed", "reviewed") and who == "alice")
    assert ("Move to another patient" in client.get(f"/studies/{study.pk}/").content.decode()) == fits
    assert client.get(page(study)).status_code == (200 if fits else 302)
    moved(client, study, john)
    assert Study.objects.filter(patient=john).exists() == fits
    assert Study.objects.get(pk=study.pk).state == ("cancelled" if fits else state)


def test_of_a_film_in_the_queue_no_worker_makes_a_result(study, john, tess):
    Study.objects.update(state="queued")
    Analysis.objects.update(state="queued")
    study.refresh_from_db()
    refiled(study, john, tess)
    assert sorted(Analysis.objects.values_list("state", flat=True)) == ["cancelled", "queued"]


def refiled(study, patient, actor, **changes):
    values = {"acquired_on": study.acquired_on, "indication": "", "notices": [], "reason": "Another child's."}
    return workflow.refile(study, actor, patient=patient, **values | changes)


def test_a_picture_that_the_child_has_already_is_not_filed_twice(as_user, tess, study, john):
    StudyFactory(patient=john, radiograph=study.radiograph)
    answer = moved(as_user(tess), study, john)
    assert answer.status_code == 409
    assert "filed for that patient already. Withdraw the study here instead." in answer.content.decode()
    assert "Tall stature" in answer.content.decode()
    assert Study.objects.get(pk=study.pk).state == "rejected"


def test_a_film_goes_there_and_back_again(study, john, patient, tess):
    there = refiled(study, john, tess)
    back = refiled(there, patient, tess)
    states = Study.objects.order_by("submitted_at").values_list("patient__given_name", "state")
    assert list(states) == [("Jane", "cancelled"), ("John", "cancelled"), ("Jane", "queued")]
    assert back.pk != study.pk


def test_a_film_that_is_lost_is_not_moved(as_user, tess, study, john):
    storages["private"].delete(study.radiograph.name)
    answer = moved(as_user(tess), study, john)
    assert answer.status_code == 409
    assert "could not be found. Upload the file again." in answer.content.decode()
    assert list(Study.objects.all()) == [study]


def test_a_signed_study_is_amended_first(as_user, alice, study, john):
    ReviewFactory(study=study)
    Study.objects.update(state="signed")
    answer = as_user(alice).get(page(study), follow=True)
    assert "A signed study is amended first, then its film can be moved." in answer.content.decode()


def test_the_study_here_says_where_the_film_is(as_user, tess, study, john):
    new = refiled(study, john, tess)
    here = as_user(tess).get(f"/studies/{study.pk}/").content.decode()
    assert f'href="/studies/{new.pk}/"' in here
    assert "John" not in here
    workflow.cancel(new, tess, "Nobody's.")
    assert f'href="/studies/{new.pk}/"' not in as_user(tess).get(f"/studies/{study.pk}/").content.decode()


def test_the_copy_of_a_record_says_nothing_of_another_child(as_user, tess, study, john, patient):
    def words(of):
        return json.dumps(bundle(of, {}, timezone.now()))

    assert [held.words for held in files_of(patient)] == ["Radiograph"]
    assert "Short stature" in words(patient)
    moved(as_user(tess), study, john)
    assert files_of(patient) == []
    assert "ImagingStudy" not in words(patient)
    assert [held.words for held in files_of(john)] == ["Radiograph"]
    assert "Tall stature" in words(john)


def test_so_it_is_of_a_film_that_was_withdrawn_and_uploaded_for_the_other(study, john, patient, tess):
    workflow.withdraw(study, tess, "John's.")
    assert files_of(patient) != []  # it may be Jane's, of another day
    workflow.submit(
        patient=john,
        radiograph=study.radiograph,
        acquired_on=study.acquired_on,
        indication="",
        notices=[],
        submission=uuid.uuid4(),
        actor=tess,
    )
    assert files_of(patient) == []


def test_an_anonymised_record_gives_no_film(study, john, patient, tess):
    seen = Study.objects.select_related("radiograph", "patient").get(pk=study.pk)
    patient.anonymised_at = timezone.now()
    patient.save()
    with pytest.raises(workflow.WrongState):
        refiled(seen, john, tess)
    assert not john.studies.exists()


def test_a_child_who_is_no_longer_shown_is_asked_about_again(as_user, tess, study, john):
    client = as_user(tess)
    mistyped = moved(client, study, john, mrn="A-404")
    assert "Look the patient up" in mistyped.content.decode()
    sent = {field.html_name: field.value() for field in mistyped.context["form"]}
    assert client.post(page(study), sent | {"mrn": "A-2"}).status_code == 200
    assert not john.studies.exists()


def test_a_film_that_waited_for_the_right_child_waits_no_more(study, john, tess, hospital):
    ArrivalFactory(hospital=hospital, radiograph=study.radiograph, mrn="A-2", for_another=True)
    refiled(study, john, tess)
    assert not waiting().exists()


def test_a_film_that_went_there_and_back_is_known_when_it_is_sent_again(study, john, patient, tess, hospital):
    sender = SenderFactory(hospital=hospital, membership=tess.memberships.get())
    data = radiograph_files.dicom(PatientID="A-2", SOPInstanceUID="1.2.3")
    study.radiograph, _ = store(hospital, data)
    study.submission = uuid.uuid5(uuid.NAMESPACE_OID, "1.2.3")
    study.save()
    back = refiled(refiled(study, john, tess), patient, tess)
    assert arrivals.take(sender, data, "1.2.3") == back


def test_that_it_could_not_be_read_is_taken_back(study, john, tess, hospital):
    NotificationFactory(user=tess, hospital=hospital, kind="study stopped", url=f"/studies/{study.pk}/")
    refiled(study, john, tess)
    assert not tess.notifications.exists()


def test_a_technician_is_told_that_doctors_move_what_has_been_read(as_user, tess, study):
    Study.objects.update(state="analysed")
    answer = as_user(tess).get(page(study), follow=True)
    assert "Doctors alone move a film that has been read." in answer.content.decode()
