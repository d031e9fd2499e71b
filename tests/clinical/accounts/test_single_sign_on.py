"""Sign-in by an identity provider."""

from urllib.parse import parse_qs, urlsplit

import pytest
from allauth.account.models import EmailAddress
from allauth.socialaccount.models import SocialAccount
from django.core import mail

from clinical.audit.models import AccessEvent
from tests.clinical.accounts.conftest import is_signed_in
from tests.factories import PASSWORD
from tests.identity_provider import identity_provider

BEGIN, CALLBACK = "/accounts/oidc/hospital/login/", "/accounts/oidc/hospital/login/callback/"


@pytest.fixture
def provider(settings):
    said = {"sub": "a1", "email": "Alice@example.org", "email_verified": True, "name": "A. at the hospital"}
    with identity_provider(**said) as server:
        app = {"provider_id": "hospital", "name": "Hospital One", "client_id": "portal", "secret": "s"}
        app["settings"] = {"server_url": server.address}
        settings.SOCIALACCOUNT_PROVIDERS = {"openid_connect": {"APPS": [app], "OAUTH_PKCE_ENABLED": True}}
        settings.OIDC_DOMAINS = ["example.org"]
        yield server


def sign_in_there(client, query="", **answer):
    """From the button on the sign-in page to the provider, and back with its code."""
    leads = client.post(BEGIN + query)
    assert leads.status_code == 302
    asked = parse_qs(urlsplit(leads["Location"]).query)
    return client.get(CALLBACK, {"state": asked["state"][0], **(answer or {"code": "once"})})


@pytest.mark.django_db(transaction=True)
def test_staff_sign_in_with_their_hospital_account(client, alice, provider):
    page = client.get("/accounts/login/?next=/patients/").content.decode()
    assert "Sign in with Hospital One" in page
    assert f"{BEGIN}?next=%2Fpatients%2F" in page
    response = sign_in_there(client, "?next=/patients/")
    assert response["Location"] == "/patients/"
    assert client.session["_auth_user_id"] == str(alice.pk)
    assert provider.sent["code_verifier"]
    kept = SocialAccount.objects.get()
    assert (kept.user, kept.uid, kept.extra_data) == (alice, "a1", {})
    alice.refresh_from_db()
    assert alice.name != "A. at the hospital"
    [message] = mail.outbox
    assert message.subject == "[Bone Age Portal] You can sign in with Hospital One"


@pytest.mark.servers
def test_staff_sign_in_behind_row_level_security(client, alice, provider, web_role):
    sign_in_there(client)
    assert client.session["_auth_user_id"] == str(alice.pk)


@pytest.mark.usefixtures("unscoped")
def test_it_is_on_record_how_somebody_signed_in(client, alice, provider):
    sign_in_there(client)
    assert list(AccessEvent.objects.order_by("pk").values_list("verb", "detail")) == [
        ("change identity", "connected"),
        ("sign in", "single sign-on"),
    ]


def test_without_a_provider_nothing_offers_it(client, db):
    assert "Sign in with a passkey" in (page := client.get("/accounts/login/").content.decode())
    assert "/accounts/oidc/" not in page
    assert client.post(BEGIN).status_code == 404


@pytest.mark.parametrize(
    "claims",
    [
        pytest.param({"email": "nobody@example.org"}, id="nobody here"),
        pytest.param({"email_verified": False}, id="an address that anybody could have typed there"),
        pytest.param({"email_verified": "false"}, id="the same in words"),
        pytest.param({"email": ""}, id="no address"),
    ],
)
def test_whoever_has_no_account_here_gets_none(client, alice, provider, django_user_model, claims):
    provider.claims |= claims
    before = django_user_model.objects.count()
    response = sign_in_there(client)
    assert response.status_code == 403
    assert "No member of a hospital’s staff has the address that came from there." in response.content.decode()
    assert not is_signed_in(client)
    assert django_user_model.objects.count() == before
    assert not SocialAccount.objects.exists()


def test_the_provider_speaks_for_its_domains_alone(client, alice, provider, settings):
    settings.OIDC_DOMAINS = ["hospital.example"]
    assert sign_in_there(client).status_code == 403
    assert not is_signed_in(client)


def test_a_provider_that_says_nothing_of_verified_addresses_is_believed_for_its_domains(client, alice, provider):
    del provider.claims["email_verified"]
    sign_in_there(client)
    assert is_signed_in(client)


def test_an_address_that_was_never_confirmed_leads_to_nobody(client, alice, provider):
    EmailAddress.objects.create(user=alice, email="colleague@example.org", verified=False)
    provider.claims["email"] = "colleague@example.org"
    assert sign_in_there(client).status_code == 403
    assert alice.has_usable_password()


def test_families_sign_in_by_password(client, mother, provider):
    provider.claims["email"] = mother.email
    assert sign_in_there(client).status_code == 403
    assert not is_signed_in(client)


def test_who_left_the_hospital_here_is_not_let_in_by_it(client, alice, provider):
    sign_in_there(client)
    client.post("/accounts/logout/")
    alice.memberships.all().delete()
    assert sign_in_there(client).status_code == 403
    assert not is_signed_in(client)


def test_somebody_who_was_deactivated_is_not_let_in(client, alice, provider):
    alice.is_active = False
    alice.save()
    sign_in_there(client)
    assert not is_signed_in(client)


def test_the_identity_counts_and_not_the_address(client, alice, tess, provider):
    """After the first time: neither is alice lost with her address, nor is a namesake taken for her."""
    sign_in_there(client)
    client.post("/accounts/logout/")
    provider.claims["email"] = "alice.married@example.org"
    sign_in_there(client)
    assert client.session["_auth_user_id"] == str(alice.pk)
    client.post("/accounts/logout/")

    provider.claims |= {"sub": "another", "email": alice.email}
    response = sign_in_there(client)
    assert response.status_code == 403
    assert "is connected with another identity there" in response.content.decode()
    assert not is_signed_in(client)


@pytest.mark.usefixtures("unscoped")
def test_an_identity_is_disconnected_by_its_owner(client, alice, provider, sign_in):
    sign_in_there(client)
    client.post("/accounts/logout/")
    provider.claims["sub"] = "registered anew"
    assert sign_in_there(client).status_code == 403
    sign_in(alice)
    assert "since" in client.get("/accounts/2fa/").content.decode()
    assert "Disconnect your hospital account?" in client.get("/accounts/identity/disconnect/").content.decode()
    asked = client.post("/accounts/identity/disconnect/")["Location"]
    assert asked.startswith("/accounts/reauthenticate/")
    assert SocialAccount.objects.exists()
    assert client.post(asked, {"password": PASSWORD}, follow=True).redirect_chain[-1][0] == "/accounts/2fa/"
    assert not SocialAccount.objects.exists()
    assert AccessEvent.objects.filter(verb="change identity", detail="disconnected", actor=alice).exists()
    assert client.get("/accounts/identity/disconnect/").status_code == 404
    client.post("/accounts/logout/")
    sign_in_there(client)
    assert is_signed_in(client)


@pytest.mark.parametrize("asks", [True, False])
def test_a_second_factor_is_asked_for_once(client, alice, provider, settings, authenticator_app, asks):
    """By the provider, where the installation says that it does, else here."""
    settings.REQUIRE_MFA, settings.OIDC_SECOND_FACTOR = True, asks
    authenticator_app(alice)
    response = sign_in_there(client)
    assert response["Location"] == ("/" if asks else "/accounts/2fa/authenticate/")
    assert is_signed_in(client) == asks


@pytest.mark.parametrize("asks", [True, False])
def test_who_brought_a_second_factor_needs_none_here(client, alice, provider, settings, asks, sign_in):
    settings.REQUIRE_MFA, settings.OIDC_SECOND_FACTOR = True, asks
    sign_in_there(client)
    assert client.get("/studies/").status_code == (200 if asks else 302)
    client.post("/accounts/logout/")
    sign_in(alice)  # by password one is needed in any case
    assert client.get("/studies/")["Location"] == "/accounts/2fa/set-up/"


def test_nobody_is_signed_in_by_a_link_from_elsewhere(client, alice, provider):
    assert client.get(BEGIN).status_code == 405
    response = client.get(CALLBACK, {"state": "made-up", "code": "once"})
    assert response.status_code == 502
    assert not is_signed_in(client)


def test_whoever_changes_their_mind_is_back_at_the_sign_in_page(client, db, provider):
    response = sign_in_there(client, error="access_denied")
    assert response["Location"] == "/accounts/login/"
    assert "You did not sign in with Hospital One." in client.get("/accounts/login/").content.decode()


@pytest.mark.parametrize("wrong", [{"aud": "another portal"}, {"iss": "https://evil.example"}, {"exp": 1}])
def test_a_token_for_somebody_else_signs_nobody_in(client, alice, provider, caplog, wrong):
    provider.wrong = wrong
    response = sign_in_there(client)
    assert response.status_code == 502
    assert "The sign-in with Hospital One failed there." in response.content.decode()
    assert not is_signed_in(client)
    assert alice.email not in caplog.text


def test_a_provider_that_fails_is_said_to(client, alice, provider):
    provider.status = 500
    assert sign_in_there(client).status_code == 502
    provider.shutdown()
    provider.server_close()
    response = client.post(BEGIN)
    assert response.status_code == 502
    assert "sign in by e-mail and password" in response.content.decode()


def test_nothing_but_signing_in_is_done_by_it(as_user, alice, tess, provider):
    """Somebody signed in is not led to connect an identity that is not theirs."""
    client = as_user(tess)
    sign_in_there(client, "?process=connect")
    assert SocialAccount.objects.get().user == alice
    assert client.session["_auth_user_id"] == str(alice.pk)
