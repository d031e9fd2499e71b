"""Whoever does nothing is asked, and then signed out: in all tabs, on the server, and back where they were later."""

from playwright.sync_api import expect

from tests.browser.test_day import looks_right

AGE = """
from clinical.accounts.sessions import SEEN_AT
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.models import Session
for key in Session.objects.values_list("session_key", flat=True):
    session = SessionStore(key)
    if SEEN_AT in session:
        session[SEEN_AT] -= {seconds}
        session.save()
"""


def pass_by(portal, minutes):
    """So much time passes on the server in which nobody does anything; a page's own clock is Playwright's."""
    portal.shell(AGE.format(seconds=60 * minutes))


def test_who_stays_loses_nothing_and_who_is_away_comes_back_to_the_same_page(open_page, portal):
    page = open_page("technician@demo.example")
    clock = page.context.clock
    clock.install()
    page.goto("/patients/new/")
    other_tab = page.context.new_page()
    other_tab.goto("/patients/?sex=F")
    page.bring_to_front()
    page.get_by_label("Family name").fill("Doe")
    with page.expect_response("**/session/"):  # whoever types is there, which the page tells once a minute
        clock.fast_forward("01:00")
    pass_by(portal, minutes=13)
    clock.fast_forward("13:00")
    question = page.get_by_role("dialog", name="Are you still there?")
    expect(question).to_be_visible()
    looks_right(page)
    expect(other_tab.get_by_role("dialog")).to_be_visible()
    page.get_by_role("button", name="Stay signed in").click()
    expect(question).to_be_hidden()
    expect(page.get_by_label("Family name")).to_have_value("Doe")
    expect(other_tab.get_by_role("dialog")).to_be_hidden()

    pass_by(portal, minutes=13)
    clock.fast_forward("13:00")
    expect(question).to_be_visible()
    pass_by(portal, minutes=2)
    clock.fast_forward("00:06")  # every 5 seconds an open question asks the server how long is left
    for tab in (page, other_tab):
        expect(tab.get_by_role("heading", name="Sign in")).to_be_visible()
        expect(tab.get_by_text("signed out for safety")).to_be_visible()
        looks_right(tab)
    other_tab.get_by_label("E-mail address").fill("technician@demo.example")
    other_tab.get_by_label("Password", exact=True).fill(portal.password)
    other_tab.get_by_role("button", name="Sign in", exact=True).click()
    other_tab.wait_for_url("**/patients/?sex=F")


def test_without_scripts_the_server_ends_it(open_page, portal):
    page = open_page("family@demo.example", java_script_enabled=False)
    page.goto("/family/")
    pass_by(portal, minutes=15)
    page.reload()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    expect(page.get_by_text("signed out for safety")).to_be_visible()
