"""Measurements and growth charts, entered and looked at in a real browser."""

import re

import pytest
from playwright.sync_api import expect

from tests.browser.looks import WIDE, looks_right_both_ways

PATIENCE = 30_000  # milliseconds; Plotly is large
ADD_STUDIES = """
from datetime import timedelta
from django_scopes import scopes_disabled
from clinical.patients.models import Measurement, Patient
from tests.factories import AnalysisFactory, ReviewFactory, StudyFactory
with scopes_disabled():
    patient = Patient.objects.get(mrn="{mrn}")
    for years, months in ((8.5, 76), (9.6, 90)):
        day = patient.date_of_birth + timedelta(days=round(365.25 * years))
        analysis = AnalysisFactory(
            hospital=patient.hospital, sex=patient.sex, state="analysed",
            bone_age_months=months, low_months=months - 9, high_months=months + 9,
        )
        study = StudyFactory(patient=patient, analysis=analysis, acquired_on=day, state="analysed")
        Measurement.objects.create(
            hospital=patient.hospital, patient=patient, measured_on=day,
            height_cm=82 + 5.4 * years, entered_by=study.submitted_by,
        )
"""


@pytest.fixture(scope="module")
def followed(portal):
    """The MRN of a patient with two studies and two heights."""
    portal.shell(ADD_STUDIES.format(mrn="SA-1001"))
    return "SA-1001"


def go_to_patient(page, mrn):
    page.goto(f"/patients/?q={mrn}")
    page.locator("table a.row-link").click()
    expect(page.locator("#measurements")).to_be_visible()


def charts(page):
    page.locator("iframe").scroll_into_view_if_needed()
    frame = page.frame_locator("iframe")
    expect(frame.locator(".js-plotly-plot .main-svg").nth(3)).to_be_attached(timeout=PATIENCE)
    return frame


def test_a_technician_enters_mends_and_removes_a_height(open_page):
    page = open_page("technician@demo.example")
    go_to_patient(page, "SA-1004")
    page.get_by_role("link", name="Add a measurement").click()
    page.get_by_label("Height (cm)").fill("1.38")
    page.get_by_label("Weight (kg)").fill("32.5")
    page.get_by_role("button", name="Save the measurement").click()
    expect(page.get_by_text("did you mean 138 cm?")).to_be_visible()
    assert page.get_by_label("Height (cm)").input_value() == "138"
    page.get_by_role("button", name="Save the measurement").click()
    table = page.locator("#measurements table")
    expect(table).to_contain_text("138.0 cm")
    expect(table).to_contain_text("centile")

    page.get_by_role("link", name=re.compile("^Edit the measurement")).click()
    page.get_by_label("Height (cm)").fill("139")
    page.get_by_role("button", name="Save the measurement").click()
    expect(table).to_contain_text("139.0 cm")
    page.get_by_role("link", name=re.compile("^Edit the measurement")).click()
    expect(page.get_by_text("What stood here before")).to_be_visible()
    expect(page.get_by_text("138 cm, 32.5 kg")).to_be_visible()
    page.go_back()

    page.get_by_role("link", name=re.compile("^Remove the measurement")).click()
    page.get_by_role("button", name="Remove the measurement").click()
    expect(page.get_by_text("No measurements yet")).to_be_visible()
    page.get_by_text("Removed measurements (1)").click()
    page.get_by_role("button", name="Put back").click()
    expect(table).to_contain_text("139.0 cm")


def test_a_strange_height_is_confirmed_before_it_is_kept(open_page):
    page = open_page("technician@demo.example")
    go_to_patient(page, "SA-1007")
    page.get_by_role("link", name="Add a measurement").click()
    page.get_by_label("Height (cm)").fill("160")
    page.get_by_role("button", name="Save the measurement").click()
    expect(page.get_by_text("SD above the average")).to_be_visible()
    page.get_by_label("Yes: measured and typed as shown").check()
    page.get_by_role("button", name="Save the measurement").click()
    expect(page.locator("#measurements table")).to_contain_text("160.0 cm")


def test_both_charts_are_drawn_with_hover_legend_and_download(open_page, followed):
    page = open_page("doctor@demo.example")
    go_to_patient(page, followed)
    frame = charts(page)
    for name in ("AI estimate", "±2 SD, Brush Foundation", "Height at bone age", "Predicted adult height"):
        expect(frame.locator(".legendtext", has_text=name)).to_be_visible()
    bone_age = frame.locator(".js-plotly-plot").first
    points = bone_age.locator(".scatterlayer .points path")
    expect(points).to_have_count(2)
    # The layer that listens to the pointer lies over the points.
    points.first.hover(force=True)
    expect(frame.locator(".hoverlayer")).to_contain_text(["AI estimate: 6 y 4 m", ""])
    with page.expect_download() as download:
        bone_age.get_by_role("button", name=re.compile("^Download")).click()
    assert download.value.suggested_filename == "bone-age-chart.png"
    assert download.value.path().read_bytes().startswith(b"\x89PNG")


def test_the_charts_follow_the_theme_while_the_page_is_open(open_page, followed):
    page = open_page("doctor@demo.example", color_scheme="light")
    go_to_patient(page, followed)
    paper = charts(page).locator(".js-plotly-plot .main-svg").first
    expect(paper).to_have_css("background-color", "rgb(255, 255, 255)")
    page.get_by_role("button", name="Use the dark theme").click()
    expect(paper).to_have_css("background-color", "rgb(20, 29, 34)")


def test_a_theme_that_changes_while_the_charts_load_is_the_one_they_are_painted_in(open_page, followed):
    page = open_page("doctor@demo.example", color_scheme="light")
    held = []
    page.route("**/_dash-layout*", lambda route: held.append(route))
    with page.expect_request("**/_dash-layout*"):
        go_to_patient(page, followed)
        page.locator("iframe").scroll_into_view_if_needed()
    page.emulate_media(color_scheme="dark")
    [layout] = held
    layout.continue_()
    expect(charts(page).locator(".js-plotly-plot .main-svg").first).to_have_css("background-color", "rgb(20, 29, 34)")


def test_nothing_is_fetched_from_elsewhere(open_page, followed, portal):
    page = open_page("doctor@demo.example")
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    go_to_patient(page, followed)
    charts(page)
    assert any("plotly" in url for url in asked)
    assert [url for url in asked if not url.startswith((portal.address, "data:", "blob:"))] == []


def test_a_doctor_of_another_hospital_sees_no_chart(open_page, followed):
    page = open_page("doctor@demo.example")
    go_to_patient(page, followed)
    source = page.locator("iframe").get_attribute("src")
    other = open_page("doctor@northbay.example")
    for below in ("", "_dash-layout", "_dash-dependencies"):
        assert other.request.get(source + below).status == 404


def test_axe_finds_nothing_on_the_page_nor_in_the_frame(open_page, followed):
    page = open_page("doctor@demo.example", viewport=WIDE, color_scheme="light")
    go_to_patient(page, followed)
    source = page.locator("iframe").get_attribute("src")
    charts(page)
    page.get_by_text("The charts as tables").click()
    add = page.get_by_role("link", name="Add a measurement").get_attribute("href")
    edit = page.get_by_role("link", name=re.compile("^Edit the measurement")).first.get_attribute("href")
    for path in (None, source, add, edit):
        if path:
            page.goto(path)
        if path == source:
            expect(page.locator(".js-plotly-plot .main-svg").nth(3)).to_be_attached(timeout=PATIENCE)
        looks_right_both_ways(page, path)
