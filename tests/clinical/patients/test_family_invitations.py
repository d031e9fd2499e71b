import re
from datetime import date, timedelta

import pytest
from django.core import mail
from django.test import Client
from django.utils import timezone

from clinical.accounts.models import User
from clinical.audit.models import AccessEvent
from clinical.patients.models import FamilyInvitation, Guardianship
from tests.factories import (
    PASSWORD,
    FamilyInvitationFactory,
    GuardianshipFactory,
    MembershipFactory,
    NotificationFactory,
    PatientFactory,
    UserFactory,
)

FORM = {"name": "Rosa Doe", "password1": PASSWORD, "password2": PASSWORD}


def invite_page(patient):
    return f"/patients/{patient.pk}/family/invite/"


def link_of(invitation):
    return f"/family/invitation/{invitation.token}/"


@pytest.fixture
def invite(as_user, alice, patient, django_capture_on_commit_callbacks):
    """Let Alice invite somebody of the patient's family; returns the response and sends the mail."""

    def post(email, relation="mother", patient=patient, doctor=alice):
        with django_capture_on_commit_callbacks(execute=True):
            return as_user(doctor).post(invite_page(patient), {"email": email, "relation": relation})

    return post


@pytest.fixture
def invitation(patient):
    return FamilyInvitationFactory(patient=patient, email="rosa@example.org")


def test_an_invited_mother_opens_the_link_in_the_mail_and_sees_her_child(invite, patient):
    assert invite("Rosa@Example.org")["Location"] == f"/patients/{patient.pk}/"
    [message] = mail.outbox
    assert message.to == ["rosa@example.org"]
    link = f"http://testserver{link_of(FamilyInvitation.objects.get())}"
    assert link in message.body.split()

    visitor = Client()
    assert visitor.get(link).status_code == 200
    assert visitor.post(link, FORM)["Location"] == "/family/"
    page = visitor.get("/family/").content.decode()
    assert "Doe, Jane" in page
    assert "Welcome." in page
    rosa = User.objects.get(email="rosa@example.org")
    assert [guardianship.relation for guardianship in rosa.guardianships.all()] == ["mother"]


def test_neither_the_mail_nor_the_page_behind_the_link_says_anything_of_the_patient(invite, patient):
    invite("rosa@example.org")
    [message] = mail.outbox
    page = Client().get(link_of(FamilyInvitation.objects.get())).content.decode()
    for text in (message.subject + message.body, page):
        assert "St. Anna Children" in text
        for secret in ("Doe", "Jane", patient.mrn, str(patient.pk), "2014", "mother", "Alice"):
            assert not re.search(rf"\b{secret}\b", text)  # a random token may hold a short one


@pytest.mark.usefixtures("unscoped")
def test_inviting_joining_and_revoking_are_on_record(invite, as_user, alice, patient):
    invite("rosa@example.org")
    Client().post(link_of(FamilyInvitation.objects.get()), FORM)
    as_user(alice).post(f"/patients/family/{Guardianship.objects.get().pk}/revoke/")
    events = AccessEvent.objects.order_by("pk").values_list("verb", "actor_name", "detail", "patient_key")
    assert list(events) == [
        ("invite", "Alice", "mother", str(patient.pk)),
        ("join", "Rosa Doe", "mother", str(patient.pk)),
        ("revoke access", "Alice", "mother", str(patient.pk)),
    ]


def test_a_parent_with_an_account_signs_in_first(client, invitation, mother):
    brother = PatientFactory(family_name="Doe", given_name="Tim")
    second = FamilyInvitationFactory(patient=brother, email=mother.email)
    assert client.get(link_of(second))["Location"] == f"/accounts/login/?next={link_of(second)}"
    client.post("/accounts/login/", {"login": mother.email, "password": PASSWORD})
    assert "password1" not in client.get(link_of(second)).content.decode()
    assert client.post(link_of(second))["Location"] == "/family/"
    assert "Doe, Tim" in client.get("/family/").content.decode()
    assert mother.guardianships.count() == 2


def test_a_doctor_is_invited_as_a_parent_and_stays_a_doctor(as_user, bob, patient):
    invitation = FamilyInvitationFactory(patient=patient, email=bob.email, relation="father")
    client = as_user(bob)
    assert client.post(link_of(invitation))["Location"] == "/family/"
    assert "Doe, Jane" in client.get("/family/").content.decode()
    assert client.get("/patients/").status_code == 200
    assert bob.memberships.count() == 1


@pytest.mark.parametrize(
    ("relation", "whose"), [("self", "your"), ("father", "your child's"), ("of_adult", "the patient's")]
)
def test_the_page_behind_the_link_says_whose_reports(client, patient, relation, whose):
    invitation = FamilyInvitationFactory(patient=patient, relation=relation)
    heading = re.search(r"<h1>(.*?)</h1>", client.get(link_of(invitation)).content.decode(), re.DOTALL)[1]
    assert " ".join(heading.split()) == f"Read {whose} reports"


def test_opening_the_link_alone_changes_nothing(client, invitation):
    client.get(link_of(invitation))
    assert not Guardianship.objects.exists()
    assert not User.objects.filter(email=invitation.email).exists()


def assert_closed(invitation):
    client = Client()
    for response in (client.get(link_of(invitation)), client.post(link_of(invitation), FORM)):
        assert response.status_code == 404
        assert "This invitation is closed" in response.content.decode()
    assert not Guardianship.objects.filter(user__email=invitation.email).exists()


def test_an_expired_invitation_is_closed(invitation):
    FamilyInvitation.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert_closed(invitation)


def test_a_withdrawn_invitation_is_closed(as_user, alice, invitation, patient):
    page = as_user(alice).post(f"/patients/family/invitations/{invitation.pk}/withdraw/", follow=True)
    assert page.redirect_chain[-1][0] == f"/patients/{patient.pk}/"
    assert "rosa@example.org" not in page.content.decode()
    assert_closed(invitation)


def test_an_invitation_works_once(client, invitation):
    client.post(link_of(invitation), FORM)
    thief = Client()
    assert thief.post(link_of(invitation), FORM | {"name": "Thief"}).status_code == 404
    assert Guardianship.objects.count() == 1


def test_a_double_click_leads_on_to_the_family(client, invitation):
    client.post(link_of(invitation), FORM)
    assert client.post(link_of(invitation), FORM)["Location"] == "/family/"
    assert Guardianship.objects.count() == 1


def test_somebody_elses_invitation_cannot_be_accepted(as_user, mother, patient):
    UserFactory(email="rosa@example.org")
    invitation = FamilyInvitationFactory(patient=PatientFactory(), email="rosa@example.org")
    client = as_user(mother)
    assert client.post(link_of(invitation))["Location"] == "/"
    assert "This invitation is for somebody else" in client.get("/family/").content.decode()
    assert mother.guardianships.count() == 1


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"password2": "something else entirely"}, "password2"),
        ({"password1": "short", "password2": "short"}, "password1"),
    ],
)
def test_a_form_with_a_mistake_opens_no_account(client, invitation, change, field):
    response = client.post(link_of(invitation), FORM | change)
    assert response.status_code == 422
    assert field in response.context["form"].errors
    assert not Guardianship.objects.exists()


def error_of(response, field):
    assert response.status_code == 422
    [sentence] = response.context["form"].errors[field]
    assert sentence.endswith(".")
    return sentence


def test_somebody_with_access_cannot_be_invited_again(invite, mother):
    assert error_of(invite("Mother@example.org"), "email") == "This person has access already."


def test_an_invitation_sent_again_takes_the_place_of_the_first_of_that_child(invite, invitation):
    of_a_sister = FamilyInvitationFactory(email=invitation.email, patient__hospital=invitation.hospital)
    assert invite("rosa@example.org").status_code == 302
    first, again = FamilyInvitation.objects.order_by("pk")
    assert first == of_a_sister
    assert again.patient == invitation.patient
    assert link_of(again) in mail.outbox[0].body


@pytest.mark.parametrize(("email", "relation", "field"), [("rosa", "mother", "email"), ("r@a.org", "aunt", "relation")])
def test_an_invitation_with_a_mistake_is_not_sent(invite, email, relation, field):
    assert error_of(invite(email, relation), field)
    assert not mail.outbox


def years_ago(years, days=0):
    today = date.today()
    return today.replace(year=today.year - years, day=min(today.day, 28)) + timedelta(days=days)


def test_a_patient_is_invited_from_twelve_years_on(invite, hospital):
    young = PatientFactory(hospital=hospital, date_of_birth=years_ago(12, days=5))
    old_enough = PatientFactory(hospital=hospital, date_of_birth=years_ago(12))
    assert "younger than 12 years" in error_of(invite("kim@example.org", "self", young), "relation")
    assert invite("kim@example.org", "self", old_enough).status_code == 302
    assert FamilyInvitation.objects.get().patient == old_enough


def test_the_page_says_from_what_age_a_patient_may_read(as_user, alice, patient):
    assert "from the age of 12" in as_user(alice).get(invite_page(patient)).content.decode()


def test_a_patient_has_one_account(invite, hospital):
    kim = PatientFactory(hospital=hospital, date_of_birth=years_ago(15))
    GuardianshipFactory(patient=kim, relation="self")
    assert "has access already" in error_of(invite("kim@example.org", "self", kim), "relation")


def test_a_patient_has_one_open_invitation(invite, hospital):
    kim = PatientFactory(hospital=hospital, date_of_birth=years_ago(15))
    assert invite("kim@example.org", "self", kim).status_code == 302
    assert "invitation that is still open" in error_of(invite("kim@example.net", "self", kim), "relation")
    assert invite("kim@example.org", "self", kim).status_code == 302
    FamilyInvitation.objects.update(expires_at=timezone.now())
    assert invite("kim@example.net", "self", kim).status_code == 302


@pytest.mark.parametrize("who", ["tess", "ada", "mother", "charlie"])
def test_only_a_doctor_invites_withdraws_and_revokes(as_user, request, who, patient, invitation):
    guardianship = GuardianshipFactory(patient=patient)
    client = as_user(request.getfixturevalue(who))
    guardianships, data = Guardianship.objects.count(), {"email": "r@example.org", "relation": "mother"}
    for path in (
        invite_page(patient),
        f"/patients/family/invitations/{invitation.pk}/withdraw/",
        f"/patients/family/{guardianship.pk}/revoke/",
    ):
        assert client.post(path, data).status_code == 403
    assert Guardianship.objects.count() == guardianships
    assert list(FamilyInvitation.objects.all()) == [invitation]


def test_a_doctor_of_another_hospital_finds_nothing_of_it(as_user, bob, patient, invitation):
    guardianship = GuardianshipFactory(patient=patient)
    client = as_user(bob)
    for path in (
        invite_page(patient),
        f"/patients/family/invitations/{invitation.pk}/withdraw/",
        f"/patients/family/{guardianship.pk}/revoke/",
    ):
        assert client.post(path).status_code == 404


def test_the_patients_page_lists_who_has_access_and_who_is_invited(as_user, alice, tess, patient, mother, invitation):
    FamilyInvitationFactory(patient=patient, email="late@example.org", expires_at=timezone.now())
    as_doctor = as_user(alice).get(f"/patients/{patient.pk}/").content.decode()
    as_technician = as_user(tess).get(f"/patients/{patient.pk}/").content.decode()
    for page in (as_doctor, as_technician):
        assert "Mother Doe" in page
        assert "rosa@example.org" in page
        assert "late@example.org" in page
        assert page.count("expired on") == 1
    for offer in (invite_page(patient), "/revoke/", "/withdraw/", "Send again"):
        assert offer in as_doctor
        assert offer not in as_technician


def test_revoking_asks_first(as_user, alice, mother):
    guardianship = mother.guardianships.get()
    page = as_user(alice).get(f"/patients/family/{guardianship.pk}/revoke/")
    assert "Revoke the access of Mother Doe?" in page.content.decode()
    assert mother.guardianships.exists()


def test_revoking_works_with_the_next_request(as_user, alice, mother, patient):
    """Of a session that is open, too."""
    other_child = PatientFactory(hospital=patient.hospital)
    GuardianshipFactory(user=mother, patient=other_child)
    session = Client()
    session.force_login(mother, backend="allauth.account.auth_backends.AuthenticationBackend")
    assert session.get(f"/family/{patient.pk}/").status_code == 200
    as_user(alice).post(f"/patients/family/{mother.guardianships.get(patient=patient).pk}/revoke/")
    assert session.get(f"/family/{patient.pk}/").status_code == 404
    assert session.get(f"/family/{other_child.pk}/").status_code == 200


def test_what_was_not_read_before_the_revocation_is_taken_back(as_user, alice, mother, patient):
    NotificationFactory(user=mother, url=f"/family/{patient.pk}/#study-1")
    kept = NotificationFactory(user=mother, url="/family/another/#study-2")
    father = GuardianshipFactory(patient=patient, relation="father").user
    fathers = NotificationFactory(user=father, url=f"/family/{patient.pk}/#study-1")
    as_user(alice).post(f"/patients/family/{mother.guardianships.get().pk}/revoke/")
    assert list(mother.notifications.all()) == [kept]
    assert list(father.notifications.all()) == [fathers]


def test_revoking_twice_finds_nothing_the_second_time(as_user, alice, mother):
    path = f"/patients/family/{mother.guardianships.get().pk}/revoke/"
    assert as_user(alice).post(path).status_code == 302
    assert as_user(alice).post(path).status_code == 404


def test_a_member_of_two_hospitals_invites_in_the_chosen_one_only(as_user, alice, other_hospital):
    elsewhere = PatientFactory(hospital=other_hospital)
    MembershipFactory(user=alice, hospital=other_hospital, role="doctor")
    client = as_user(alice)
    chosen = client.get("/patients/").wsgi_request.hospital
    assert (client.get(invite_page(elsewhere)).status_code == 200) == (chosen == other_hospital)
