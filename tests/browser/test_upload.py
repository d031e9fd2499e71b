import re

import pytest
from playwright.sync_api import expect

from tests.browser.files import drop, phantom

PATIENCE = 120_000  # milliseconds; the first result waits for the worker to load the model


def go_to_upload(page, mrn):
    page.goto(f"/patients/?q={mrn}")
    page.locator("table a.row-link").click()
    page.get_by_role("link", name=re.compile("Upload")).first.click()


def test_a_technician_drops_a_radiograph_and_sees_the_bone_age_come(open_page):
    page = open_page("technician@demo.example")
    go_to_upload(page, "SA-1006")
    drop(page, ("hand.png", phantom(1)), ("notes.png", b"no picture at all"))
    expect(page.get_by_text("not a PNG, JPEG, TIFF, WebP or DICOM file")).to_be_visible(timeout=PATIENCE)
    page.get_by_role("link", name="Open the study").click()
    expect(page.get_by_role("heading", name="Bone age")).to_be_visible(timeout=PATIENCE)
    months = int(re.search(r"(\d+) months", page.locator(".figure").inner_text())[1])
    assert 80 <= months <= 160
    expect(page.locator("#main").get_by_text("Not for diagnosis without review by a physician")).to_be_visible()
    expect(page.locator("radiograph-viewer").first).to_have_attribute("data-state", "ready")


def test_a_file_dropped_again_with_another_date_asks_and_is_not_taken_for_the_first(open_page):
    page = open_page("technician@demo.example")
    go_to_upload(page, "SA-1006")
    drop(page, ("hand.png", phantom(5)))
    expect(page.get_by_role("link", name="Open the study")).to_be_visible(timeout=PATIENCE)
    page.get_by_label("Study date").fill("2024-06-01")
    drop(page, ("hand.png", phantom(5)))
    expect(page.get_by_text("filed for this patient already")).to_be_visible(timeout=PATIENCE)
    page.get_by_role("button", name="Upload it again anyway").click()
    expect(page.get_by_role("link", name="Open the study")).to_have_count(2)


def test_a_wrong_date_is_marked_put_right_and_all_files_sent_again_at_once(open_page, tmp_path):
    page = open_page("technician@demo.example")
    go_to_upload(page, "SA-1005")
    for name, size in (("large.png", 26 * 2**20), ("small.png", 1)):
        (tmp_path / name).write_bytes(bytes(size))
    page.locator("#id_files").set_input_files([tmp_path / "large.png", tmp_path / "small.png"])
    expect(page.locator(".upload-row", has_text="large.png")).to_contain_text("Refused")
    expect(page.locator(".upload-row", has_text="small.png")).to_contain_text("1 kB")
    expect(page.locator("[data-progress]")).to_be_empty()  # nothing was sent
    for _ in range(2):
        page.get_by_role("button", name="Remove").first.click()
    page.get_by_label("Study date").fill("2099-01-01")
    drop(page, ("one.png", phantom(24)), ("two.png", phantom(25)))
    expect(page.locator(".field .errors")).to_have_text("The study date lies in the future.", timeout=PATIENCE)
    expect(page.get_by_label("Study date")).to_have_attribute("aria-invalid", "true")
    page.on("dialog", lambda dialog: dialog.dismiss())
    with page.expect_event("dialog") as asked:  # what was not taken is not dropped in silence
        page.get_by_role("link", name="Back to the patient").click()
    assert asked.value.type == "beforeunload"
    page.get_by_label("Study date").fill("2024-06-01")
    expect(page.locator(".field .errors")).to_have_count(0)
    page.get_by_role("button", name="Upload 2 again").click()
    expect(page.get_by_role("link", name="Open the study")).to_have_count(2, timeout=PATIENCE)


def test_the_viewer_zooms_inverts_and_shows_where_the_model_looked(open_page):
    page = open_page("technician@demo.example")
    go_to_upload(page, "SA-1006")
    drop(page, ("hand.png", phantom(2)))
    page.get_by_role("link", name="Open the study").click(timeout=PATIENCE)
    expect(page.get_by_role("heading", name="Bone age")).to_be_visible(timeout=PATIENCE)
    viewer = page.locator("radiograph-viewer").first
    expect(viewer).to_have_attribute("data-state", "ready")  # until then there is nothing to zoom
    zoom = viewer.locator("[data-zoom]")
    fitted = zoom.inner_text()
    viewer.get_by_role("button", name="Zoom in").click()
    assert zoom.inner_text() != fitted
    viewer.get_by_role("button", name="Invert").click()
    expect(viewer.get_by_role("button", name="Invert")).to_have_attribute("aria-pressed", "true")
    switch = viewer.get_by_role("button", name="Heat map", exact=True)
    switch.click()
    expect(viewer.locator("img[data-heat-map]")).to_be_visible()
    switch.click()
    expect(viewer.locator("img[data-heat-map]")).to_be_hidden()
    turn_and_mirror(viewer)
    viewer.get_by_label("Opacity of the heat map").fill("80")
    expect(viewer.locator("img[data-heat-map]")).to_be_visible()
    expect(viewer.locator(".region")).to_have_count(2)


MIDDLES = """
    viewer => {
        const film = viewer.querySelector("[data-pixels]").getBoundingClientRect();
        return [...viewer.querySelectorAll(".region")].map(region => {
            const box = region.getBoundingClientRect();
            return [(box.x + box.width / 2 - film.x) / film.width, (box.y + box.height / 2 - film.y) / film.height];
        });
    }
"""


def turn_and_mirror(viewer):
    """The regions stay where they are on the hand; Reset shows the film as it was taken."""
    viewer.get_by_role("button", name="Reset").click()
    taken = viewer.evaluate(MIDDLES)
    places = {
        "Turn clockwise": [(1 - y, x) for x, y in taken],
        "Mirror": [(y, x) for x, y in taken],  # of what is turned by then
        "Reset": taken,
    }
    for button, expected in places.items():
        viewer.get_by_role("button", name=button).click()
        shown = viewer.evaluate(MIDDLES)
        assert [place for pair in shown for place in pair] == pytest.approx(
            [place for pair in expected for place in pair], abs=0.01
        ), button
        assert (
            viewer.get_by_role("button", name="Mirror").get_attribute("aria-pressed") == str(button == "Mirror").lower()
        )


def test_a_session_that_ends_while_uploading_loses_nothing(open_page, portal):
    page = open_page("technician@demo.example")
    go_to_upload(page, "SA-1007")
    page.context.clear_cookies(name="boneage_session")
    drop(page, ("hand.png", phantom(3)))
    expect(page.get_by_text("You were signed out.")).to_be_visible(timeout=PATIENCE)
    with page.context.expect_page() as opened:
        page.get_by_role("link", name="Sign in in a new tab").click()
    other = opened.value
    other.locator("#id_login").fill("technician@demo.example")
    other.get_by_label("Password", exact=True).fill(portal.password)
    other.get_by_role("button", name="Sign in", exact=True).click()
    other.wait_for_url(lambda url: "/accounts/login/" not in url)
    page.locator("[data-interruption]").get_by_role("button", name="Try again").click()
    expect(page.get_by_role("link", name="Open the study")).to_be_visible(timeout=PATIENCE)


@pytest.mark.parametrize(("go", "seed"), [(lambda page, mrn: page.goto("/studies/upload/"), 6), (go_to_upload, 7)])
def test_a_page_of_another_hospital_files_nothing_here_until_one_has_changed_back(open_page, go, seed):
    page = open_page("doctor@demo.example")
    go(page, "SA-1004")
    other = page.context.new_page()
    other.goto("/hospital/")
    other.get_by_role("button", name="Work here: North Bay Hospital").click()
    drop(page, ("SA-1004.png", phantom(seed)))
    expect(page.get_by_text("You work in North Bay Hospital now.")).to_be_visible(timeout=PATIENCE)
    other.goto("/hospital/")
    other.get_by_role("button", name="Work here: St. Anna Children's Hospital").click()
    other.wait_for_url("**/studies/")
    page.get_by_role("button", name="Try again").click()
    expect(page.get_by_role("link", name="Open the study")).to_be_visible(timeout=PATIENCE)


def test_the_page_works_without_javascript(open_page, tmp_path):
    page = open_page("technician@demo.example", java_script_enabled=False)
    go_to_upload(page, "SA-1004")
    file = tmp_path / "hand.png"
    file.write_bytes(phantom(4))
    page.locator("#id_files").set_input_files(file)
    page.get_by_role("button", name=re.compile("^Upload")).click()
    page.get_by_role("link", name="Open the study").click()
    expect(page.get_by_role("img", name="Radiograph of the hand").first).to_be_visible()
