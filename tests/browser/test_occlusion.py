"""A doctor asks what a reading rests on, and sees it over the radiograph."""

import re

from playwright.sync_api import expect

from tests.browser.files import drop, phantom
from tests.browser.test_day import PATIENCE, looks_right


def test_a_doctor_asks_for_an_occlusion_map_and_lays_it_over_the_radiograph(open_page):
    page = open_page("doctor@demo.example", viewport={"width": 1280, "height": 900})
    page.goto("/patients/?q=SA-1002")
    page.locator("table a.row-link").click()
    page.get_by_role("link", name=re.compile("Upload")).first.click()
    drop(page, ("hand.png", phantom(31)))
    page.get_by_role("link", name="Open the study").click(timeout=PATIENCE)
    page.get_by_role("button", name="Make an occlusion map").click(timeout=PATIENCE)
    expect(page.locator("#occlusion progress")).to_be_visible()
    expect(page.locator("#occlusion")).to_contain_text("moves the reading by up to", timeout=PATIENCE)
    page.get_by_role("link", name="Show it").click()
    viewer = page.locator("radiograph-viewer").first
    with page.expect_response("**/occlusion-map/") as shown:
        viewer.get_by_label("Overlay").select_option("Occlusion")
    assert shown.value.headers["content-type"] == "image/png"
    expect(viewer.locator("[data-heat-map]")).to_be_visible()
    expect(viewer.locator("[data-caption]")).to_contain_text("hiding a place")
    looks_right(page)
