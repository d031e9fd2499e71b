"""Whoever does nothing is asked, and then signed out: in all tabs, on the server, and back where they were later."""

import pytest
from playwright.sync_api import expect

from tests.browser.test_day import looks_right
from tests.embedded_portal import EmbeddedPortal

IDLE_SECONDS = 24  # the question comes after half of it
PATIENCE = 1000 * IDLE_SECONDS + 10_000


@pytest.fixture(scope="module")
def portal(tmp_path_factory):
    portal = EmbeddedPortal(tmp_path_factory.mktemp("portal"), SESSION_IDLE_MINUTES=str(IDLE_SECONDS / 60))
    with portal.running() as address:
        portal.address = address
        yield portal


def test_who_stays_loses_nothing_and_who_is_away_comes_back_to_the_same_page(open_page, portal):
    page = open_page("technician@demo.example")
    page.goto("/patients/new/")
    other_tab = page.context.new_page()
    other_tab.goto("/patients/?sex=F")
    page.bring_to_front()
    page.get_by_label("Family name").fill("Doe")
    question = page.get_by_role("dialog", name="Are you still there?")
    expect(question).to_be_visible(timeout=PATIENCE)
    looks_right(page)
    expect(other_tab.get_by_role("dialog")).to_be_visible(timeout=PATIENCE)
    page.get_by_role("button", name="Stay signed in").click()
    expect(question).to_be_hidden()
    expect(page.get_by_label("Family name")).to_have_value("Doe")
    expect(other_tab.get_by_role("dialog")).to_be_hidden(timeout=PATIENCE)

    expect(page.get_by_role("heading", name="Sign in")).to_be_visible(timeout=2 * PATIENCE)
    expect(page.get_by_text("signed out for safety")).to_be_visible()
    expect(other_tab.get_by_role("heading", name="Sign in")).to_be_visible(timeout=PATIENCE)
    other_tab.get_by_label("Email").fill("technician@demo.example")
    other_tab.get_by_label("Password", exact=True).fill(portal.password)
    other_tab.get_by_role("button", name="Sign in", exact=True).click()
    other_tab.wait_for_url("**/patients/?sex=F")


def test_without_scripts_the_server_ends_it(open_page, portal):
    page = open_page("family@demo.example", java_script_enabled=False)
    page.goto("/family/")
    page.wait_for_timeout(1000 * IDLE_SECONDS + 1000)
    page.reload()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
