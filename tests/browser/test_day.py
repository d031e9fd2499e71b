"""The clinic's day: from the radiograph to the report in the family's hands, and the proof that it is real."""

import re

from playwright.sync_api import expect

from tests.browser.files import drop, phantom
from tests.browser.looks import PHONE, WIDE, looks_right, looks_right_both_ways

PATIENCE = 120_000  # milliseconds; the first result waits for the worker to load the model


def test_from_the_radiograph_to_the_family(open_page, portal, tmp_path):
    technician = open_page("technician@demo.example", viewport=PHONE)
    technician.goto("/patients/?q=SA-1002")
    technician.locator("table a.row-link").click()
    technician.get_by_role("link", name=re.compile("Upload")).first.click()
    drop(technician, ("hand.png", phantom(21)))
    technician.get_by_role("link", name="Open the study").click(timeout=PATIENCE)
    expect(technician.get_by_role("heading", name="Bone age", exact=True)).to_be_visible(timeout=PATIENCE)
    expect(technician.get_by_role("button", name="Keep my reading")).to_have_count(0)
    study = technician.url.removeprefix(portal.address)

    doctor = open_page("doctor@demo.example", viewport=WIDE, color_scheme="light")
    doctor.goto(study)
    looks_right_both_ways(doctor)
    for size in (PHONE, WIDE):
        doctor.set_viewport_size(size)
        film, form = (doctor.locator(part).bounding_box() for part in (".study-viewer", "#reading"))
        assert film["y"] < form["y"]  # it is seen before what was read off it is accepted
    doctor.get_by_label("Read by the doctor", exact=True).check()
    doctor.get_by_label("Years").fill("8")
    doctor.get_by_label("Months").fill("3")
    doctor.get_by_label("Comment").fill("Ossification of the carpals in keeping with age.")
    doctor.get_by_role("button", name="Keep my reading").dblclick()  # is sent once
    confirm = doctor.get_by_label(re.compile("child, sex and date are right,"))
    expect(confirm.or_(doctor.locator("#reading .figure"))).to_be_visible()
    if confirm.is_visible():  # where the estimate is more than a year away
        confirm.check()
        doctor.get_by_role("button", name="Keep my reading").dblclick()
    expect(doctor.locator("#reading .figure")).to_contain_text("8 y 3 m")
    expect(doctor.get_by_text("moved on meanwhile")).to_have_count(0)
    looks_right_both_ways(doctor)
    doctor.get_by_role("button", name="Sign the reading").click()
    looks_right_both_ways(doctor)
    doctor.get_by_label("Password", exact=True).fill("wrong")
    doctor.get_by_role("button", name="Confirm").click()
    expect(doctor.get_by_text("Incorrect password")).to_be_visible()
    doctor.get_by_label("Password", exact=True).fill(portal.password)
    doctor.get_by_role("button", name="Confirm").click()
    report = doctor.get_by_role("link", name=re.compile(r"R-\d{4}-\d+, version 1"))
    expect(report).to_be_visible(timeout=PATIENCE)

    family = open_page("family@demo.example", viewport=PHONE)
    family.goto("/family/")
    unreleased = family.get_by_text("Keller, Mila").locator("xpath=ancestor::*[contains(@class, 'card')]").inner_text()

    doctor.get_by_role("link", name="Release to the family").click()
    doctor.get_by_role("button", name="Release the report").click()
    expect(doctor.locator(".patient-strip").get_by_text("Released")).to_be_visible()
    looks_right_both_ways(doctor)
    doctor.get_by_text("Check code and SHA-256").click()
    code = re.search(r"[0-9A-Z]{4}-[0-9A-Z]{4}-[0-9A-Z]{4}", doctor.locator("#reports").inner_text())[0]

    family.reload()
    card = family.get_by_text("Keller, Mila").locator("xpath=ancestor::*[contains(@class, 'card')]")
    assert card.inner_text() != unreleased
    looks_right(family)
    card.get_by_role("link", name=re.compile("^Read")).click()
    article = family.locator(f"#study-{study.strip('/').rpartition('/')[2]}")
    expect(article.get_by_text("8 years and 3 months")).to_be_visible()
    looks_right(family)
    with family.expect_download() as download:
        article.get_by_role("link", name="Download the report (PDF)").click()
    file = tmp_path / "report.pdf"
    download.value.save_as(file)
    assert file.read_bytes().startswith(b"%PDF")

    stranger = open_page(viewport=WIDE, color_scheme="light")
    stranger.goto("/verify/")
    looks_right_both_ways(stranger)
    stranger.get_by_label("Check code").fill(code.lower())
    stranger.locator("input[type=file]").set_input_files(file)
    stranger.get_by_role("button", name="Check").click()
    expect(stranger.get_by_role("heading", name="Genuine")).to_be_visible()
    assert "Keller" not in stranger.content()
    file.write_bytes(file.read_bytes() + b"\n")
    stranger.get_by_label("Check code").fill(code)
    stranger.locator("input[type=file]").set_input_files(file)
    stranger.get_by_role("button", name="Check").click()
    expect(stranger.get_by_role("heading", name="Unknown")).to_be_visible()
