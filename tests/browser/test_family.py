"""The family's way: invited by a doctor, told by mail, reading at home."""

import email
import re
import time

import pytest
from playwright.sync_api import expect

from tests.browser.looks import WIDE, looks_right_both_ways

PATIENCE = 60  # seconds; the mail waits for the worker to have started

RELEASE = """
from datetime import timedelta
from django_scopes import scopes_disabled
from clinical.accounts.models import User
from clinical.patients.models import Patient
from clinical.studies import workflow
from reports.models import Report
from tests.factories import ReviewFactory
with scopes_disabled():
    doctor = User.objects.get(email="doctor@demo.example")
    patient = Patient.objects.get(mrn="{mrn}")
    for age, bone_age in {readings}:
        review = ReviewFactory(
            study__patient=patient,
            study__state="reviewed",
            study__acquired_on=patient.date_of_birth + timedelta(days=age * 30.4375),
            study__submitted_by=doctor,
            doctor=doctor,
            bone_age_months=bone_age,
            impression="Bone age is behind.",
        )
        workflow.sign(review.study, doctor, review.pk)
        Report.objects.filter(study=review.study).update(state="ready")
        review.study.refresh_from_db()
        workflow.release(review.study, doctor)
"""


def mails_to(portal, address):
    """The mails that the portal has sent to `address`, oldest first; the embedded installation keeps them as files."""
    sent = []
    for file in sorted((portal.folder / "mail").glob("*"), key=lambda file: file.stat().st_mtime):
        for part in file.read_text().split("-" * 79):
            message = email.message_from_string(part.strip())
            if message["To"] == address:
                sent.append(message)
    return sent


def mail_to(portal, address):
    deadline = time.monotonic() + PATIENCE
    while not (sent := mails_to(portal, address)):
        assert time.monotonic() < deadline, f"No mail to {address} within {PATIENCE} seconds"
        time.sleep(0.2)
    return sent[-1]


def test_a_father_is_invited_opens_his_account_and_finds_his_child(open_page, portal):
    doctor = open_page("doctor@demo.example")
    doctor.goto("/patients/?q=SA-1004")
    doctor.locator("table a.row-link").click()
    doctor.get_by_role("link", name="Invite").click()
    doctor.get_by_role("textbox").fill("father.weiss@home.example")
    doctor.get_by_label("Father").check()
    doctor.get_by_role("button", name="Send the invitation").click()
    expect(doctor.get_by_text("The invitation is on its way.")).to_be_visible()
    expect(doctor.get_by_text("father.weiss@home.example")).to_be_visible()

    message = mail_to(portal, "father.weiss@home.example").get_payload()
    assert "Weiss" not in message
    father = open_page()
    father.goto(re.search(r"http\S+/family/invitation/\S+", message)[0])
    father.get_by_label("Your name").fill("Karl Weiss")
    father.get_by_label("Password", exact=True).fill("a long sentence is best")
    father.get_by_label("Password again").fill("a long sentence is best")
    father.get_by_role("button", name="Open my account").click()
    expect(father.get_by_role("heading", name="Weiss, Leon")).to_be_visible()
    expect(father.get_by_text("No report yet")).to_be_visible()

    doctor.reload()
    doctor.get_by_role("link", name="Revoke the access of Karl Weiss").click()
    doctor.get_by_role("button", name="Revoke the access").click()
    assert father.goto("/family/").status == 403


@pytest.fixture(scope="session")
def released(portal):
    portal.shell(RELEASE.format(mrn="SA-1001", readings=[(102, 76), (126, 100), (150, 124)]))


@pytest.mark.usefixtures("released")
def test_a_mother_is_told_by_mail_and_reads_what_the_doctor_has_released(open_page, portal):
    message = mail_to(portal, "family@demo.example")
    assert re.match(r"(A report is|\d reports are) ready", message["Subject"])
    assert "Keller" not in message.as_string()
    assert "/notices/" in message.get_payload()

    page = open_page("family@demo.example")
    page.goto("/")
    page.get_by_role("link", name="Notifications 3 unread").click()
    page.get_by_role("button", name="Open").first.click()
    expect(page.get_by_role("heading", name="Keller, Jonas")).to_be_visible()
    expect(
        page.get_by_text("Your child's bones look like those of an average boy of 10 years and 4 months.")
    ).to_be_visible()
    expect(page.get_by_text("Signed by Dr. Ines Marlow").first).to_be_visible()
    expect(page.get_by_role("img", name=re.compile("Age of the bones"))).to_be_visible()
    expect(page.locator(".family-chart circle")).to_have_count(3)
    expect(page.get_by_role("link", name="Notifications", exact=True)).to_be_visible()  # all are read by now


@pytest.mark.usefixtures("released")
def test_axe_finds_nothing_on_the_familys_page(open_page):
    page = open_page("family@demo.example", viewport=WIDE, color_scheme="light")
    page.goto("/family/")
    page.get_by_role("link", name=re.compile("Read 3 reports")).click()
    page.wait_for_url(re.compile(r"/family/[0-9a-f-]+/"))
    looks_right_both_ways(page)
