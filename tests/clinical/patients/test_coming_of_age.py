"""Parents read the reports of a child; whoever is of age decides themselves."""

from datetime import date

import pytest
from django.core.exceptions import ValidationError
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils.html import strip_tags

from clinical.audit.models import AccessEvent
from clinical.patients import families, tasks
from clinical.patients.models import FamilyInvitation, Guardianship
from tests.factories import FamilyInvitationFactory, GuardianshipFactory, PatientFactory

pytestmark = pytest.mark.usefixtures("unscoped")

RELATIONS = ["self", "mother", "father", "guardian", "of_adult"]


@pytest.fixture
def on(monkeypatch):
    """`on(date(2032, 3, 9))`: that day is today."""

    def set_today(day):
        class Today(date):
            @classmethod
            def today(cls):
                return day

        monkeypatch.setattr("clinical.patients.models.date", Today)
        monkeypatch.setattr("clinical.patients.families.timezone.localdate", lambda: day)

    return set_today


def test_on_the_birthday_the_access_of_parents_and_guardians_of_the_child_ends(patient, other_hospital, on):
    for relation in RELATIONS:
        GuardianshipFactory(patient=patient, relation=relation)
        FamilyInvitationFactory(patient=patient, relation=relation)
    younger = GuardianshipFactory(patient__hospital=other_hospital, patient__date_of_birth=date(2014, 3, 10))
    on(date(2032, 3, 8))
    assert families.end_with_childhood() == 0
    on(date(2032, 3, 9))
    tasks.end_with_childhood()
    assert {row.relation for row in patient.guardianships.all()} == {"self", "of_adult"}
    assert Guardianship.objects.filter(pk=younger.pk).exists()
    events = AccessEvent.objects.filter(verb="revoke access", patient_key=str(patient.pk))
    assert {(event.actor_name, event.detail) for event in events} == {
        ("system", f"{relation}, the patient is of age") for relation in ("mother", "father", "guardian")
    }
    assert families.end_with_childhood() == 0


def test_invitations_of_parents_that_are_open_then_end_too(patient, on):
    for relation in RELATIONS:
        FamilyInvitationFactory(patient=patient, relation=relation)
    on(date(2032, 3, 9))
    FamilyInvitation.objects.update(expires_at="2033-01-01T00:00Z")
    families.end_with_childhood()
    assert set(FamilyInvitation.objects.values_list("relation", flat=True)) == {"self", "of_adult"}
    assert AccessEvent.objects.filter(verb="withdraw invitation", patient_key=str(patient.pk)).count() == 3


def test_each_hospital_says_from_which_birthday_on(patient, other_hospital, on):
    other_hospital.age_of_majority = 16
    other_hospital.save()
    here = GuardianshipFactory(patient=patient)
    there = GuardianshipFactory(patient=PatientFactory(hospital=other_hospital))
    on(date(2030, 3, 9))
    families.end_with_childhood()
    assert list(Guardianship.objects.all()) == [here]
    assert there.ends_on == date(2030, 3, 9)


@pytest.mark.parametrize(
    ("born", "last_day", "first_day"),
    [
        (date(2012, 2, 29), date(2030, 2, 28), date(2030, 3, 1)),
        (date(2014, 3, 1), date(2032, 2, 29), date(2032, 3, 1)),
    ],
)
def test_around_the_end_of_february(hospital, on, born, last_day, first_day):
    guardianship = GuardianshipFactory(patient__hospital=hospital, patient__date_of_birth=born)
    assert guardianship.ends_on == first_day
    on(last_day)
    assert families.end_with_childhood() == 0
    on(first_day)
    assert families.end_with_childhood() == 1


def test_the_sweep_asks_as_much_for_many_families_as_for_one(hospital, on):
    on(date(2026, 1, 1))
    GuardianshipFactory(patient__hospital=hospital)
    with CaptureQueriesContext(connection) as one:
        families.end_with_childhood()
    GuardianshipFactory.create_batch(3, patient__hospital=hospital)
    with CaptureQueriesContext(connection) as four:
        families.end_with_childhood()
    assert len(one) == len(four)
    assert sum('DISTINCT "accounts_hospital"' in query["sql"] for query in one) == 1


def test_the_mother_is_told_in_the_year_before(as_user, mother, patient, on):
    told = "You can read these reports until 9 March 2032"
    on(date(2031, 3, 8))
    assert told not in as_user(mother).get(f"/family/{patient.pk}/").content.decode()
    on(date(2031, 3, 10))
    assert told in as_user(mother).get(f"/family/{patient.pk}/").content.decode()


@pytest.mark.parametrize(("given_name", "called"), [("Jane", "Jane"), ("", "Doe")])
def test_the_sentence_names_the_patient_with_or_without_a_given_name(as_user, mother, patient, on, given_name, called):
    patient.given_name = given_name
    patient.save()
    on(date(2031, 3, 10))
    page = strip_tags(as_user(mother).get(f"/family/{patient.pk}/").content.decode())
    assert f"when {called} comes of age" in " ".join(page.split())


def test_the_patients_page_says_until_when(as_user, alice, patient, mother):
    GuardianshipFactory(patient=patient, relation="self")
    page = as_user(alice).get(f"/patients/{patient.pk}/").content.decode()
    assert page.count(", until 9 Mar 2032") == 1


def test_of_an_adult_other_people_are_invited(as_user, alice, patient, on):
    path = f"/patients/{patient.pk}/family/invite/"
    client = as_user(alice)

    def offered():
        return [value for value, _ in client.get(path).context["form"].fields["relation"].choices]

    assert offered() == ["self", "mother", "father", "guardian"]
    on(date(2032, 3, 9))
    assert offered() == ["self", "of_adult"]
    refused = client.post(path, {"email": "rosa@example.org", "relation": "mother"})
    assert refused.status_code == 422
    assert "The patient is of age." in refused.content.decode()
    assert client.post(path, {"email": "rosa@example.org", "relation": "of_adult"}).status_code == 302


@pytest.mark.parametrize("years", [15, 22])
def test_an_age_that_no_country_has_is_refused(hospital, years):
    hospital.age_of_majority = years
    with pytest.raises(ValidationError):
        hospital.full_clean()
