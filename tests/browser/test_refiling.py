"""A film that was uploaded for the wrong child is moved to the right one."""

from playwright.sync_api import expect

from tests.browser.files import drop, phantom
from tests.browser.looks import WIDE, looks_right_both_ways
from tests.browser.test_upload import PATIENCE, go_to_upload


def test_a_doctor_looks_at_the_child_and_moves_the_film(open_page):
    page = open_page("doctor@demo.example", viewport=WIDE)
    go_to_upload(page, "SA-1006")
    drop(page, ("hand.png", phantom(9)))
    page.get_by_role("link", name="Open the study").click(timeout=PATIENCE)
    expect(page.get_by_role("heading", name="Bone age")).to_be_visible(timeout=PATIENCE)
    wrong = page.url
    page.get_by_role("link", name="Move to another patient").click()
    page.get_by_label("MRN of the right patient").fill("SA-1005")
    page.get_by_role("button", name="Look the patient up").click()
    question = page.get_by_role("alert")
    expect(question).to_be_focused()
    expect(question).to_contain_text("Is this the right child: Papadopoulos-Andersson, Maximilian Konstantin?")
    looks_right_both_ways(page)
    page.get_by_role("button", name="Yes: move the film").click()
    expect(page.get_by_text("The film was moved to Papadopoulos-Andersson")).to_be_visible()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Papadopoulos-Andersson")
    right = page.url
    page.goto(wrong)
    page.get_by_text("The film is filed for another patient now:").get_by_role("link").click()
    page.wait_for_url(right)
