"""The page on which anybody checks a report: it knows the file, and says nothing of the child."""

import hashlib

import pytest
from django.core.cache import cache
from django.core.files.storage import storages
from django.core.files.uploadedfile import SimpleUploadedFile
from django_scopes import scopes_disabled

from reports.models import CODE_ALPHABET, new_code
from reports.verification import normal_code


@pytest.fixture
def report(request):
    with scopes_disabled():
        report = request.getfixturevalue("signed_report")
    return report


@pytest.fixture
def signed_report(signed, made, patient):
    return made(signed(patient))


def file_of(report):
    with storages["private"].open(report.pdf) as file:
        return file.read()


def ask(client, **fields):
    response = client.post("/verify/", fields)
    page = response.content.decode()
    assert "Doe" not in page
    assert "A-1" not in page
    assert "St. Anna" not in page
    return response.context.get("verdict"), response


def test_the_file_itself_is_genuine(client, report):
    verdict, response = ask(client, code=report.code, file=SimpleUploadedFile("any name.pdf", file_of(report)))
    assert verdict == "genuine"
    assert "Genuine" in response.content.decode()


@pytest.mark.parametrize("write", [str, str.upper, lambda text: " ".join([text[:32], text[32:]]) + "\n"])
def test_the_hash_is_as_good_as_the_file_however_it_is_written(client, report, write):
    assert ask(client, code=report.code, sha256=write(report.sha256))[0] == "genuine"


@pytest.mark.parametrize("write", [str.lower, lambda code: code.replace("-", ""), lambda code: f"  {code} "])
def test_the_code_is_taken_however_it_is_typed(client, report, write):
    assert ask(client, code=write(report.code), sha256=report.sha256)[0] == "genuine"


def test_an_amended_report_is_superseded(client, report, amended):
    with scopes_disabled():
        amended(report)
    assert ask(client, code=report.code, sha256=report.sha256)[0] == "superseded"


def test_a_report_whose_patient_was_anonymised_is_still_what_it_was(client, report, anonymised):
    file = SimpleUploadedFile("report.pdf", file_of(report))
    with scopes_disabled():
        assert anonymised(report).pdf == ""
    assert ask(client, code=report.code, file=file)[0] == "genuine"


def test_a_changed_file_a_wrong_code_and_a_wrong_hash_are_unknown(client, report):
    changed = SimpleUploadedFile("report.pdf", file_of(report) + b" ")
    assert ask(client, code=report.code, file=changed)[0] == "unknown"
    assert ask(client, code=new_code(), sha256=report.sha256)[0] == "unknown"
    assert ask(client, code=report.code, sha256=hashlib.sha256(b"").hexdigest())[0] == "unknown"


def test_a_report_without_a_file_is_unknown(client, signed, patient):
    with scopes_disabled():
        study = signed(patient)
        code = study.reports.get().code
    assert ask(client, code=code, sha256="0" * 64)[0] == "unknown"


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({}, "This field is required"),
        ({"code": "7KQ4-M2XP-9RTD"}, "Choose the PDF file, or enter its SHA-256."),
        ({"code": "7KQ4-M2XP-9RTD", "sha256": "12"}, "A SHA-256 has 64 characters"),
        ({"code": "x" * 41, "sha256": "0" * 64}, "at most 40 characters"),
    ],
)
def test_what_cannot_be_checked_is_said_in_words(client, db, fields, sentence):
    response = client.post("/verify/", fields)
    assert response.status_code == 422
    assert sentence in response.content.decode()


def test_a_file_larger_than_any_report_is_refused(client, db):
    large = SimpleUploadedFile("large.pdf", bytes(20_000_001))
    response = client.post("/verify/", {"code": "7KQ4-M2XP-9RTD", "file": large})
    assert "larger than any report" in response.content.decode()


def test_an_empty_file_is_unknown(client, db):
    empty = SimpleUploadedFile("empty.pdf", b"")
    assert ask(client, code="7KQ4-M2XP-9RTD", file=empty)[0] == "unknown"


def test_the_link_on_the_report_fills_in_its_code(client, db):
    assert 'value="7KQ4-M2XP-9RTD"' in client.get("/verify/?code=7KQ4-M2XP-9RTD").content.decode()


def test_nobody_can_guess_without_end(client, db, settings):
    settings.ACCOUNT_RATE_LIMITS = {"verify_report": "3/m/ip"}
    cache.clear()
    fields = {"code": "7KQ4-M2XP-9RTD", "sha256": "0" * 64}
    assert [client.post("/verify/", fields).status_code for _ in range(4)] == [200, 200, 200, 429]
    cache.clear()


def test_codes_are_of_letters_that_nobody_misreads():
    codes = {new_code() for _ in range(200)}
    assert len(codes) == 200
    assert set("".join(codes)) <= set(CODE_ALPHABET) | {"-"}
    assert not set("01OILU") & set(CODE_ALPHABET)
    assert {normal_code(code.lower().replace("-", " ")) for code in codes} == codes
