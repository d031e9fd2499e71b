import pytest
from django.utils import timezone

from clinical.audit.models import AccessEvent
from tests.factories import GuardianshipFactory, PatientFactory


def test_family_lands_on_the_page_of_its_children(as_user, mother):
    page = as_user(mother).get("/", follow=True)
    assert page.redirect_chain[-1][0] == "/family/"
    assert "Doe, Jane" in page.content.decode()


def test_family_sees_its_own_children_in_every_hospital_and_no_other(as_user, mother, patient, other_hospital):
    sister = PatientFactory(hospital=other_hospital, family_name="Doe", given_name="Zoe")
    GuardianshipFactory(user=mother, patient=sister)
    PatientFactory(hospital=patient.hospital, family_name="Stranger")
    response = as_user(mother).get("/family/")
    assert [guardianship.patient for guardianship in response.context["children"]] == [patient, sister]
    assert "Northern General" in response.content.decode()
    assert "Stranger" not in response.content.decode()


def test_a_record_that_the_clinic_archived_stays_the_familys(as_user, mother, patient):
    patient.archived_at = timezone.now()
    patient.save()
    assert "Doe, Jane" in as_user(mother).get("/family/").content.decode()


@pytest.mark.usefixtures("unscoped")
def test_what_the_family_saw_is_on_record(as_user, mother, patient):
    as_user(mother).get("/family/")
    event = AccessEvent.objects.get()
    assert (event.verb, event.actor, event.patient_key) == ("view", mother, str(patient.pk))


def test_a_guardianship_that_ended_ends_the_access(as_user, mother):
    client = as_user(mother)
    mother.guardianships.all().delete()
    assert client.get("/family/").status_code == 403
