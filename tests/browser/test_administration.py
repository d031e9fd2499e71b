"""The administration and its dashboards: axe finds nothing, nothing scrolls sideways, and a mark opens its rows."""

import pytest

from tests.browser.looks import WIDE, looks_right_both_ways

PAGES = {
    "platform@demo.example": [
        "/admin/",
        "/admin/accounts/user/",
        "/admin/accounts/user/add/",
        "{user}",
        "/admin/accounts/hospital/add/",
        "/admin/inference/modelversion/register/",
        "/admin/studies/study/?state__exact=queued",
        "{study}",
        "/admin/dashboards/studies/",
        "/admin/dashboards/drift/",
    ],
    "administrator@demo.example": [
        "/admin/",
        "/admin/patients/patient/",
        "/admin/accounts/membership/",
        "{membership}",
        "/admin/audit/accessevent/",
        "/admin/dashboards/usage/",
        "/admin/dashboards/studies/?first=2020-01-01&last=2020-01-02",
    ],
}

A_STUDY = """
from datetime import date
from django_scopes import scope
from clinical.accounts.models import Hospital, User
from clinical.patients.models import Patient
from clinical.studies.models import Radiograph, Study
from inference.models import Analysis
hospital = Hospital.objects.get(name="St. Anna Children's Hospital")
with scope(hospital=hospital):
    if not Study.objects.filter(indication="Seen by the administration").exists():
        radiograph = Radiograph.objects.create(
            hospital=hospital, sha256="a" * 64, name="none", format="png", width=9, height=9, size_bytes=9, mean=0.3
        )
        analysis = Analysis.objects.create(
            hospital=hospital, radiograph="none", sex="F", state="cancelled", reason_code="none"
        )
        Study.objects.create(
            hospital=hospital, patient=Patient.objects.first(), radiograph=radiograph, analysis=analysis, sex="F",
            state="cancelled", acquired_on=date.today(), submitted_by=User.objects.first(),
            indication="Seen by the administration",
        )
"""


@pytest.fixture(scope="module")
def study(portal):
    """A study that no worker touches, so that the dashboards have something to draw."""
    portal.shell(A_STUDY)


def first_row(page, path):
    page.goto(path)
    return page.locator("#result_list tbody th a").first.get_attribute("href")


@pytest.mark.parametrize("email", PAGES)
def test_axe_finds_nothing(open_page, portal, study, email):
    page = open_page(email, viewport=WIDE, color_scheme="light")
    rows = {"user": "/admin/accounts/user/", "study": "/admin/studies/study/"}
    if email.startswith("administrator"):
        rows = {"membership": "/admin/accounts/membership/"}
    rows = {name: first_row(page, path) for name, path in rows.items()}
    for path in PAGES[email]:
        page.goto(path.format(**rows))
        if "/accounts/reauthenticate/" in page.url:
            page.get_by_label("Password").fill(portal.password)
            page.get_by_role("button", name="Confirm").click()
            page.wait_for_url(f"**{path}")
        if page.locator("#react-entry-point").count():
            page.locator(".board-chart .main-svg").first.wait_for()
        looks_right_both_ways(page, path)


A_LONG_NAME = """
from clinical.accounts.models import User
name = "Ngozi Chimamanda Okafor-" + 3 * "wolfeschlegelsteinhausen"
User.objects.get_or_create(email=f"{60 * 'n'}@childrens-hospital.example", name=name)
"""


@pytest.mark.parametrize("path", ["/admin/accounts/user/?o=1.2", "/admin/studies/study/?o=2.3"])
def test_a_list_shows_every_column_and_its_headings_beside_the_marks_of_sorting(open_page, portal, study, path):
    portal.shell(A_LONG_NAME)
    page = open_page("platform@demo.example", viewport={"width": 1280, "height": 800})
    page.goto(path)
    assert page.locator("#changelist-form .results").evaluate("list => list.scrollWidth - list.clientWidth") == 0
    assert page.locator("th.sorted").count() == 2
    gap = """head => head.querySelector('.sortoptions').getBoundingClientRect().left
        - head.querySelector('.text a').getBoundingClientRect().right"""
    assert min(head.evaluate(gap) for head in page.locator("th.sorted").all()) >= 0


def test_a_pair_of_lists_looks_right(open_page):
    page = open_page("platform@demo.example", viewport=WIDE, color_scheme="light")
    page.goto("/admin/auth/group/add/")
    page.locator(".help-tooltip[role=img]").first.wait_for()
    looks_right_both_ways(page)


def test_a_mark_of_a_chart_opens_the_rows_behind_it(open_page, study):
    page = open_page("administrator@demo.example", viewport={"width": 1280, "height": 900})
    page.goto("/admin/dashboards/studies/")
    bar = page.locator(".board-chart .bars .point path").last
    bar.wait_for()
    box = bar.bounding_box()
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.wait_for_url("**/admin/studies/study/?**")
    assert page.locator("#result_list tbody tr").count() == 1


def test_the_theme_of_the_portal_holds_in_the_administration_and_paints_the_charts_anew(open_page, study):
    page = open_page("administrator@demo.example", viewport={"width": 1280, "height": 900}, color_scheme="light")
    page.goto("/admin/dashboards/studies/")
    paper = page.locator(".board-chart .main-svg").first
    paper.wait_for()
    light = paper.evaluate("svg => svg.style.background")
    page.locator("[data-theme-toggle]").click()
    page.wait_for_function("before => document.querySelector('.main-svg').style.background !== before", arg=light)
    page.goto("/admin/")
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
