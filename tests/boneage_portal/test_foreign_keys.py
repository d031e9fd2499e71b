"""Keys of another hospital where somebody would put them: query, form, JSON, header. In paths the sweep tries them."""

import json

import pytest
from django.test import Client
from django.urls import reverse

from tests.boneage_portal.test_routes import PEOPLE, ROUTES, as_stored, path_to
from tests.factories import GuardianshipFactory, InvitationFactory, MeasurementFactory, PatientFactory, ReportFactory

CHANGING = [name for name, route in ROUTES.items() if set(route.post) & {200, 302, 404, 422}]
FIELDS = (
    *("hospital", "hospital_id", "patient", "patient_id", "study", "study_id", "pk", "id", "membership", "user"),
    *("report", "review", "analysis", "measurement", "guardianship", "invitation", "child", "doctor", "submitted_by"),
)


@pytest.fixture
def others(unscoped, other_hospital, bob):
    """One of each row of the other hospital, whose patient has a name that is nowhere else."""
    patient = PatientFactory(hospital=other_hospital, family_name="Zwetschgenbaum", mrn="OTHER-77")
    report = ReportFactory(study__patient=patient, review__doctor=bob, state="ready", released_at="2026-01-01T00:00Z")
    return {
        **{"hospital": other_hospital, "patient": patient, "study": report.study, "report": report},
        **{"review": report.review, "analysis": report.study.analysis, "membership": bob.memberships.get()},
        "measurement": MeasurementFactory(patient=patient, entered_by=bob),
        "guardianship": GuardianshipFactory(patient=patient),
        "invitation": InvitationFactory(hospital=other_hospital),
        "user": bob,
    }


@pytest.fixture
def allowed(request, as_user):
    """The client of the first of PEOPLE who may use a route, and the path to the row of their own hospital."""

    def find(name, method):
        route = ROUTES[name]
        row = request.getfixturevalue(route.of or "hospital")
        answers = zip(PEOPLE, getattr(route, method), strict=True)
        person = next(person for person, answer in answers if answer in (200, 302, 404, 422))
        return as_user(None if person == "anonymous" else request.getfixturevalue(person)), path_to(name, route.of, row)

    return find


def their_keys(others, field):
    row = others.get(field.removesuffix("_id").replace("child", "patient"), others["patient"])
    return str(others["user"].pk if field in ("doctor", "submitted_by") else row.pk)


@pytest.mark.parametrize("encoding", ["query", "form", "JSON"])
@pytest.mark.parametrize("name", CHANGING)
def test_a_key_of_another_hospital_in_a_form_or_query_leads_nowhere(allowed, others, hospital, name, encoding):
    client, path = allowed(name, "post")
    before = {kind: as_stored(row) for kind, row in others.items()}
    data = {field: their_keys(others, field) for field in FIELDS}
    match encoding:
        case "query":
            response = client.post(path, query_params=data)
        case "form":
            response = client.post(path, data)
        case "JSON":
            response = client.post(path, json.dumps(data), content_type="application/json")
    assert response.status_code < 500
    assert b"Zwetschgenbaum" not in response.getvalue()
    assert {kind: as_stored(row) for kind, row in others.items()} == before


@pytest.mark.parametrize("name", [name for name, route in ROUTES.items() if 200 in route.get])
def test_a_page_shows_nothing_of_another_hospital_whatever_the_query_says(allowed, others, hospital, name):
    client, path = allowed(name, "get")
    query = {field: their_keys(others, field) for field in FIELDS} | {"q": "Zwetschgenbaum"}
    response = client.get(path, query_params=query)
    assert response.status_code < 500
    shown = response.getvalue().replace(b'value="Zwetschgenbaum"', b"").decode(errors="replace")
    assert "OTHER-77" not in shown
    for kind in ("patient", "study", "report"):
        assert f"/{others[kind].pk}/" not in shown


HEADERS = {
    "X-Forwarded-Host": "evil.example",
    "X-Original-URL": "/admin/",
    "X-Rewrite-URL": "/admin/",
    "X-HTTP-Method-Override": "DELETE",
    "X-Forwarded-User": "bob@example.org",
    "Remote-User": "bob@example.org",
    "Authorization": "Basic Ym9iQGV4YW1wbGUub3JnOmJvYg==",
    "Origin": "https://evil.example",
}


@pytest.mark.parametrize("header", HEADERS)
def test_a_header_changes_neither_who_asks_nor_where(as_user, alice, others, patient, header):
    response = as_user(alice).get("/patients/", headers={header: HEADERS[header], "X-Hospital": others["hospital"].pk})
    assert b"Doe" in response.content
    assert b"Zwetschgenbaum" not in response.content
    assert b"evil.example" not in response.content
    assert "Access-Control-Allow-Origin" not in response
    anonymous = as_user(None).get("/patients/", headers={header: HEADERS[header]})
    assert anonymous["Location"] == "/accounts/login/?next=/patients/"


def test_another_host_is_no_portal_at_all(client, db):
    assert client.get("/", headers={"Host": "evil.example"}).status_code == 400


@pytest.mark.parametrize("name", CHANGING)
def test_nothing_is_changed_without_the_token_of_the_form(request, allowed, unscoped, hospital, name):
    client, path = allowed(name, "post")
    row = request.getfixturevalue(ROUTES[name].of or "hospital")
    before = as_stored(row)
    forged = Client(enforce_csrf_checks=True)
    forged.cookies = client.cookies
    assert forged.post(path, {"confirm": "yes"}).status_code == 403
    assert as_stored(row) == before


def test_a_file_of_another_hospital_has_no_address(as_user, alice, others):
    radiograph = others["study"].radiograph.name
    for path in (f"/{radiograph}", f"/private/{radiograph}", f"/media/{radiograph}", f"/static/{radiograph}"):
        assert as_user(alice).get(path).status_code == 404


@pytest.mark.parametrize("name", ["charts:page", "charts:layout", "charts:dependencies"])
def test_the_charts_of_another_hospitals_patient_do_not_exist(as_user, alice, others, patient, name):
    client = as_user(alice)
    assert client.get(reverse(name, args=[others["patient"].pk])).status_code == 404
    # ... nor by the key of one's own patient in the path, and theirs in what is sent along.
    response = client.get(reverse(name, args=[patient.pk]), {"patient": str(others["patient"].pk)})
    assert str(others["patient"].pk) not in response.content.decode()
