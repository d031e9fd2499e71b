import pytest
from django.test import Client

from clinical.accounts import membership, views
from clinical.accounts.models import Membership
from clinical.audit.models import AccessEvent
from tests.factories import MembershipFactory, PatientFactory, StudyFactory, UserFactory


def membership_of(user):
    return user.memberships.get()


def change_role(client, membership, role):
    return client.post(f"/members/{membership.pk}/role/", {"role": role}, follow=True)


def remove(client, membership):
    return client.post(f"/members/{membership.pk}/remove/", follow=True)


def role_of(user):
    return Membership.objects.get(user=user).role


def test_an_administrator_sees_who_works_in_the_hospital(as_user, ada, alice, tess, bob):
    members = as_user(ada).get("/members/").context["memberships"]
    assert [membership.user for membership in members] == [ada, alice, tess]


def test_a_changed_role_counts_from_the_next_page_on(as_user, ada, tess):
    at_work = Client()
    at_work.force_login(tess)
    assert at_work.get("/members/").status_code == 403
    page = change_role(as_user(ada), membership_of(tess), "hospital_admin")
    assert "Tess is now hospital administrator." in page.content.decode()
    assert at_work.get("/members/").status_code == 200
    assert at_work.get("/studies/").status_code == 403


@pytest.mark.usefixtures("unscoped")
def test_a_changed_role_is_on_record_and_an_unchanged_one_is_not(as_user, ada, tess):
    client = as_user(ada)
    change_role(client, membership_of(tess), "technician")
    change_role(client, membership_of(tess), "doctor")
    event = AccessEvent.objects.get()
    assert (event.verb, event.actor, event.detail) == ("change role", ada, "technician to doctor")


@pytest.mark.parametrize("role", ["king", ""])
def test_a_role_that_does_not_exist_changes_nothing(as_user, ada, tess, role):
    page = change_role(as_user(ada), membership_of(tess), role)
    assert "Choose one of the roles" in page.content.decode()
    assert role_of(tess) == "technician"


@pytest.mark.parametrize("leave", [lambda client, own: change_role(client, own, "doctor"), remove])
def test_the_last_administrator_cannot_leave(as_user, ada, alice, leave):
    page = leave(as_user(ada), membership_of(ada))
    assert "the hospital&#x27;s only administrator" in page.content.decode()
    assert role_of(ada) == "hospital_admin"


def test_the_only_administrator_of_one_hospital_is_not_helped_by_those_of_another(as_user, ada, other_hospital):
    MembershipFactory(hospital=other_hospital, role="hospital_admin")
    remove(as_user(ada), membership_of(ada))
    assert role_of(ada) == "hospital_admin"


@pytest.fixture
def second_administrator(hospital):
    return MembershipFactory(hospital=hospital, role="hospital_admin", user=UserFactory(name="Anna"))


def test_an_administrator_who_becomes_a_doctor_lands_in_the_worklist(as_user, ada, second_administrator):
    page = change_role(as_user(ada), membership_of(ada), "doctor")
    assert page.status_code == 200
    assert page.redirect_chain[-1][0] == "/studies/"


def test_an_administrator_may_leave_when_there_is_another(as_user, ada, second_administrator):
    page = remove(as_user(ada), membership_of(ada))
    assert page.status_code == 403
    assert "not linked to a hospital" in page.content.decode()


def test_before_somebody_is_removed_the_page_asks(as_user, ada, tess):
    page = as_user(ada).get(f"/members/{membership_of(tess).pk}/remove/").content.decode()
    assert "Remove Tess?" in page
    assert role_of(tess) == "technician"


@pytest.mark.usefixtures("unscoped")
def test_somebody_who_is_removed_loses_access_at_once_and_their_work_stays(as_user, ada, tess, patient):
    study = StudyFactory(patient=patient, submitted_by=tess)
    at_work = Client()
    at_work.force_login(tess)
    assert at_work.get(f"/studies/{study.pk}/").status_code == 200
    remove(as_user(ada), membership_of(tess))
    assert at_work.get(f"/studies/{study.pk}/").status_code == 403
    assert at_work.get("/").status_code == 403
    study.refresh_from_db()
    assert study.submitted_by == tess
    assert AccessEvent.objects.filter(verb="remove member", actor=ada, detail="technician").exists()


def test_a_member_removed_twice_is_not_found(as_user, ada, tess):
    membership, client = membership_of(tess), as_user(ada)
    assert remove(client, membership).status_code == 200
    assert remove(client, membership).status_code == 404


@pytest.fixture
def open_twice(monkeypatch, tess):
    """Tess's membership as a second administrator has found it before the first acts."""
    found = membership_of(tess)
    monkeypatch.setattr(views, "get_object_or_404", lambda *args, **kwargs: found)
    return found


@pytest.mark.usefixtures("unscoped")
@pytest.mark.parametrize("act", [remove, lambda client, row: change_role(client, row, "doctor")])
def test_who_was_removed_meanwhile_is_not_removed_again_and_gets_no_role(as_user, ada, tess, open_twice, act):
    membership.remove(membership_of(tess), ada)
    page = act(as_user(ada), open_twice)
    assert "Somebody else has just removed this member." in page.content.decode()
    assert AccessEvent.objects.filter(object_type="membership").count() == 1


@pytest.mark.usefixtures("unscoped")
def test_a_role_that_was_changed_meanwhile_is_told_of_as_it_is_now(as_user, ada, tess, open_twice):
    membership.change_role(membership_of(tess), "doctor", ada)
    remove(as_user(ada), open_twice)
    assert AccessEvent.objects.get(verb="remove member").detail == "doctor"


@pytest.fixture
def in_two_hospitals(alice, hospital, other_hospital):
    """Alice, a doctor here, has become an administrator of the other hospital too. Each has one patient."""
    PatientFactory(hospital=hospital, family_name="Here")
    PatientFactory(hospital=other_hospital, family_name="There")
    return MembershipFactory(user=alice, hospital=other_hospital, role="hospital_admin")


def choose(client, membership):
    return client.post("/hospital/", {"membership": membership.pk})


def test_choosing_another_hospital_changes_what_is_seen_and_allowed(as_user, alice, hospital, in_two_hospitals):
    client = as_user(alice)
    [patient] = client.get("/patients/").context["page_obj"]
    assert patient.family_name == "Here"
    assert client.get("/members/").status_code == 403

    assert choose(client, in_two_hospitals)["Location"] == "/"
    assert client.get("/patients/").status_code == 403
    [member] = client.get("/members/").context["memberships"]
    assert member == in_two_hospitals


def test_a_patient_of_the_hospital_that_is_not_chosen_is_not_found(as_user, alice, hospital, in_two_hospitals):
    in_two_hospitals.role = "doctor"
    in_two_hospitals.save()
    client = as_user(alice)
    choose(client, in_two_hospitals)
    [there] = client.get("/patients/").context["page_obj"]
    assert there.family_name == "There"
    assert client.get(f"/patients/{there.pk}/").status_code == 200
    choose(client, alice.memberships.get(hospital=hospital))
    assert client.get(f"/patients/{there.pk}/").status_code == 404


@pytest.mark.parametrize("number", ["", "x", "-1", "1.5", "²", "9" * 30])
def test_a_made_up_choice_is_not_found(as_user, alice, number):
    assert as_user(alice).post("/hospital/", {"membership": number}).status_code == 404


def test_the_membership_of_somebody_else_cannot_be_chosen(as_user, alice, bob):
    assert choose(as_user(alice), membership_of(bob)).status_code == 404


def test_the_chosen_hospital_does_not_outlive_the_membership(as_user, alice, hospital, in_two_hospitals):
    client = as_user(alice)
    choose(client, in_two_hospitals)
    in_two_hospitals.delete()
    assert client.get("/patients/").wsgi_request.hospital == hospital
