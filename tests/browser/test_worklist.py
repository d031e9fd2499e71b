import re
import uuid

import pytest
from playwright.sync_api import expect

from tests.browser.files import drop, phantom

PATIENCE = 120_000  # milliseconds

# Studies as the workers would have left them; no task is behind them, so that nothing moves but what a test moves.
FILL = """
import uuid
from django_scopes import scopes_disabled
from clinical.accounts.models import User
from clinical.patients.models import Patient
from tests import radiograph_files
from tests.factories import StudyFactory
with scopes_disabled():
    patient = Patient.objects.get(mrn="{mrn}")
    for key in {keys}:
        StudyFactory(
            pk=key, patient=patient, state="{state}", analysis__state="analysed", analysis__bone_age_months=99.0,
            analysis__low_months=90.0, analysis__high_months=108.0,
            radiograph__sha256=uuid.uuid4().hex, radiograph__file=radiograph_files.png(),
            submitted_by=User.objects.get(email="technician@demo.example"),
        )
"""
FINISH = """
from django_scopes import scopes_disabled
from clinical.studies.models import Study
with scopes_disabled():
    Study.objects.filter(pk="{key}").update(state="analysed")
"""


def fill(portal, mrn, state, number):
    """Studies of a patient of the demo; their keys in the order of the worklist."""
    keys = [str(uuid.uuid4()) for _ in range(number)]
    portal.shell(FILL.format(mrn=mrn, state=state, keys=keys))
    return keys[::-1]


def test_keys_go_from_study_to_study_open_one_and_search(open_page, portal):
    fill(portal, "SA-1008", "failed", 3)
    page = open_page("doctor@demo.example")
    page.goto("/studies/?q=SA-1008&state=failed")
    rows = page.locator("#studies .row-link")
    page.keyboard.press("ArrowDown")  # without a study in focus the arrows scroll
    expect(rows.first).not_to_be_focused()
    for key, row in [("j", 0), ("j", 1), ("ArrowDown", 2), ("j", 2), ("k", 1), ("ArrowUp", 0), ("k", 0)]:
        page.keyboard.press(key)
        expect(rows.nth(row)).to_be_focused()
    page.keyboard.press("/")
    expect(page.get_by_label("Name or MRN")).to_be_focused()
    page.keyboard.type("j?/")
    expect(page.get_by_label("Name or MRN")).to_have_value("j?/")
    rows.nth(1).focus()
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile(r"/studies/[0-9a-f-]{36}/$"))


def test_the_help_lists_the_keys_and_turns_them_off_for_good(open_page, portal):
    fill(portal, "SA-1008", "failed", 1)
    page = open_page("doctor@demo.example")
    page.goto("/studies/?q=SA-1008")
    page.keyboard.press("?")
    expect(page.get_by_role("heading", name="Keys of the worklist")).to_be_visible()
    page.get_by_label("Use these keys on this computer").uncheck()
    page.keyboard.press("Escape")
    page.reload()
    page.keyboard.press("j")
    expect(page.locator("#studies .row-link").first).not_to_be_focused()
    page.get_by_role("button", name="Keys").click()
    page.get_by_label("Use these keys on this computer").check()
    page.keyboard.press("Escape")
    page.keyboard.press("j")
    expect(page.locator("#studies .row-link").first).to_be_focused()


def test_a_live_refresh_leaves_focus_and_scroll_where_they_are(open_page, portal):
    [waiting] = fill(portal, "SA-1009", "queued", 1)
    keys = fill(portal, "SA-1009", "analysed", 4)
    page = open_page("doctor@demo.example", viewport={"width": 360, "height": 500})
    page.goto("/studies/?q=SA-1009")
    own = page.locator(f"#study-{keys[2]}")
    own.focus()
    page.locator(".chips").evaluate("chips => chips.scrollLeft = 90")
    page.evaluate("scrollBy({top: 30, behavior: 'instant'})")
    before = page.evaluate("scrollY")
    portal.shell(FINISH.format(key=waiting))
    expect(page.locator("#chip-queued b")).to_have_text("0", timeout=PATIENCE)
    expect(page.locator("#studies .row-link").first).to_be_attached()
    expect(own).to_be_focused()
    assert page.locator(".chips").evaluate("chips => chips.scrollLeft") == 90
    assert page.evaluate("scrollY") == before
    expect(page.locator("#studies")).to_have_attribute("hx-trigger", "every 60s")  # nothing moves


def test_a_printed_worklist_has_all_its_columns_and_nothing_to_press(open_page, portal):
    [key] = fill(portal, "SA-1003", "analysed", 1)
    page = open_page("doctor@demo.example", viewport={"width": 700, "height": 900})  # A4 between its margins
    page.goto(f"/studies/{key}/")
    page.get_by_role("button", name="Mark as urgent").click()
    page.goto("/studies/")
    page.emulate_media(media="print")
    assert page.evaluate("document.documentElement.scrollWidth") <= 700
    expect(page.locator("#studies thead")).to_be_visible()
    expect(page.get_by_text("St. Anna Children's Hospital ·")).to_be_visible()
    expect(page.locator(".button:visible, .filters:visible, .chips:visible")).to_have_count(0)
    expect(page.locator(".badge.urgent").first).to_have_css("print-color-adjust", "exact")  # letters of a light colour


def test_a_technician_uploads_a_pile_and_puts_right_what_found_no_patient(open_page):
    page = open_page("technician@demo.example")
    page.goto("/studies/")
    page.get_by_role("link", name="Upload radiographs").click()
    drop(
        page,
        ("SA-1008.png", phantom(11)),
        ("SA-1010_2024-05-01.png", phantom(12)),
        ("XY-9.png", phantom(13)),
        ("SA-1009.png", b"no picture at all"),
        ("hand.png", phantom(23)),
    )
    expect(page.get_by_text("5 of 5 files done: 2 uploaded, 2 without a patient, 1 refused")).to_be_visible(
        timeout=PATIENCE
    )
    nameless = page.locator(".upload-row", has_text="hand.png")
    nameless.get_by_label("Or enter the MRN").fill("SA-1002")
    nameless.get_by_label("Or enter the MRN").press("Enter")
    expect(nameless.get_by_role("link", name="Keller, Mila")).to_be_visible(timeout=PATIENCE)
    expect(page.get_by_role("link", name="Moreau, Louis")).to_be_visible()
    row = page.locator(".upload-row", has_text="XY-9.png")
    expect(row).to_contain_text("No patient with the MRN XY-9")
    with page.context.expect_page() as opened:
        row.get_by_role("link", name="Create the patient").click()
    other = opened.value
    other.get_by_label("MRN").fill("XY-9")
    other.get_by_label("Family name").fill("Young")
    other.get_by_label("Female").check()
    other.get_by_label("Date of birth").fill("2015-02-03")
    other.get_by_role("button", name=re.compile("Save|Create")).click()
    other.wait_for_url(re.compile(r"/patients/[0-9a-f-]{36}/$"))
    row.get_by_role("button", name="Try again").click()
    expect(row.get_by_role("link", name="Young")).to_be_visible(timeout=PATIENCE)
    expect(page.get_by_text("5 of 5 files done: 4 uploaded, 1 refused")).to_be_visible()


def test_a_pile_is_uploaded_without_javascript(open_page, tmp_path):
    page = open_page("technician@demo.example", java_script_enabled=False)
    page.goto("/studies/upload/")
    files = []
    for name, content in (("SA-1003.png", phantom(14)), ("XY-8.png", phantom(15))):
        files.append(tmp_path / name)
        files[-1].write_bytes(content)
    page.locator("#id_files").set_input_files(files)
    page.get_by_role("button", name=re.compile("^Upload")).click()
    expect(page.get_by_role("link", name="Okafor, Adaeze")).to_be_visible()
    expect(page.get_by_text("No patient with the MRN XY-8")).to_be_visible()


def test_another_film_comes_beside_and_what_is_typed_stays(open_page, portal):
    newest, *_ = fill(portal, "SA-1008", "analysed", 2)
    page = open_page("doctor@demo.example")
    page.goto(f"/studies/{newest}/")
    comment = page.locator("#id_comment")
    comment.evaluate("element => element.closest('details')?.setAttribute('open', '')")
    comment.fill("Half a sentence")
    films = page.locator("radiograph-viewer")
    page.get_by_role("link", name="Put away").click()
    expect(films).to_have_count(1)
    page.get_by_role("link", name=re.compile("Compare")).first.click()
    expect(films).to_have_count(2)
    expect(comment).to_have_value("Half a sentence")
    expect(page).to_have_url(re.compile(r"\?beside=[0-9a-f-]{36}$"))


def test_two_linked_films_move_zoom_and_brighten_together(open_page, portal):
    newest, *_ = fill(portal, "SA-1008", "analysed", 2)
    page = open_page("doctor@demo.example")
    page.goto(f"/studies/{newest}/")
    one, other = films = [page.locator("radiograph-viewer").nth(number) for number in range(2)]
    for viewer in films:
        expect(viewer).to_have_attribute("data-state", "ready")

    def places():
        return [viewer.evaluate("({ scale, x, y }) => [scale, x, y]") for viewer in films]

    one.get_by_role("button", name="Zoom in").click()
    before = places()
    assert before[0] != before[1]
    one.get_by_role("button", name="Link").click()
    assert places() == before
    expect(other.get_by_role("button", name="Link")).to_have_attribute("aria-pressed", "true")
    other.locator("[data-stage]").focus()
    for key in ("+", "+", "ArrowLeft", "i"):
        page.keyboard.press(key)
    zoomed = [now[0] / then[0] for now, then in zip(places(), before, strict=True)]
    assert zoomed == pytest.approx([1.25**2, 1.25**2])
    shown = places()
    page.keyboard.press("ArrowUp")
    moved = [now[2] - then[2] for now, then in zip(places(), shown, strict=True)]
    assert moved[0] == pytest.approx(moved[1])
    assert moved[0] > 0
    other.get_by_label("Brightness").fill("150")
    expect(one.get_by_label("Brightness")).to_have_value("150")
    expect(one.get_by_role("button", name="Invert")).to_have_attribute("aria-pressed", "true")
    stands = [viewer.evaluate("viewer => viewer.standing") for viewer in films]
    one.get_by_role("button", name="Turn clockwise").click()  # how a film stands is its own
    assert other.evaluate("viewer => viewer.standing") == stands[1]
    other.get_by_role("button", name="Link").click()
    kept = places()[0]
    other.get_by_role("button", name="Zoom in").click()
    assert places()[0] == kept
