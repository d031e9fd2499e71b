"""What every kind of answer tells the browser: pages, files, JSON, errors, styles, the administration."""

from datetime import datetime, timedelta

import pytest
from csp.constants import NONE, SELF
from django.conf import settings as portal
from django.core.files.base import ContentFile
from django.core.files.storage import storages
from django.urls import reverse
from django.utils import timezone

from tests import radiograph_files
from tests.factories import ReportFactory, StudyFactory

COMMON = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
SANDBOX = "default-src 'none'; frame-ancestors 'none'; sandbox"


@pytest.fixture
def study(unscoped, patient):
    return StudyFactory(patient=patient, state="analysed", radiograph__file=radiograph_files.png())


@pytest.fixture
def report(unscoped, study, alice):
    pdf = storages["private"].save("reports/of-a-test.pdf", ContentFile(b"%PDF-"))
    return ReportFactory(study=study, review__doctor=alice, state="ready", pdf=pdf)


def policy(response):
    """{directive: sources} of the Content-Security-Policy."""
    directives = (directive.strip().split(" ", 1) for directive in response["Content-Security-Policy"].split(";"))
    return {name: "".join(sources) for name, *sources in directives}


ANSWERS = {
    "a page": ("alice", "/patients/", 200),
    "a form": ("alice", "/patients/new/", 200),
    "a child's page": ("alice", "patients:detail", 200),
    "the sign-in": ("anonymous", "/accounts/login/", 200),
    "a redirect": ("anonymous", "/patients/", 302),
    "a refusal": ("ada", "/patients/", 403),
    "nothing there": ("alice", "/nowhere/", 404),
    "JSON": ("alice", "studies:status", 200),
    "a picture": ("alice", "studies:image", 200),
    "an uploaded file": ("alice", "studies:original", 200),
    "a PDF": ("alice", "reports:pdf", 200),
    "a table": ("alice", "/studies/export/", 200),
    "the administration": ("root", "/admin/", 200),
    "its sign-in": ("anonymous", "/admin/login/", 302),
    "the check of health": ("anonymous", "/healthz/", 200),
    "security.txt": ("anonymous", "/.well-known/security.txt", 200),
    "a style": ("anonymous", "/static/portal/base.css", 200),
    "the icon": ("anonymous", "/favicon.ico", 200),
}
OWN = {"patients:detail": "patient", "studies:status": "study", "studies:image": "study", "studies:original": "study"}
OWN |= {"reports:pdf": "report"}


@pytest.fixture
def answer(request, as_user, patient, study, report):
    def get(person, where, status, **headers):
        user = None if person == "anonymous" else request.getfixturevalue(person)
        path = where if where.startswith("/") else reverse(where, args=[request.getfixturevalue(OWN[where]).pk])
        response = as_user(user).get(path, headers=headers)
        assert response.status_code == status
        if response.streaming:
            response.getvalue()
        return response

    return get


@pytest.mark.parametrize("kind", ANSWERS)
def test_every_answer_carries_the_headers(answer, kind):
    response = answer(*ANSWERS[kind])
    assert {name: response.get(name) for name in COMMON} == COMMON
    assert "camera=()" in response["Permissions-Policy"]
    assert "bluetooth" not in response["Permissions-Policy"]  # unknown to Chromium, which says so on every page
    assert "publickey-credentials" not in response["Permissions-Policy"]  # passkeys need it
    assert "Access-Control-Allow-Origin" not in response


STATIC = ("a style", "the icon")
PAGES = [kind for kind, (_, where, _) in ANSWERS.items() if "/" in where and kind not in (*STATIC, "a table")]


@pytest.mark.parametrize("kind", [kind for kind in ANSWERS if kind not in STATIC])
def test_a_shared_workstation_keeps_nothing_and_no_other_site_frames_anything(answer, kind):
    response = answer(*ANSWERS[kind])
    assert "no-store" in response["Cache-Control"]
    assert policy(response)["frame-ancestors"] == NONE
    assert response["X-Frame-Options"] == "DENY"


def test_a_style_is_kept_by_the_browser(answer):
    assert "max-age" in answer(*ANSWERS["a style"])["Cache-Control"]


@pytest.mark.parametrize("kind", PAGES)
def test_a_page_runs_only_the_portals_own_scripts(answer, kind):
    rules = policy(answer(*ANSWERS[kind]))
    assert rules["default-src"] == SELF
    assert "unsafe" not in rules.get("script-src", "")
    assert (rules["object-src"], rules["base-uri"], rules["form-action"]) == (NONE, NONE, SELF)


@pytest.mark.parametrize(
    ("kind", "isolated"),
    [
        *[("a picture", SANDBOX), ("an uploaded file", SANDBOX), ("a table", SANDBOX)],
        ("a PDF", SANDBOX.removesuffix("; sandbox")),
    ],
)
def test_a_file_is_nobodys_page(answer, kind, isolated):
    assert answer(*ANSWERS[kind])["Content-Security-Policy"] == isolated


def test_an_uploaded_file_is_saved_and_never_opened(answer):
    response = answer(*ANSWERS["an uploaded file"])
    assert response["Content-Type"] == "application/octet-stream"
    assert response["Content-Disposition"].startswith("attachment")


def test_an_error_of_the_portal_carries_the_headers(as_user, alice, patient, monkeypatch):
    def broken(self):
        raise ZeroDivisionError("patient Doe")

    monkeypatch.setattr("clinical.patients.models.Patient.age", property(broken))
    client = as_user(alice)
    client.raise_request_exception = False
    response = client.get(reverse("patients:detail", args=[patient.pk]))
    assert response.status_code == 500
    assert {name: response.get(name) for name in COMMON} == COMMON
    assert policy(response)["default-src"] == SELF
    assert b"Doe" not in response.content


def test_private_files_are_under_no_address_of_the_web_server(client, study):
    for prefix in ("", "/static", "/media", "/private", "/static/root/..", "/static/..%2f.."):
        assert client.get(f"{prefix}/{study.radiograph.name}").status_code == 404


def test_every_private_location_of_the_proxy_is_internal():
    text = (portal.BASE_DIR / "deploy" / "nginx.conf").read_text()
    block = text.split("location /private/ {")[1].split("}")[0]
    assert "internal;" in block
    for header in ("X-Content-Type-Options nosniff", "Cross-Origin-Resource-Policy same-origin", "Strict-Transport"):
        assert f"add_header {header}" in block
    assert "add_header Content-Security-Policy $upstream_http_content_security_policy always;" in block


def test_the_icon_and_the_word_to_search_engines_have_their_customary_addresses(client):
    assert client.get("/favicon.ico").getvalue().startswith(b"\0\0\1\0")
    assert client.get("/robots.txt").getvalue() == b"User-agent: *\nDisallow: /\n"


def test_security_txt_says_whom_to_write_to_and_is_never_out_of_date(client, db):
    response = client.get("/.well-known/security.txt")
    fields = dict(line.split(": ", 1) for line in response.content.decode().splitlines())
    assert response["Content-Type"] == "text/plain; charset=utf-8"
    assert fields["Contact"] == "mailto:security@hospital.example"
    assert fields["Canonical"] == f"{portal.PORTAL_URL}/.well-known/security.txt"
    left = datetime.fromisoformat(fields["Expires"]) - timezone.now()
    assert timedelta(days=100) < left < timedelta(days=365)


def test_an_installation_that_names_nobody_has_no_security_txt(client, db, settings):
    settings.SECURITY_CONTACT = ""
    assert client.get("/.well-known/security.txt").status_code == 404


def test_the_proxy_speaks_no_old_tls():
    text = (portal.BASE_DIR / "deploy" / "nginx.conf").read_text()
    assert [line.strip() for line in text.splitlines() if "ssl_protocols" in line] == ["ssl_protocols TLSv1.2 TLSv1.3;"]


def test_what_a_page_was_to_say_is_gone_with_the_session(as_user, alice, patient):
    """It may name a child; the next to use the browser is somebody else."""
    client = as_user(alice)
    client.post(reverse("patients:archive", args=[patient.pk]))  # and the page after it is never opened
    client.post(reverse("account_logout"))
    assert str(patient).encode() not in client.get(reverse("account_login")).content
    assert "messages" not in client.cookies
