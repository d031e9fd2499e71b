"""Every page, wide and at phone width, light and dark: axe finds nothing and nothing scrolls sideways."""

import pytest
from axe_playwright_python.sync_playwright import Axe

PAGES = {
    None: ["/accounts/login/", "/accounts/password/reset/", "/accounts/signup/", "/nowhere/"],
    "technician@demo.example": [
        "/studies/",
        "/studies/?q=nobody",
        "/studies/?age_from=ten&determination=delayed",
        "/studies/upload/",
        "/patients/",
        "/patients/?q=nobody",
        "/patients/new/",
        "{patient}",
        "{patient}edit/",
        "{patient}upload/",
        "/accounts/password/change/",
        "/members/",
    ],
    "doctor@demo.example": ["/hospital/", "/studies/", "{patient}", "{patient}family/invite/", "/notices/mail/"],
    "administrator@demo.example": ["/members/"],
    "family@demo.example": ["/family/", "/notices/", "/notices/mail/"],
}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 360])
@pytest.mark.parametrize("email", PAGES)
def test_axe_finds_nothing(open_page, email, width, scheme):
    page = open_page(email, viewport={"width": width, "height": 800}, color_scheme=scheme)
    patient = ""
    if email and email.startswith(("technician", "doctor")):
        page.goto("/patients/?q=SA-1005")
        patient = page.locator("table a.row-link").get_attribute("href")
    for path in PAGES[email]:
        page.goto(path.format(patient=patient))
        found = Axe().run(page)
        assert found.violations_count == 0, f"{path}\n{found.generate_report()}"
        overflow = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert overflow <= 0, f"{path} is {overflow} pixels too wide"
