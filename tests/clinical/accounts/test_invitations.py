import re
from datetime import timedelta
from smtplib import SMTPRecipientsRefused

import pytest
from allauth.account.models import EmailAddress
from django.core import mail
from django.core.mail.backends.locmem import EmailBackend
from django.test import Client
from django.utils import timezone

from clinical.accounts import invitations
from clinical.accounts.models import Invitation, Membership, User
from clinical.audit.models import AccessEvent
from clinical.patients.models import FamilyInvitation
from tests.factories import PASSWORD, InvitationFactory, MembershipFactory, UserFactory

FORM = {"name": "Dora Example", "password1": PASSWORD, "password2": PASSWORD}


@pytest.fixture
def invitation(hospital):
    return InvitationFactory(hospital=hospital, email="dora@example.org", role="technician")


def link_of(invitation):
    return f"/invitation/{invitation.token}/"


@pytest.fixture
def invite(as_user, ada):
    """Let Ada invite somebody; returns the response and sends the mail."""
    return lambda email, role="technician": as_user(ada).post("/members/invite/", {"email": email, "role": role})


def joined(hospital, email):
    return list(Membership.objects.filter(hospital=hospital, user__email=email).values_list("role", flat=True))


def test_an_invited_person_opens_the_link_in_the_mail_and_is_a_member(invite, ada, hospital):
    assert invite("Dora@Example.org", "doctor")["Location"] == "/members/"
    [message] = mail.outbox
    assert message.to == ["dora@example.org"]
    assert "Ada invites you to St. Anna Children's Hospital" in message.body
    link = f"http://testserver{link_of(Invitation.objects.get())}"
    assert link in message.body.split()

    visitor = Client()
    page = visitor.get(link).content.decode()
    assert "St. Anna Children&#x27;s Hospital" in page
    assert visitor.post(link, FORM)["Location"] == "/"
    assert joined(hospital, "dora@example.org") == ["doctor"]
    assert visitor.get("/studies/").status_code == 200

    dora = User.objects.get(email="dora@example.org")
    assert dora.name == "Dora Example"
    assert dora.check_password(PASSWORD)
    again = Client()
    again.post("/accounts/login/", {"login": "dora@example.org", "password": PASSWORD})
    assert again.get("/studies/").status_code == 200


@pytest.mark.usefixtures("unscoped")
def test_joining_is_on_record(invite, ada):
    invite("dora@example.org")
    Client().post(link_of(Invitation.objects.get()), FORM)
    events = AccessEvent.objects.order_by("pk").values_list("verb", "actor_name", "detail")
    assert list(events) == [("invite", "Ada", "technician"), ("join", "Dora Example", "technician")]


def test_somebody_with_an_account_signs_in_and_joins(client, invitation, hospital, other_hospital):
    dora = UserFactory(email="dora@example.org")
    MembershipFactory(user=dora, hospital=other_hospital, role="doctor")
    asked = client.get(link_of(invitation))
    assert asked["Location"] == f"/accounts/login/?next={link_of(invitation)}"
    data = {"login": dora.email, "password": PASSWORD, "next": link_of(invitation)}
    page = client.post("/accounts/login/", data, follow=True)
    assert page.status_code == 200
    assert not page.context["form"]

    client.post(link_of(invitation))
    assert joined(hospital, dora.email) == ["technician"]
    assert joined(other_hospital, dora.email) == ["doctor"]
    assert client.get("/studies/").wsgi_request.hospital == hospital


def test_opening_the_link_alone_changes_nothing(client, invitation):
    client.get(link_of(invitation))
    invitation.refresh_from_db()
    assert invitation.accepted_at is None
    assert not User.objects.exists()


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"password2": "another long sentence"}, "password2"),
        ({"password1": "short", "password2": "short"}, "password1"),
        ({"password1": "dora@example.org", "password2": "dora@example.org"}, "password1"),
        ({"password1": ""}, "password1"),
        ({"name": " "}, "name"),
        ({"name": "x" * 201}, "name"),
    ],
)
def test_a_form_with_a_mistake_says_so_and_opens_no_account(client, invitation, change, field):
    response = client.post(link_of(invitation), FORM | change)
    assert response.status_code == 422
    assert field in response.context["form"].errors
    assert not User.objects.exists()
    assert not joined(invitation.hospital, invitation.email)


def test_an_expired_invitation_is_closed(client, invitation):
    invitation.expires_at = timezone.now() - timedelta(seconds=1)
    invitation.save()
    assert_closed(client, invitation)


def assert_closed(client, invitation):
    for response in (client.get(link_of(invitation)), client.post(link_of(invitation), FORM)):
        assert response.status_code == 404
        assert "This invitation is closed" in response.content.decode()
    assert not joined(invitation.hospital, invitation.email)


def test_a_withdrawn_invitation_is_closed(as_user, ada, invitation):
    as_user(ada).post(f"/members/invitations/{invitation.pk}/withdraw/")
    assert_closed(Client(), invitation)


@pytest.mark.usefixtures("unscoped")
def test_what_was_accepted_meanwhile_is_not_withdrawn_and_says_so(as_user, ada, invitation, hospital, monkeypatch):
    withdraw = invitations.withdraw

    def too_late(*arguments):
        invitations.accept(invitation, name="Dora Example", password=PASSWORD)
        return withdraw(*arguments)

    monkeypatch.setattr(invitations, "withdraw", too_late)
    page = as_user(ada).post(f"/members/invitations/{invitation.pk}/withdraw/", follow=True).content.decode()
    assert "The invitation was accepted or withdrawn meanwhile." in page
    assert joined(hospital, invitation.email) == ["technician"]
    assert Invitation.objects.get().accepted_at
    assert not AccessEvent.objects.filter(verb="withdraw invitation").exists()


def test_a_made_up_link_is_closed(client, db):
    assert client.get("/invitation/made-up/").status_code == 404


def test_an_invitation_works_once(client, invitation):
    client.post(link_of(invitation), FORM)
    thief = Client()
    assert thief.get(link_of(invitation)).status_code == 404
    assert thief.post(link_of(invitation), FORM).status_code == 404
    assert User.objects.count() == Membership.objects.count() == 1


def test_a_double_click_on_the_form_joins_once_and_stays_signed_in(client, invitation, hospital):
    assert client.post(link_of(invitation), FORM)["Location"] == "/"
    assert client.post(link_of(invitation), FORM)["Location"] == "/"
    assert joined(hospital, invitation.email) == ["technician"]
    assert User.objects.count() == 1


def test_an_invitation_that_was_used_leads_its_person_on(client, invitation):
    client.post(link_of(invitation), FORM)
    assert client.get(link_of(invitation))["Location"] == "/"


def test_two_answers_at_once_join_once(invitation):
    invitations.accept(invitation, name="Dora", password=PASSWORD)
    with pytest.raises(invitations.InvitationClosed):
        invitations.accept(invitation, name="Dora", password=PASSWORD)
    assert Membership.objects.count() == 1


def test_somebody_elses_invitation_cannot_be_accepted(as_user, alice, invitation):
    UserFactory(email=invitation.email)
    client = as_user(alice)
    for response in (client.get(link_of(invitation)), client.post(link_of(invitation))):
        assert response["Location"] == "/"
    page = client.get("/studies/").content.decode()
    assert "This invitation is for somebody else" in page
    invitation.refresh_from_db()
    assert invitation.is_pending


def test_an_invitation_reaches_its_person_by_a_second_address_too(as_user, alice, other_hospital):
    EmailAddress.objects.create(user=alice, email="alice@home.example", verified=True, primary=False)
    invitation = InvitationFactory(hospital=other_hospital, email="alice@home.example")
    as_user(alice).post(link_of(invitation))
    assert joined(other_hospital, alice.email) == ["technician"]


def test_a_member_cannot_be_invited_by_a_second_address_either(invite, alice):
    EmailAddress.objects.create(user=alice, email="alice@home.example", verified=True, primary=False)
    assert error_of(invite("alice@home.example")) == "This person is a member of the hospital already."


def error_of(response, field="email"):
    assert response.status_code == 422
    [sentence] = response.context["form"].errors[field]
    assert sentence.endswith(".")
    return sentence


def test_a_member_cannot_be_invited_again(invite, alice):
    assert error_of(invite("ALICE@example.org")) == "This person is a member of the hospital already."
    assert not mail.outbox


@pytest.mark.parametrize("expired", [False, True])
def test_an_invitation_sent_again_takes_the_place_of_the_first(invite, invitation, client, unscoped, expired):
    if expired:
        Invitation.objects.update(expires_at=timezone.now())
    assert invite(invitation.email.title()).status_code == 302
    [message], [another] = mail.outbox, Invitation.objects.all()
    assert link_of(another) in message.body
    assert another.is_pending
    client.logout()
    assert client.get(link_of(invitation)).status_code == 404
    assert AccessEvent.objects.filter(verb="withdraw invitation", object_key=str(invitation.pk)).exists()


def test_where_it_cannot_be_sent_again_the_first_stays(invite, invitation, monkeypatch):
    def no_server(*args, **kwargs):
        raise ConnectionRefusedError

    monkeypatch.setattr(invitations, "send_mail", no_server)
    assert invite(invitation.email).status_code == 503
    assert list(Invitation.objects.all()) == [invitation]


def test_the_members_page_sends_again_what_it_lists(as_user, ada, invitation):
    Invitation.objects.update(expires_at="2026-05-01T12:00Z")
    page = as_user(ada).get("/members/").content.decode()
    assert "Technician, expired on 1 May 2026" in page
    assert f'aria-label="Send the invitation of {invitation.email} again"' in page


def test_two_hospitals_can_invite_the_same_person(invite, other_hospital):
    InvitationFactory(hospital=other_hospital, email="dora@example.org")
    assert invite("dora@example.org").status_code == 302


@pytest.mark.parametrize(("email", "role", "field"), [("dora", "doctor", "email"), ("d@example.org", "king", "role")])
def test_an_invitation_with_a_mistake_is_not_sent(invite, email, role, field):
    assert error_of(invite(email, role), field)
    assert not Invitation.objects.exists()


def test_invitations_are_listed_until_they_are_used(as_user, ada, invitation):
    InvitationFactory(email="elsewhere@example.org")
    client = as_user(ada)
    assert list(client.get("/members/").context["invitations"]) == [invitation]
    Client().post(link_of(invitation), FORM)
    assert not client.get("/members/").context["invitations"]


def refuses(*args, **kwargs):
    raise SMTPRecipientsRefused({"dora@example.org": (550, b"No such user")})


@pytest.mark.usefixtures("unscoped")
@pytest.mark.parametrize("path", ["/members/invite/", "/patients/{}/family/invite/"])
def test_an_invitation_that_the_mail_server_refuses_is_taken_back_and_the_form_says_what_to_do_as_it_was_filled_in(
    request, as_user, patient, monkeypatch, caplog, path
):
    client = as_user(request.getfixturevalue("ada" if path.startswith("/members/") else "alice"))
    form = {"email": "dora@example.org", "role": "doctor", "relation": "mother"}
    with monkeypatch.context() as patched:
        patched.setattr(EmailBackend, "send_messages", refuses)
        response = client.post(path.format(patient.pk), form)
    page = response.content.decode()
    assert response.status_code == 503
    assert "The invitation was not sent" in page
    assert 'value="dora@example.org"' in page
    assert re.search(r'value="(doctor" selected|mother"[^>]* checked)', page)
    assert "on its way" not in page
    assert not Invitation.objects.exists()
    assert not FamilyInvitation.objects.exists()
    events = AccessEvent.objects.filter(object_type__endswith="invitation").order_by("pk")
    assert list(events.values_list("verb", flat=True)) == ["invite", "withdraw invitation"]
    assert "was not sent (SMTPRecipientsRefused)" in caplog.text
    assert "dora" not in caplog.text
    page = client.post(path.format(patient.pk), form, follow=True).content.decode()
    assert "The invitation is on its way." in page
    assert [message.to for message in mail.outbox] == [["dora@example.org"]]


def test_what_waited_for_a_confirmation_and_cannot_be_sent_is_told_as_well(client, ada, monkeypatch):
    client.post("/accounts/login/", {"login": ada.email, "password": PASSWORD})
    path, form = "/members/invite/", {"email": "dora@example.org", "role": "doctor"}
    assert client.post(path, form)["Location"].startswith("/accounts/reauthenticate/")
    monkeypatch.setattr(EmailBackend, "send_messages", refuses)
    page = client.post("/accounts/reauthenticate/", {"password": PASSWORD, "next": path}).content.decode()
    assert "The invitation was not sent" in page
    assert 'value="dora@example.org"' in page
