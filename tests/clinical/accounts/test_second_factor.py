import re
import time

import pytest
from allauth.mfa.models import Authenticator
from django.core import mail
from django.core.cache import cache

from tests.clinical.accounts.conftest import is_signed_in, recovery_codes_of
from tests.factories import PASSWORD, InvitationFactory, UserFactory
from tests.one_time_codes import code_of

SET_UP = "/accounts/2fa/set-up/"
CODES = "/accounts/2fa/recovery-codes/"


@pytest.fixture(autouse=True)
def fresh_cache(clock):
    """Without the codes that other tests have used, and with time for each to be typed."""
    cache.clear()


@pytest.fixture
def required(settings):
    settings.REQUIRE_MFA = True


@pytest.fixture
def platform(db):
    return UserFactory(name="Root", email="root@example.org", is_staff=True, is_superuser=True)


@pytest.mark.usefixtures("required")
@pytest.mark.parametrize(("person", "path"), [("alice", "/studies/"), ("tess", "/studies/"), ("ada", "/members/")])
def test_staff_of_a_hospital_can_do_nothing_before_there_is_a_second_factor(request, as_user, person, path):
    client = as_user(request.getfixturevalue(person))
    for asked in (path, "/accounts/2fa/", "/accounts/email/", "/notices/", "/admin/"):
        assert client.get(asked)["Location"] == SET_UP
    assert client.post("/members/invite/", {"email": "eve@example.org", "role": "doctor"})["Location"] == SET_UP
    assert client.get(SET_UP).status_code == 200


@pytest.mark.usefixtures("required")
def test_platform_staff_cannot_either(as_user, platform):
    assert as_user(platform).get("/admin/")["Location"] == SET_UP


@pytest.mark.usefixtures("required")
def test_a_family_is_not_made_to(as_user, mother):
    client = as_user(mother)
    assert client.get("/family/").status_code == 200
    assert "Authenticator app" in client.get("/accounts/2fa/").content.decode()


def test_where_it_is_not_required_nobody_is_made_to(as_user, alice):
    assert as_user(alice).get("/studies/").status_code == 200


@pytest.mark.usefixtures("required")
def test_a_part_of_a_page_makes_the_whole_page_go_there(as_user, alice):
    response = as_user(alice).get("/studies/", headers={"HX-Request": "true"})
    assert response["HX-Redirect"] == SET_UP


@pytest.mark.usefixtures("required")
def test_a_script_gets_a_sentence(as_user, alice, patient):
    response = as_user(alice).get("/studies/", headers={"Accept": "application/json"})
    assert response.status_code == 403
    assert "second factor" in response.json()["detail"]


@pytest.mark.usefixtures("required")
def test_from_the_password_to_the_work(client, sign_in, alice):
    sign_in(alice)
    assert client.get("/studies/?q=Doe")["Location"] == SET_UP
    activation = client.get("/accounts/2fa/totp/activate/")  # right after the sign-in the password is not asked again
    key = activation.context["form"].secret
    assert "data:image/svg+xml" in activation.content.decode()
    wrong = client.post("/accounts/2fa/totp/activate/", {"code": "000000"})
    assert wrong.context["form"].errors["code"]
    assert client.post("/accounts/2fa/totp/activate/", {"code": code_of(key)})["Location"] == CODES

    assert client.get("/studies/")["Location"] == CODES  # they must be kept first
    shown = client.get(CODES).content.decode()
    assert all(code in shown for code in recovery_codes_of(alice))
    assert client.get(f"{CODES}download/").content.decode().split() == recovery_codes_of(alice)
    assert client.post(f"{CODES}acknowledge/")["Location"] == "/studies/"
    assert client.get("/studies/").status_code == 200


@pytest.mark.usefixtures("required")
def test_new_recovery_codes_are_kept_anew(as_user, alice, authenticator_app):
    authenticator_app(alice)
    client = as_user(alice)
    before = recovery_codes_of(alice)
    client.post(f"{CODES}generate/")
    assert recovery_codes_of(alice) != before
    assert client.get("/studies/")["Location"] == CODES
    client.post(f"{CODES}acknowledge/")
    assert client.get("/studies/").status_code == 200


def test_who_has_one_is_not_asked_to_set_one_up(as_user, alice, authenticator_app):
    authenticator_app(alice)
    assert as_user(alice).get(SET_UP)["Location"] == "/accounts/2fa/"


@pytest.mark.usefixtures("required")
def test_who_switches_the_last_one_off_sets_another_one_up(as_user, alice, authenticator_app):
    authenticator_app(alice)
    client = as_user(alice)
    client.post("/accounts/2fa/totp/deactivate/")
    assert not Authenticator.objects.exists()
    assert client.get("/studies/")["Location"] == SET_UP


def test_the_password_is_half_of_the_way(client, sign_in, alice, authenticator_app):
    code = authenticator_app(alice)
    assert sign_in(alice)["Location"] == "/accounts/2fa/authenticate/"
    assert not is_signed_in(client)
    client.post("/accounts/2fa/authenticate/", {"code": "000000"})
    assert not is_signed_in(client)
    client.post("/accounts/2fa/authenticate/", {"code": code()})
    assert is_signed_in(client)


def test_a_code_counts_once(client, sign_in, alice, authenticator_app, clock):
    app = authenticator_app(alice)
    clock(minutes=(30 - time.time() % 30) / 60)  # to the beginning of a period
    code = app()
    for passed, signed_in in ((0, True), (0, False), (0.5, False), (0.5, False)):
        clock(minutes=passed)
        sign_in(alice)
        client.post("/accounts/2fa/authenticate/", {"code": code})
        assert is_signed_in(client) is signed_in
        client.post("/accounts/logout/")
    sign_in(alice)
    client.post("/accounts/2fa/authenticate/", {"code": app()})
    assert is_signed_in(client)


def test_a_recovery_code_counts_once(client, sign_in, alice, authenticator_app):
    authenticator_app(alice)
    code = recovery_codes_of(alice)[0]
    for signed_in in (True, False):
        sign_in(alice)
        client.post("/accounts/2fa/authenticate/", {"code": code})
        assert is_signed_in(client) is signed_in
        client.post("/accounts/logout/")
    assert len(recovery_codes_of(alice)) == 9


def test_a_wrong_password_never_asks_for_the_second_factor(sign_in, alice, authenticator_app):
    authenticator_app(alice)
    assert "The e-mail address or the password is wrong." in sign_in(alice, "wrong").content.decode()


def test_a_new_password_does_not_open_the_account_alone(client, alice, authenticator_app, sign_in):
    authenticator_app(alice)
    client.post("/accounts/password/reset/", {"email": alice.email})
    link = re.search(r"http://testserver(/accounts/password/reset/key/\S+)", mail.outbox[0].body)[1]
    page = client.get(link, follow=True).redirect_chain[-1][0]
    new = "a quite different sentence"
    client.post(page, {"password1": new, "password2": new})
    assert not is_signed_in(client)
    assert sign_in(alice, new)["Location"] == "/accounts/2fa/authenticate/"


@pytest.mark.parametrize("verb", ["edit", "remove"])
def test_another_persons_passkey_does_not_exist(as_user, alice, bob, mother, verb):
    passkey = Authenticator.objects.create(user=alice, type="webauthn", data={"name": "Alice's phone"})
    for person in (bob, mother):
        client = as_user(person)
        assert client.get(f"/accounts/2fa/webauthn/keys/{passkey.pk}/{verb}/").status_code == 404
        assert client.post(f"/accounts/2fa/webauthn/keys/{passkey.pk}/{verb}/", {"name": "mine"}).status_code == 404
    assert Authenticator.objects.get().data["name"] == "Alice's phone"


def test_a_passkey_that_is_not_accepted_leads_back_to_what_waits(as_user, alice):
    Authenticator.objects.create(user=alice, type="webauthn", data={"name": "Alice's phone"})
    fields = {"credential": "{}", "next": "/members/"}
    response = as_user(alice).post("/accounts/2fa/webauthn/reauthenticate/", fields)
    assert response["Location"] == "/accounts/2fa/webauthn/reauthenticate/?next=%2Fmembers%2F"


def test_secrets_are_stored_encrypted(alice, authenticator_app, settings):
    code = authenticator_app(alice)
    totp = Authenticator.objects.get(user=alice, type="totp")
    assert not re.fullmatch("[A-Z2-7]{32}", totp.data["secret"])
    codes = recovery_codes_of(alice)

    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = "another-key-0123456789-abcdefghijklmnopqrstuvwxyz-ABC"
    assert recovery_codes_of(alice) == codes
    assert totp.wrap().validate_code(code())


def test_without_the_key_they_were_encrypted_with_no_code_is_right(alice, authenticator_app, settings):
    code = authenticator_app(alice)
    codes = recovery_codes_of(alice)
    settings.SECRET_KEY = "another-key-0123456789-abcdefghijklmnopqrstuvwxyz-ABC"
    assert not Authenticator.objects.get(user=alice, type="totp").wrap().validate_code(code())
    assert not set(recovery_codes_of(alice)) & set(codes)


def test_later_a_change_needs_the_password_again(client, sign_in, alice, clock):
    sign_in(alice)
    clock(minutes=6)
    assert client.get("/accounts/2fa/totp/activate/")["Location"].startswith("/accounts/reauthenticate/")
    page = "/accounts/2fa/totp/activate/"
    assert client.post("/accounts/reauthenticate/", {"password": PASSWORD, "next": page})["Location"] == page
    assert client.get(page).status_code == 200


@pytest.mark.usefixtures("required")
def test_the_new_member_sets_it_up_before_the_first_look(client, hospital):
    invitation = InvitationFactory(hospital=hospital, role="doctor")
    answer = {"name": "Dora", "password1": PASSWORD, "password2": PASSWORD}
    client.post(f"/invitation/{invitation.token}/", answer)
    assert client.get("/studies/")["Location"] == SET_UP
    assert client.get("/accounts/2fa/totp/activate/").status_code == 200
