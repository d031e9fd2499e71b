"""Signing in as staff must: with a second factor, by app or by passkey, under the portal's strict content policy."""

import re
import time

import pytest
from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value
from playwright.sync_api import expect

from tests.browser.test_day import looks_right
from tests.embedded_portal import EmbeddedPortal
from tests.identity_provider import identity_provider


@pytest.fixture(scope="module")
def provider():
    with identity_provider(sub="d1", email="doctor@demo.example") as server:
        yield server


@pytest.fixture(scope="module")
def portal(tmp_path_factory, empty_tables, provider):
    """As in production, staff need a second factor. Nothing is uploaded here that a worker had to read."""
    folder = tmp_path_factory.mktemp("portal")
    single_sign_on = {
        "OIDC_ISSUER": provider.address,
        "OIDC_CLIENT_ID": "portal",
        "OIDC_CLIENT_SECRET": "for tests",
        "OIDC_DOMAINS": "demo.example",
        "OIDC_NAME": "your account at the Demo Children’s Hospital",
        "OIDC_SECOND_FACTOR": "on",
    }
    with (
        EmbeddedPortal(folder, empty_tables, REQUIRE_MFA="on", **single_sign_on) as portal,
        portal.running(without=["worker"]) as address,
    ):
        portal.address = address.replace("127.0.0.1", "localhost")  # passkeys need a name
        yield portal


def give_key(page):
    """A security key with a fingerprint reader, as the browser sees one."""
    tools = page.context.new_cdp_session(page)
    tools.send("WebAuthn.enable")
    options = {
        "protocol": "ctap2",
        "transport": "internal",
        "hasResidentKey": True,
        "hasUserVerification": True,
        "isUserVerified": True,
        "automaticPresenceSimulation": True,
    }
    tools.send("WebAuthn.addVirtualAuthenticator", {"options": options})


def password(page, portal, email):
    page.goto("/accounts/login/")
    page.get_by_label("E-mail address").fill(email)
    page.get_by_label("Password", exact=True).fill(portal.password)
    page.get_by_role("button", name="Sign in", exact=True).click()


def sign_out(page):
    page.locator("details.menu > summary").click()
    page.get_by_role("button", name="Sign out").click()
    page.wait_for_url("**/accounts/login/**")


def keep_recovery_codes(page):
    expect(page.locator(".recovery-codes code")).to_have_count(10)
    codes = page.locator(".recovery-codes code").all_inner_texts()
    looks_right(page)
    page.get_by_label("I have kept these codes").check()
    page.get_by_role("button", name="Go on").click()
    return codes


def test_an_authenticator_app_and_a_recovery_code(open_page, portal):
    page = open_page(viewport={"width": 360, "height": 800})
    page.goto("/patients/?sex=F")
    page.get_by_label("E-mail address").fill("technician@demo.example")
    page.get_by_label("Password", exact=True).fill(portal.password)
    page.get_by_role("button", name="Sign in", exact=True).click()
    expect(page.get_by_role("heading", name="One more step")).to_be_visible()
    looks_right(page)
    page.get_by_role("link", name="Authenticator app").click()
    looks_right(page)
    page.get_by_text("The picture cannot be scanned").click()
    key = page.locator(".secret").inner_text()
    page.get_by_label("Code").fill("000000")
    page.get_by_role("button", name="Switch it on").click()
    expect(page.get_by_text("Incorrect code")).to_be_visible()
    while "/activate/" in page.url:  # a code ends with its half minute, perhaps before it is sent
        page.get_by_label("Code").fill(format_hotp_value(hotp_value(key, int(time.time()) // 30)))
        with page.expect_navigation():
            page.get_by_role("button", name="Switch it on").click()
    page.wait_for_url("**/recovery-codes/")
    page.goto("/studies/")
    page.wait_for_url("**/recovery-codes/")  # nothing else before they are kept
    codes = keep_recovery_codes(page)
    page.wait_for_url("**/studies/")

    sign_out(page)
    password(page, portal, "technician@demo.example")
    looks_right(page)
    page.get_by_label("Code").fill(codes[0])
    page.get_by_role("button", name="Sign in", exact=True).click()
    page.wait_for_url("**/studies/")
    page.goto("/accounts/2fa/")
    expect(page.get_by_text("9 left")).to_be_visible()
    looks_right(page)


def test_a_passkey_instead_of_the_password_and_to_confirm(open_page, portal):
    page = open_page()
    give_key(page)
    password(page, portal, "administrator@demo.example")
    page.get_by_role("link", name="Passkey").click()
    looks_right(page)
    page.get_by_role("button", name="Add the passkey").click()
    page.wait_for_url("**/recovery-codes/")
    keep_recovery_codes(page)
    page.wait_for_url("**/members/")

    sign_out(page)
    page.get_by_role("button", name="Sign in with a passkey").click()
    page.wait_for_url("**/members/")

    # A role is given by whom has just confirmed that it is they; what was chosen waits.
    row = page.get_by_role("row", name=re.compile("technician@demo.example"))
    row.get_by_role("combobox").select_option("doctor")
    row.get_by_role("button", name="Change").click()
    looks_right(page)
    page.get_by_role("link", name="Use a passkey").click()
    looks_right(page)
    page.get_by_role("button", name="Use a passkey").click()
    expect(page.get_by_text("Theo Brandt is now doctor.")).to_be_visible()
    expect(row.get_by_role("combobox")).to_have_value("doctor")
    row.get_by_role("combobox").select_option("technician")
    row.get_by_role("button", name="Change").click()
    expect(page.get_by_text("Theo Brandt is now technician.")).to_be_visible()  # within five minutes unasked

    page.goto("/accounts/2fa/webauthn/")
    looks_right(page)
    expect(page.get_by_text("Instead of the password")).to_be_visible()


def test_a_passkey_after_the_password_and_one_that_is_not_there(open_page, portal):
    page = open_page()
    give_key(page)
    password(page, portal, "doctor@northbay.example")
    page.get_by_role("link", name="Passkey").click()
    page.get_by_label("Sign in with it alone").uncheck()
    page.get_by_role("button", name="Add the passkey").click()
    keep_recovery_codes(page)
    page.wait_for_url("**/studies/")
    sign_out(page)
    password(page, portal, "doctor@northbay.example")
    page.get_by_role("button", name="Use a passkey").click()
    page.wait_for_url("**/studies/")

    other = open_page()
    password(other, portal, "doctor@northbay.example")
    give_key(other)  # a key on which there is none of this account
    other.get_by_role("button", name="Use a passkey").click()
    expect(other.get_by_text("No passkey was used")).to_be_visible()


def test_a_session_is_ended_from_elsewhere(open_page, portal):
    here, there = open_page("family@demo.example"), open_page("family@demo.example")
    here.goto("/accounts/sessions/")
    looks_right(here)
    expect(here.get_by_text("Chrome")).to_have_count(2)
    here.get_by_role("button", name=re.compile("End the session")).click()
    expect(here.get_by_text("That session is ended.")).to_be_visible()
    there.goto("/family/")
    expect(there.get_by_role("heading", name="Sign in")).to_be_visible()


def test_an_account_at_the_hospital(open_page, provider):
    page = open_page(viewport={"width": 360, "height": 800})
    page.goto("/patients/?sex=F")
    looks_right(page)
    page.get_by_role("button", name="your account at the Demo Children’s Hospital").click()
    expect(page).to_have_url(re.compile(r"/patients/\?sex=F$"))
    page.goto("/accounts/2fa/")
    expect(page.get_by_role("heading", name="Single sign-on")).to_be_visible()
    looks_right(page)
    sign_out(page)

    provider.claims["sub"] = "a namesake"
    page.get_by_role("button", name="your account at the Demo Children’s Hospital").click()
    expect(page.get_by_role("heading", name="Not signed in")).to_be_visible()
    looks_right(page)
    page.get_by_role("link", name="To the sign-in page").click()
    page.wait_for_url("**/accounts/login/")
