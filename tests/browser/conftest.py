import shutil

import pytest
from playwright.sync_api import expect, sync_playwright

from tests.embedded_portal import EmbeddedPortal

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

expect.set_options(timeout=30_000)  # milliseconds, as for Playwright's actions; a busy machine takes more than its 5 s


def pytest_collection_modifyitems(items):
    for item in items:
        if "tests/browser" in item.nodeid:
            item.add_marker(pytest.mark.browser)
            if CHROMIUM is None:
                item.add_marker(pytest.mark.skip(reason="no Chromium on this machine: install the package chromium"))


@pytest.fixture(scope="session")
def portal(tmp_path_factory, empty_tables):
    """The embedded portal with the demo's people, running: web, worker and all.

    The smaller model reads in half the time, an occlusion map above all; the default is that of other portals' tests.
    """
    folder = tmp_path_factory.mktemp("portal")
    with (
        EmbeddedPortal(folder, empty_tables, INFERENCE_MODEL="two_stage_compact") as portal,
        portal.running() as address,
    ):
        portal.address = address
        yield portal


@pytest.fixture(scope="module")  # while Playwright's event loop is there, Django refuses every query of this thread
def chromium():
    with sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield browser
        browser.close()


@pytest.fixture
def open_page(chromium, portal):
    """`open_page(email)`: a page of a fresh browser, signed in; errors on any page fail the test."""
    contexts, errors = [], []

    def open_(email=None, **options):
        context = chromium.new_context(base_url=portal.address, **options)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: errors.append(f"{page.url}: {error.stack}"))
        page.on("console", lambda message: errors.append(message.text) if _is_fault(message) else None)
        if email:
            sign_in(context, email, portal.password)
        return page

    yield open_
    for context in contexts:
        context.close()
    assert errors == []


def sign_in(context, email, password):
    """By the form alone; that it can be filled in is seen by the tests of signing in."""
    context.request.get("/accounts/login/")
    [token] = [cookie["value"] for cookie in context.cookies() if cookie["name"].endswith("csrftoken")]
    form = {"login": email, "password": password, "csrfmiddlewaretoken": token}
    assert context.request.post("/accounts/login/", form=form, max_redirects=0).status == 302


def _is_fault(message):
    # Chromium also logs each answer of 400 or more, which refused files and missing pages rightly are.
    return message.type == "error" and "Failed to load resource" not in message.text
