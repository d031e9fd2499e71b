import re

import pytest
from allauth.account.models import EmailAddress
from allauth.usersessions.models import UserSession
from django.contrib.sessions.models import Session
from django.core import mail
from django.test import Client
from django.utils import timezone
from django_scopes import scopes_disabled

from clinical.accounts.tasks import clear_sessions
from clinical.accounts.templatetags.sessions import device
from clinical.audit.models import AccessEvent
from tests.factories import PASSWORD, InvitationFactory
from tests.one_time_codes import code_of

FIREFOX = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:128.0) Gecko/20100101 Firefox/128.0"
NEW = "a quite different sentence"


@pytest.fixture
def elsewhere(alice):
    """A browser in which Alice is signed in, too."""
    browser = Client(headers={"User-Agent": FIREFOX})
    browser.post("/accounts/login/", {"login": alice.email, "password": PASSWORD})
    assert browser.get("/studies/").status_code == 200
    return browser


def is_in(browser):
    return browser.get("/studies/").status_code == 200


def ended():
    """Who ended which sessions, as it is on record."""
    with scopes_disabled():
        return list(AccessEvent.objects.filter(verb="end session").values_list("actor_name", "detail"))


def test_who_does_nothing_is_signed_out_and_comes_back_to_the_same_page(client, sign_in, alice, clock):
    sign_in(alice)
    clock(minutes=14)
    assert client.get("/patients/?sex=F").status_code == 200
    clock(minutes=14)
    assert client.get("/patients/?sex=F").status_code == 200
    clock(minutes=16)
    response = client.get("/patients/?sex=F", follow=True)
    assert response.redirect_chain == [("/accounts/login/?next=/patients/%3Fsex%3DF", 302)]
    assert "signed out for safety" in response.content.decode()


def test_every_open_tab_says_why_until_somebody_signs_in(client, sign_in, alice, clock):
    def says_why(page):
        return "signed out for safety" in client.get(page, follow=True).content.decode()

    sign_in(alice)
    clock(minutes=16)
    assert client.get("/session/").status_code == 401  # the script of the first tab learns of it
    assert says_why("/patients/?sex=F")
    assert says_why("/studies/")
    sign_in(alice)
    client.post("/accounts/logout/")
    assert not says_why("/studies/")


def test_what_is_sent_too_late_leads_back_to_the_page_it_was_sent_from(client, sign_in, alice, patient, clock):
    sign_in(alice)
    clock(minutes=16)
    page = f"/patients/{patient.pk}/"
    response = client.post(f"{page}archive/", headers={"Referer": f"http://testserver{page}"})
    assert response["Location"] == f"/accounts/login/?next={page}"
    assert "so nothing was saved" in client.get(response["Location"]).content.decode()
    assert "so nothing was saved" not in client.get("/accounts/login/").content.decode()


def test_what_comes_from_elsewhere_leads_to_the_start_page(client, alice, patient):
    response = client.post(f"/patients/{patient.pk}/archive/", headers={"Referer": "https://evil.example/page"})
    assert response["Location"] == "/accounts/login/?next=/"


@pytest.mark.parametrize("headers", [{"HX-Request": "true"}, {"Sec-Fetch-Mode": "cors"}, {"Sec-Fetch-Mode": "no-cors"}])
def test_what_a_page_asks_for_by_itself_keeps_nobody_signed_in(client, sign_in, alice, clock, headers):
    sign_in(alice)
    assert client.get("/studies/").status_code == 200
    for _ in range(15):
        assert client.get("/studies/", headers=headers).status_code == 200
        clock(minutes=1)
    assert client.get("/studies/", headers=headers).status_code in (302, 401)
    assert client.get("/session/").status_code == 401


def test_who_says_that_they_are_there_stays(client, sign_in, alice, clock):
    sign_in(alice)
    client.get("/studies/")
    for _ in range(3):
        clock(minutes=10)
        assert client.get("/session/").json()["seconds"] == pytest.approx(300)
        assert client.post("/session/").json()["seconds"] == pytest.approx(900)


def test_after_twelve_hours_everybody_signs_in_again(client, sign_in, alice, clock):
    sign_in(alice)
    client.get("/studies/")
    for _ in range(12 * 6 - 1):
        clock(minutes=10)
        assert client.post("/session/").status_code == 200
    assert client.get("/session/").json()["seconds"] == pytest.approx(600)
    clock(minutes=11)
    assert client.post("/session/").status_code == 401


def test_a_session_ends_with_the_browser_however_it_began(client, sign_in, alice, hospital):
    sign_in(alice)
    newcomer = Client()
    invitation = InvitationFactory(hospital=hospital)
    form = {"name": "Dora", "password1": PASSWORD, "password2": PASSWORD}
    newcomer.post(f"/invitation/{invitation.token}/", form)
    for browser in (client, newcomer):
        assert is_in(browser)
        assert browser.session.get_expire_at_browser_close()
        cookie = browser.cookies["boneage_session"]
        assert (cookie["max-age"], cookie["expires"]) == ("", "")


def test_the_list_names_device_address_and_time(client, sign_in, alice, elsewhere):
    sign_in(alice)
    page = client.get("/accounts/sessions/").content.decode()
    assert "Firefox on Windows" in page
    assert "127.0.0.1" in page
    assert page.count("This one") == 1


@pytest.mark.parametrize(
    ("user_agent", "name"),
    [
        (FIREFOX, "Firefox on Windows"),
        (FIREFOX.replace("Windows NT 10.0; Win64; x64", "X11; Linux x86_64"), "Firefox on Linux"),
        ("", "Unknown browser"),
        ("<script>", "Unknown browser"),
    ],
)
def test_a_browser_is_named_as_far_as_it_says(user_agent, name):
    assert device(user_agent) == name


def test_a_session_is_ended_from_another(client, sign_in, alice, elsewhere):
    sign_in(alice)
    other = UserSession.objects.exclude(session_key=client.session.session_key).get()
    client.post(f"/accounts/sessions/{other.pk}/end/")
    assert not is_in(elsewhere)
    assert is_in(client)
    assert ended() == [("Alice", "begun at 127.0.0.1")]


def test_one_ends_neither_ones_own_session_there_nor_another_persons(client, sign_in, alice, bob, elsewhere):
    sign_in(bob)
    for session in UserSession.objects.all():
        assert client.post(f"/accounts/sessions/{session.pk}/end/").status_code == 404
    assert is_in(elsewhere)


def test_sessions_that_have_ended_are_forgotten(client, sign_in, alice, elsewhere):
    sign_in(alice)
    Session.objects.exclude(session_key=client.session.session_key).update(expire_date=timezone.now())
    clear_sessions()
    assert [session.session_key for session in UserSession.objects.all()] == [client.session.session_key]
    assert Session.objects.count() == 1
    assert is_in(client)


def test_all_others_are_ended_at_once(client, sign_in, alice, elsewhere):
    sign_in(alice)
    client.post("/accounts/sessions/")
    assert not is_in(elsewhere)
    assert is_in(client)
    assert ended() == [("Alice", "begun at 127.0.0.1")]


def test_another_password_ends_all_other_sessions(client, sign_in, alice, elsewhere):
    sign_in(alice)
    client.post("/accounts/password/change/", {"oldpassword": PASSWORD, "password1": NEW, "password2": NEW})
    assert not is_in(elsewhere)
    assert is_in(client)
    assert [message.subject for message in mail.outbox] == ["[Bone Age Portal] Your password was changed"]
    (body,) = (message.body for message in mail.outbox)
    assert "tell your hospital's administrator" in body
    assert "Bone Age Portal\nhttp://localhost:8000" in body
    assert "Hello from" not in body


def test_a_reset_password_ends_every_session(client, alice, elsewhere):
    client.post("/accounts/password/reset/", {"email": alice.email})
    link = re.search(r"http://testserver(/accounts/password/reset/key/\S+)", mail.outbox[0].body)[1]
    client.post(client.get(link, follow=True).redirect_chain[-1][0], {"password1": NEW, "password2": NEW})
    assert not is_in(elsewhere)
    assert not UserSession.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_another_second_factor_ends_all_other_sessions(client, sign_in, alice, elsewhere):
    sign_in(alice)
    key = client.get("/accounts/2fa/totp/activate/").context["form"].secret
    client.post("/accounts/2fa/totp/activate/", {"code": code_of(key)})
    assert not is_in(elsewhere)
    assert is_in(client)


def test_links_of_before_die_with_the_password(client, sign_in, alice):
    client.post("/accounts/password/reset/", {"email": alice.email})
    reset = re.search(r"http://testserver(/accounts/password/reset/key/\S+)", mail.outbox[0].body)[1]
    sign_in(alice)
    client.post("/accounts/email/", {"action_add": "", "email": "thief@example.org"})
    confirm = re.search(r"http://testserver(/accounts/confirm-email/\S+)", mail.outbox[1].body)[1]

    client.post("/accounts/password/change/", {"oldpassword": PASSWORD, "password1": NEW, "password2": NEW})

    assert "no longer valid" in Client().get(reset, follow=True).content.decode()
    assert "no longer valid" in Client().get(confirm).content.decode()
    assert [address.email for address in EmailAddress.objects.filter(user=alice)] == [alice.email]
