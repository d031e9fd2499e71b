import re
from smtplib import SMTPServerDisconnected

import pytest
from django.core import mail
from django.core.mail.backends.locmem import EmailBackend
from django.test import Client

from clinical.accounts.models import User
from tests.clinical.accounts.conftest import is_signed_in
from tests.factories import PASSWORD

LOGIN = "/accounts/login/"


def sign_in(client, email, password=PASSWORD):
    return client.post(LOGIN, {"login": email, "password": password})


@pytest.mark.parametrize("email", ["alice@example.org", "Alice@Example.ORG", "  alice@example.org "])
def test_sign_in_is_by_email_however_it_is_typed(client, alice, email):
    response = sign_in(client, email)
    assert response.status_code == 302
    assert response["Location"] == "/"
    assert is_signed_in(client)


def test_a_new_account_takes_its_address_in_any_case(client, db):
    User.objects.create_user("Dora@Example.org", PASSWORD, name="Dora")
    sign_in(client, "dora@example.org")
    assert is_signed_in(client)


def test_after_sign_in_comes_the_page_that_was_asked_for(client, alice):
    asked = client.get("/patients/?sex=F")
    response = client.post(asked["Location"], {"login": alice.email, "password": PASSWORD, "next": "/patients/?sex=F"})
    assert response["Location"] == "/patients/?sex=F"


def test_sign_in_leads_to_no_other_site(client, alice):
    data = {"login": alice.email, "password": PASSWORD, "next": "https://evil.example/"}
    assert client.post(LOGIN, data)["Location"] == "/"


def refusal(response):
    """The page, without the tokens that differ at every visit and without the address that was typed."""
    return re.sub(r'\w{64}|value="[^"]*@[^"]*"', "", response.content.decode())


def test_a_wrong_password_says_the_same_for_a_known_and_an_unknown_address(client, alice):
    known = sign_in(client, alice.email, "wrong")
    unknown = sign_in(client, "nobody@example.org", "wrong")
    assert not is_signed_in(client)
    assert "The e-mail address or the password is wrong." in refusal(known)
    assert refusal(known) == refusal(unknown)


def test_somebody_who_was_deactivated_cannot_sign_in(client, alice):
    alice.is_active = False
    alice.save()
    sign_in(client, alice.email)
    assert not is_signed_in(client)


def test_somebody_who_is_deactivated_is_signed_out_at_once(as_user, alice):
    client = as_user(alice)
    assert client.get("/studies/").status_code == 200
    alice.is_active = False
    alice.save()
    assert client.get("/studies/")["Location"].startswith(LOGIN)


def test_sign_out_ends_the_session(as_user, alice):
    client = as_user(alice)
    client.post("/accounts/logout/")
    assert not is_signed_in(client)


def test_nobody_can_sign_up(client, db):
    data = {"email": "eve@example.org", "password1": PASSWORD, "password2": PASSWORD}
    for response in (client.get("/accounts/signup/"), client.post("/accounts/signup/", data)):
        assert "by invitation" in response.content.decode()
    assert not User.objects.exists()
    assert not mail.outbox


def ask_for_reset(client, email):
    return client.post("/accounts/password/reset/", {"email": email}, follow=True)


def test_a_forgotten_password_is_replaced_by_a_link_in_a_mail(client, alice):
    ask_for_reset(client, "Alice@example.org")
    [message] = mail.outbox
    assert message.to == [alice.email]
    link = re.search(r"http://testserver(/accounts/password/reset/key/\S+)", message.body)[1]
    form = client.get(link, follow=True)
    new = "a quite different sentence"
    done = client.post(form.redirect_chain[-1][0], {"password1": new, "password2": new})
    assert done["Location"] == "/accounts/password/reset/key/done/"

    sign_in(client, alice.email)
    assert not is_signed_in(client)
    sign_in(client, alice.email, new)
    assert is_signed_in(client)
    assert "no longer valid" in Client().get(link, follow=True).content.decode()


def test_asking_for_a_new_password_says_the_same_for_a_known_and_an_unknown_address(client, alice):
    assert refusal(ask_for_reset(client, alice.email)) == refusal(ask_for_reset(client, "nobody@example.org"))


@pytest.mark.parametrize(
    "error", [SMTPServerDisconnected("alice@example.org"), TimeoutError(), ConnectionRefusedError()]
)
def test_a_mail_server_that_fails_changes_no_page_and_is_logged_without_the_address(
    client, alice, monkeypatch, caplog, error
):
    sent = ask_for_reset(client, alice.email)

    def fails(*args, **kwargs):
        raise error

    monkeypatch.setattr(EmailBackend, "send_messages", fails)
    response = ask_for_reset(client, alice.email)
    assert (response.status_code, refusal(response)) == (200, refusal(sent))
    assert refusal(ask_for_reset(client, "nobody@example.org")) == refusal(sent)
    assert f"password_reset_key was not sent ({type(error).__name__})" in caplog.text
    assert "alice" not in caplog.text


def test_an_unknown_address_is_told_that_there_is_no_account_and_not_to_sign_up(client, db):
    ask_for_reset(client, "nobody@example.org")
    [message] = mail.outbox
    assert message.to == ["nobody@example.org"]
    assert "There is no account" in message.body
    assert "by invitation" in message.body
    assert "signup" not in message.body


@pytest.mark.parametrize("password", ["short", "123456789012345", "alice@example.org", "password1234"])
def test_a_weak_password_is_refused_with_a_reason(as_user, alice, password):
    data = {"oldpassword": PASSWORD, "password1": password, "password2": password}
    response = as_user(alice).post("/accounts/password/change/", data)
    assert response.context["form"].errors["password1"]
    alice.refresh_from_db()
    assert alice.check_password(PASSWORD)


def test_a_changed_password_signs_out_everywhere_else(as_user, alice):
    elsewhere = Client()
    sign_in(elsewhere, alice.email)
    new = "a quite different sentence"
    client = as_user(alice)
    client.post("/accounts/password/change/", {"oldpassword": PASSWORD, "password1": new, "password2": new})
    assert client.get("/studies/").status_code == 200
    assert elsewhere.get("/studies/").status_code == 302
