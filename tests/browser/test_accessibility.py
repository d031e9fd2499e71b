"""Every page, wide and light and at phone width and dark: axe finds nothing and nothing scrolls sideways."""

from uuid import UUID

import pytest
from playwright.sync_api import expect

from tests.browser.looks import WIDE, looks_right_both_ways

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
        "/patients/{patient}/",
        "/patients/{patient}/edit/",
        "/patients/{patient}/upload/",
        "/accounts/password/change/",
        "/members/",
        "/api/",
        "/arrivals/",
    ],
    "doctor@demo.example": [
        "/hospital/",
        "/studies/",
        "/patients/{patient}/",
        "/patients/{patient}/family/invite/",
        "/patients/{patient}/accesses/",
        "/notices/mail/",
        "/api/reference/",
    ],
    "administrator@demo.example": [
        "/members/",
        "/members/api/",
        "/members/dicom/",
        "/privacy/",
        "/patients/{child}/privacy/",
        "/patients/{child}/privacy/erase/",
        "/patients/{child}/accesses/",
        "/audit/",
        "/audit/?q=nobody",
        "/accounts/sessions/",
    ],
    "family@demo.example": ["/family/", "/family/{child}/accesses/", "/notices/", "/notices/mail/"],
}
# The pages that say so are looked at, too.
REFUSED = {(None, "/nowhere/"): 404, ("technician@demo.example", "/members/"): 403}


@pytest.mark.parametrize("email", PAGES)
def test_axe_finds_nothing(open_page, portal, email):
    page = open_page(email, viewport=WIDE, color_scheme="light")
    keys = {
        name: UUID(portal.query(f"SELECT id FROM patients_patient WHERE mrn = '{mrn}'")[0])
        for name, mrn in {"patient": "SA-1005", "child": "SA-1001"}.items()  # a long name, and one of the family's
    }
    for path in PAGES[email]:
        assert page.goto(path.format(**keys)).status == REFUSED.get((email, path), 200), path
        expect(page.locator("[aria-busy=true]"), f"{path} is drawn").to_have_count(0)
        looks_right_both_ways(page, path)
