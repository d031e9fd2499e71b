"""Who saw this child: what administrators, doctors and the family are shown of it."""

import csv
import io

import pytest
from django.utils import timezone

from clinical.audit.models import AccessEvent
from clinical.audit.record import Verb, record
from clinical.patients.accesses import PLAIN
from tests.factories import PatientFactory, StudyFactory

pytestmark = pytest.mark.usefixtures("unscoped")


@pytest.fixture
def history(as_user, patient, alice, tess, mother):
    """What happened to the patient's record; returns the path of its page."""
    as_user(tess).get(f"/patients/{patient.pk}/")
    as_user(alice).get(f"/patients/{patient.pk}/")
    as_user(alice).get(f"/patients/{patient.pk}/")
    as_user(mother).get(f"/family/{patient.pk}/")
    record(Verb.FINISH, StudyFactory(patient=patient), detail="by the worker")
    record(Verb.VIEW, PatientFactory(hospital=patient.hospital), actor=tess, detail="another child")
    return f"/patients/{patient.pk}/accesses/"


def rows(response):
    assert response.status_code == 200
    return [(event.actor_name, event.role, event.verb) for event in response.context["page_obj"]]


@pytest.mark.parametrize("person", ["ada", "alice"])
def test_administrators_and_doctors_see_who_did_what_as_what_newest_first(request, as_user, history, person):
    response = as_user(request.getfixturevalue(person)).get(history)
    assert rows(response)[1:] == [
        ("system", "", "finish"),
        ("Mother Doe", "Family", "view"),
        ("Alice", "Doctor", "view"),
        ("Alice", "Doctor", "view"),
        ("Tess", "Technician", "view"),
    ]
    assert "another child" not in response.content.decode()


def test_looking_at_it_is_on_record_too(as_user, ada, history):
    assert rows(as_user(ada).get(history))[0] == ("Ada", "Hospital administrator", "view")


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("who=ali", 2),
        ("verb=finish", 1),
        ("since=2000-01-01&until=2000-01-02", 0),
        ("who=nobody", 0),
        ("since=rubbish", 0),
    ],
)
def test_it_is_filtered_by_person_verb_and_day(as_user, ada, history, query, found):
    response = as_user(ada).get(f"{history}?{query}")
    assert len(rows(response)) == found


@pytest.mark.parametrize("query", ["until=9999-12-31", "since=9999-12-31", "since=0001-01-01", "until=0001-01-01"])
def test_a_day_of_no_year_of_ours_finds_nothing_and_is_told(as_user, ada, history, query):
    for path in (history, "/audit/"):
        response = as_user(ada).get(f"{path}?{query}")
        assert rows(response) == []
        assert "of the years 1900 to 2199" in response.content.decode()
    assert as_user(ada).get(f"/audit/export/?{query}").status_code == 200


def test_today_lies_within_today(as_user, ada, history):
    today = timezone.localdate()
    assert len(rows(as_user(ada).get(f"{history}?since={today}&until={today}"))) == 6


def test_it_is_paged_and_costs_the_same_queries_however_long(
    as_user, ada, alice, patient, history, django_assert_max_num_queries
):
    for _ in range(60):
        record(Verb.VIEW, patient, actor=alice)
    client = as_user(ada)
    with django_assert_max_num_queries(20):
        assert len(rows(client.get(history))) == 25
    assert len(rows(client.get(f"{history}?page=3"))) == 17


def test_the_file_holds_what_is_filtered_and_starts_no_formula(as_user, ada, patient, history, alice):
    alice.name = "=Alice"
    record(Verb.SIGN, patient, actor=alice)
    response = as_user(ada).get(f"/patients/{patient.pk}/accesses/export/?verb=sign")
    [row] = csv.DictReader(io.StringIO(response.getvalue().decode().removeprefix("\ufeff")))
    assert (row["Who"], row["What"], row["Patient's key"]) == ("'=Alice", "sign", str(patient.pk))
    assert AccessEvent.objects.filter(verb="export", patient_key=str(patient.pk), actor=ada).exists()


def test_the_audit_of_a_hospital_is_found_by_mrn_and_holds_nothing_of_others(
    as_user, ada, patient, history, other_hospital
):
    stranger = PatientFactory(hospital=other_hospital, mrn="A-1")
    record(Verb.VIEW, stranger, detail="in the other hospital")
    response = as_user(ada).get("/audit/?mrn=a-1")
    assert len(rows(response)) == 5
    page = as_user(ada).get("/audit/").content.decode()
    assert "another child" in page
    assert "in the other hospital" not in page
    assert as_user(ada).get(f"/patients/{stranger.pk}/accesses/").status_code == 404


def test_what_a_field_held_before_and_after_is_shown(as_user, ada, alice, patient, edited):
    edited(as_user(alice), patient, given_name="Janet")
    event = AccessEvent.objects.get(verb="edit")
    assert (event.actor, event.actor_role, event.detail) == (alice, "doctor", "given_name")
    assert event.changed_values.values == {"given_name": ["Jane", "Janet"]}
    page = as_user(ada).get(f"/patients/{patient.pk}/accesses/").content.decode()
    assert "<del>Jane</del>" in page
    assert "<ins>Janet</ins>" in page


def test_the_family_reads_in_plain_words_who_looked_and_how_often(as_user, mother, history, patient):
    page = as_user(mother).get(f"/family/{patient.pk}/accesses/").content.decode()
    words = " ".join(page.split())
    assert '<strong dir="auto">Alice</strong> <span class="muted">(doctor)</span> looked at the record' in words
    assert '<strong dir="auto">Mother Doe</strong> <span class="muted">(you)</span> looked at the record' in words
    assert "2 times, the last at" in words
    assert "system" not in page
    assert "127.0.0.1" not in page


OF_THE_PORTAL = {Verb.START, Verb.FINISH, Verb.REJECT, Verb.FAIL, Verb.REQUEUE, Verb.ANONYMISE, Verb.ERASE}
OF_NO_PATIENT = {
    *(Verb.CHANGE_ROLE, Verb.REMOVE_MEMBER, Verb.CONFIGURE, Verb.REMOVE_OLD_EVENTS),
    *(Verb.REGISTER_MODEL, Verb.ACTIVATE_MODEL, Verb.RETIRE_MODEL, Verb.START_SHADOW_RUN, Verb.END_SHADOW_RUN),
    *(Verb.SIGN_IN, Verb.FAIL_TO_SIGN_IN, Verb.SIGN_OUT, Verb.END_SESSION),
    *(Verb.CHANGE_PASSWORD, Verb.CHANGE_ADDRESS, Verb.CHANGE_SECOND_FACTOR, Verb.CHANGE_IDENTITY),
    *(Verb.MAKE_TOKEN, Verb.REVOKE_TOKEN),
}


def test_the_family_is_told_whatever_people_do_with_a_record():
    assert set(Verb) - OF_THE_PORTAL - OF_NO_PATIENT == PLAIN.keys()


def test_the_family_sees_nothing_of_other_children(as_user, mother, history, patient):
    sibling = PatientFactory(hospital=patient.hospital)
    assert as_user(mother).get(f"/family/{sibling.pk}/accesses/").status_code == 404


def test_the_pages_lead_there(as_user, alice, ada, mother, patient):
    path = f"/patients/{patient.pk}/accesses/"
    assert path in as_user(alice).get(f"/patients/{patient.pk}/").content.decode()
    assert path in as_user(ada).get(f"/patients/{patient.pk}/privacy/").content.decode()
    assert f"/family/{patient.pk}/accesses/" in as_user(mother).get(f"/family/{patient.pk}/").content.decode()
