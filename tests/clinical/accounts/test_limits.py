"""Too many attempts are answered 429 with a sentence, and nobody learns from answers who has an account."""

import re

import pytest
from allauth.mfa.models import Authenticator
from django.conf import settings as portal_settings
from django.contrib.auth.hashers import MD5PasswordHasher
from django.core import mail
from django.core.cache import cache
from django.test import Client

from clinical.accounts.checks import limits_are_shared
from tests.factories import PASSWORD, InvitationFactory

NOBODY = "nobody@example.org"
OWN_LIMITS = {"verify_report": "20/m/ip", "accept_invitation": "20/m/ip", "upload": "600/m/user"}


@pytest.fixture
def limited(settings, clock):
    """The limits of production, counted from zero."""
    settings.ACCOUNT_RATE_LIMITS = OWN_LIMITS
    settings.MFA_RATE_LIMITS = {}
    cache.clear()
    yield
    cache.clear()


def login(client, email, password="wrong", **extra):
    return client.post("/accounts/login/", {"login": email, "password": password}, **extra)


def says_so(response):
    return response.status_code == 429 and "Too many attempts" in response.content.decode()


@pytest.mark.usefixtures("limited")
@pytest.mark.parametrize("email", ["alice@example.org", NOBODY])
def test_the_sixth_wrong_password_of_an_account_is_one_too_many(client, alice, email):
    answers = [login(client, email) for _ in range(6)]
    assert [response.status_code for response in answers] == [200] * 5 + [429]
    assert says_so(answers[-1])
    assert says_so(login(client, email, PASSWORD))  # the right one neither, for five minutes


@pytest.mark.usefixtures("limited")
def test_an_address_is_stopped_though_it_tries_many_accounts(client, alice):
    answers = [login(client, f"person{number}@example.org") for number in range(11)]
    assert [response.status_code for response in answers] == [200] * 10 + [429]
    assert login(client, alice.email, PASSWORD, REMOTE_ADDR="192.0.2.7").status_code == 302


@pytest.mark.usefixtures("limited")
def test_behind_a_proxy_the_address_before_it_counts(client, alice, settings):
    settings.ALLAUTH_TRUSTED_PROXY_COUNT = 1
    for number in range(10):
        login(client, f"person{number}@example.org", headers={"X-Forwarded-For": "203.0.113.5"})
    assert says_so(login(client, "another@example.org", headers={"X-Forwarded-For": "203.0.113.5"}))
    # What a client claims itself stands before what the proxy adds.
    assert says_so(login(client, "another@example.org", headers={"X-Forwarded-For": "198.51.100.1, 203.0.113.5"}))
    assert login(client, alice.email, PASSWORD, headers={"X-Forwarded-For": "203.0.113.6"}).status_code == 302


@pytest.mark.usefixtures("limited")
def test_codes_cannot_be_guessed(client, alice, authenticator_app):
    code = authenticator_app(alice)
    login(client, alice.email, PASSWORD)
    answers = [client.post("/accounts/2fa/authenticate/", {"code": "000000"}) for _ in range(6)]
    assert [response.status_code for response in answers] == [200] * 5 + [429]
    other_address = Client(REMOTE_ADDR="192.0.2.7")
    login(other_address, alice.email, PASSWORD)
    assert says_so(other_address.post("/accounts/2fa/authenticate/", {"code": code()}))


@pytest.mark.usefixtures("limited")
def test_the_password_cannot_be_guessed_by_confirming_it(client, alice):
    login(client, alice.email, PASSWORD)
    answers = [client.post("/accounts/reauthenticate/", {"password": "wrong", "next": "/"}) for _ in range(11)]
    assert says_so(answers[-1])


@pytest.mark.usefixtures("limited")
@pytest.mark.parametrize("email", ["alice@example.org", NOBODY])
def test_mails_to_reset_a_password_are_limited(client, alice, email):
    answers = [client.post("/accounts/password/reset/", {"email": email}) for _ in range(6)]
    assert says_so(answers[-1])
    assert len(mail.outbox) == 5


@pytest.mark.usefixtures("limited")
def test_links_of_invitations_cannot_be_tried_out(client, hospital):
    path = f"/invitation/{InvitationFactory(hospital=hospital).token}/"
    answers = [client.post(path) for _ in range(21)]
    assert [response.status_code for response in answers] == [422] * 20 + [429]


@pytest.mark.usefixtures("limited")
def test_passkeys_are_limited(client, db):
    answers = [client.post("/accounts/2fa/webauthn/login/", {"credential": "{}"}) for _ in range(11)]
    assert says_so(answers[-1])


@pytest.mark.parametrize("path", ["/patients/{}/upload/", "/studies/upload/"])
def test_uploads_are_limited(as_user, alice, tess, patient, limited, settings, path):
    settings.ACCOUNT_RATE_LIMITS = {**OWN_LIMITS, "upload": "2/m/user"}
    path = path.format(patient.pk)
    client = as_user(alice)
    assert [client.post(path).status_code for _ in range(3)] == [422, 422, 429]
    assert client.get(path).status_code == 200
    assert as_user(tess).post(path).status_code == 422


@pytest.mark.parametrize(
    ("processes", "cache", "warned"), [("1", "locmem", False), ("2", "locmem", True), ("2", "redis", False)]
)
def test_several_web_processes_must_count_together(settings, monkeypatch, processes, cache, warned):
    backends = {"locmem": "locmem.LocMemCache", "redis": "redis.RedisCache"}
    settings.CACHES = {"default": {"BACKEND": f"django.core.cache.backends.{backends[cache]}"}}
    monkeypatch.setenv("WEB_CONCURRENCY", processes)
    assert bool(limits_are_shared(None)) is warned


def test_the_settings_have_these_limits():
    from boneage_portal import settings as written

    assert portal_settings.ACCOUNT_RATE_LIMITS is False  # in tests only
    assert written.ACCOUNT_RATE_LIMITS == OWN_LIMITS


@pytest.fixture
def hashed(monkeypatch):
    """How often a password was hashed: what takes time."""
    hashed, encode = [], MD5PasswordHasher.encode
    monkeypatch.setattr(
        MD5PasswordHasher, "encode", lambda self, *arguments: hashed.append(1) or encode(self, *arguments)
    )
    return hashed


def test_an_unknown_address_takes_as_long_as_a_known_one(client, alice, hashed):
    login(client, alice.email)
    known = len(hashed)
    login(client, NOBODY)
    assert (known, len(hashed)) == (1, 2)


def answer(response):
    """Whatever does not differ at every visit."""
    text = re.sub(r'\w{64}|nonce="[^"]*"|value="[^"]*@[^"]*"', "", response.content.decode())
    return response.status_code, response.get("Location"), text


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("/accounts/login/", {"password": "wrong"}),
        ("/accounts/password/reset/", {}),
        ("/accounts/signup/", {"password1": PASSWORD, "password2": PASSWORD}),
    ],
)
def test_answers_are_alike_for_who_has_an_account_and_who_has_not(alice, path, fields):
    known, unknown = (
        answer(Client().post(path, {"login": email, "email": email, **fields})) for email in (alice.email, NOBODY)
    )
    assert known == unknown


def test_both_get_a_mail(client, alice):
    for email in (alice.email, NOBODY):
        client.post("/accounts/password/reset/", {"email": email})
    assert [message.to for message in mail.outbox] == [[alice.email], [NOBODY]]


def test_a_passkey_of_nobody_says_nothing(client, db):
    options = client.get("/accounts/2fa/webauthn/login/", headers={"Accept": "application/json"}).json()
    assert options["request_options"]["publicKey"].get("allowCredentials", []) == []
    response = client.post("/accounts/2fa/webauthn/login/", {"credential": "{}"})
    assert response["Location"] == "/accounts/login/"
    assert not Authenticator.objects.exists()


def test_the_rules_stand_at_the_form(client, as_user, alice, hospital):
    for page in (
        as_user(alice).get("/accounts/password/change/"),
        Client().get(f"/invitation/{InvitationFactory(hospital=hospital).token}/"),
    ):
        assert "at least 12 characters" in page.content.decode()
