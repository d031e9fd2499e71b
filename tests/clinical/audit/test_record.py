import pytest

from clinical.audit.models import AccessEvent
from clinical.audit.record import Verb, record
from tests.factories import MembershipFactory, StudyFactory, UserFactory

pytestmark = pytest.mark.usefixtures("unscoped")


def test_an_event_says_who_did_what_to_whose_record_from_where(rf, alice, patient, hospital):
    request = rf.get("/", REMOTE_ADDR="192.0.2.7")
    request.user = alice
    record(Verb.EDIT, patient, request=request, detail="mrn")
    event = AccessEvent.objects.get()
    assert (event.hospital, event.actor, event.actor_name) == (hospital, alice, "Alice")
    assert (event.verb, event.object_type, event.object_key) == ("edit", "patient", str(patient.pk))
    assert event.patient_key == str(patient.pk)
    assert (event.detail, event.address) == ("mrn", "192.0.2.7")


def test_an_event_about_a_study_names_its_patient_too(alice, patient):
    study = StudyFactory(patient=patient)
    event = record(Verb.VIEW, study, actor=alice)
    assert (event.object_type, event.object_key) == ("study", str(study.pk))
    assert event.patient_key == str(patient.pk)


def test_an_event_about_a_member_concerns_no_patient(ada, alice):
    assert record(Verb.CHANGE_ROLE, alice.memberships.get(), actor=ada).patient_key == ""


def test_what_a_worker_does_is_done_by_the_system(patient):
    event = record(Verb.FINISH, StudyFactory(patient=patient).analysis)
    assert (event.actor, event.actor_name, event.address) == (None, "system", None)


def test_a_request_over_a_unix_socket_has_no_address(rf, alice, patient):
    request = rf.get("/", REMOTE_ADDR="")
    request.user = alice
    assert record(Verb.VIEW, patient, request=request).address is None


def test_behind_a_proxy_the_address_is_the_one_the_proxy_saw(rf, alice, patient, settings):
    request = rf.get("/", REMOTE_ADDR="10.0.0.1", HTTP_X_FORWARDED_FOR="203.0.113.66, 192.0.2.7")
    request.user = alice
    assert record(Verb.VIEW, patient, request=request).address == "10.0.0.1"
    settings.ALLAUTH_TRUSTED_PROXY_COUNT = 1
    assert record(Verb.VIEW, patient, request=request).address == "192.0.2.7"


def test_an_event_outlives_the_actor_and_the_object(alice, patient):
    key, actor_key = str(patient.pk), alice.pk
    event = record(Verb.VIEW, patient, actor=alice)
    alice.delete()
    patient.delete()
    event.refresh_from_db()
    assert (event.actor_id, event.actor_name) == (actor_key, "Alice")
    assert (event.object_key, event.patient_key) == (key, key)


def test_an_event_keeps_the_name_its_actor_had(alice, patient):
    event = record(Verb.VIEW, patient, actor=alice)
    alice.name = "Alice Married"
    alice.save()
    event.refresh_from_db()
    assert event.actor_name == "Alice"


def test_an_actor_without_a_name_is_known_by_the_address(hospital, patient):
    nameless = MembershipFactory(hospital=hospital, user=UserFactory(name="", email="nameless@example.org")).user
    assert record(Verb.VIEW, patient, actor=nameless).actor_name == "nameless@example.org"
