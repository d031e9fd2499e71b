"""Which program gets what: every route of the API, every kind of access token, against what belongs to the hospital.

A route without a row fails here, as in `test_routes`.
"""

import uuid

import pytest
from django.db import transaction
from django.urls import reverse

from clinical.accounts.models import Membership
from clinical.audit.models import AccessEvent
from tests.boneage_portal.test_routes import as_stored, names_of

# Of a doctor, a technician, a technician's that may only read, a member who is an administrator since, a doctor of
# another hospital; nobody's, and a browser in which a doctor is signed in.
PROGRAMS = ("doctor", "technician", "reader", "administrator", "other", "nobody", "browser")
# fmt: off
READ      = (200, 200, 200, 403, 200, 401, 401)
READ_OWN  = (200, 200, 200, 403, 404, 401, 401)
WRITE     = (400, 400, 403, 403, 400, 401, 401)
UPLOAD    = (415, 415, 403, 403, 415, 401, 401)
WRITE_OWN = (200, 200, 403, 403, 404, 401, 401)
ASK_OWN   = (400, 400, 403, 403, 404, 401, 401)
NOWHERE   = (404, 404, 404, 403, 404, 401, 401)
# fmt: on

# method and route -> (answers to an empty request, the fixture whose key is in the path)
ROUTES = {
    ("get", "api:patients-list"): (READ, ""),
    ("post", "api:patients-list"): (WRITE, ""),
    ("get", "api:patients-detail"): (READ_OWN, "patient"),
    ("patch", "api:patients-detail"): (WRITE_OWN, "patient"),
    ("get", "api:patients-measurements"): (READ_OWN, "patient"),
    ("post", "api:patients-measurements"): (ASK_OWN, "patient"),
    ("get", "api:studies-list"): (READ, ""),
    ("post", "api:studies-list"): (UPLOAD, ""),
    ("get", "api:studies-detail"): (READ_OWN, "study"),
    ("patch", "api:studies-detail"): (ASK_OWN, "study"),
    ("put", "api:studies-urgency"): (ASK_OWN, "study"),
    ("post", "api:studies-cancel"): (WRITE_OWN, "study"),
    ("post", "api:studies-retry"): (tuple(409 if answer == 200 else answer for answer in WRITE_OWN), "study"),
    ("get", "api:studies-radiograph"): (READ_OWN, "study"),
    ("get", "api:studies-heat-map"): (READ_OWN, "study"),
    ("get", "api:studies-fhir"): (READ_OWN, "study"),
    ("get", "api:reports-list"): (READ, ""),
    ("get", "api:reports-detail"): (READ_OWN, "report"),
    ("get", "api:reports-pdf"): (READ_OWN, "report"),
    ("get", "api:reports-structured-report"): (READ_OWN, "report"),
    ("get", "api:reports-encapsulated-pdf"): (READ_OWN, "report"),
    ("get", "api:no_such_address"): (NOWHERE, "rest"),
}
PAGES = {"api:reference", "api:description"}  # in `test_routes`


@pytest.fixture
def sent(request, program, as_user, hospital):
    """Send a request as one of PROGRAMS; returns the response, a file read to its end."""

    def client(kind):
        if kind in ("nobody", "browser"):
            return as_user(request.getfixturevalue("alice") if kind == "browser" else None)
        member = {"doctor": "alice", "other": "bob"}.get(kind, "tess")
        caller = program(request.getfixturevalue(member), right="read" if kind == "reader" else "write")
        if kind == "administrator":
            Membership.objects.filter(user=request.getfixturevalue(member)).update(role="hospital_admin")
        return caller

    def send(kind, method, path):
        response = getattr(client(kind), method)(path, content_type="application/json")
        if response.streaming:
            response.getvalue()
        return response

    return send


def path_to(name, of, key):
    return reverse(name, kwargs={"pk" if of != "rest" else "rest": key} if of else {})


@pytest.mark.usefixtures("unscoped")
@pytest.mark.parametrize("kind", PROGRAMS)
@pytest.mark.parametrize(("method", "name"), ROUTES)
def test_every_program_gets_the_answer_in_the_table(request, sent, patient, method, name, kind):
    answers, of = ROUTES[method, name]
    row = request.getfixturevalue(of) if of and of != "rest" else patient
    before = as_stored(row)
    expected = answers[PROGRAMS.index(kind)]

    response = sent(kind, method, path_to(name, of, row.pk))

    assert (response.status_code, response.headers["Cache-Control"]) == (expected, "no-store")
    if expected >= 400:
        assert response.json()["detail"]
        assert as_stored(row) == before
        assert b"Doe" not in response.content
    else:
        assert AccessEvent.objects.latest("pk").detail.endswith("by PACS gateway")
    assert response.headers.get("WWW-Authenticate") == ("Bearer" if expected == 401 else None)


@pytest.mark.servers
@pytest.mark.parametrize(("method", "name"), ROUTES)
def test_it_is_the_same_answer_behind_row_level_security(request, unscoped, sent, patient, method, name):
    answers, of = ROUTES[method, name]
    row = request.getfixturevalue(of) if of and of != "rest" else patient
    for person in ("alice", "tess", "bob", "web_role"):
        request.getfixturevalue(person)
    for kind, expected in zip(PROGRAMS, answers, strict=True):
        before = transaction.savepoint()
        assert (kind, sent(kind, method, path_to(name, of, row.pk)).status_code) == (kind, expected)
        transaction.savepoint_rollback(before)


@pytest.mark.parametrize(("method", "name"), [key for key, (_, of) in ROUTES.items() if of and of != "rest"])
def test_a_guessed_key_is_not_found(sent, method, name):
    _, of = ROUTES[method, name]
    response = sent("doctor", method, path_to(name, of, uuid.UUID(int=7)))
    assert response.status_code == 404
    assert response.headers["Content-Type"] == "application/json"


@pytest.mark.parametrize("name", sorted({name for _, name in ROUTES}))
def test_what_a_route_does_not_take_changes_nothing(request, unscoped, sent, patient, name):
    of = next(of for (_, route), (_, of) in ROUTES.items() if route == name)
    row = request.getfixturevalue(of) if of and of != "rest" else patient
    for method in {"get", "post", "put", "patch", "delete"} - {method for method, route in ROUTES if route == name}:
        before = as_stored(row)
        assert sent("doctor", method, path_to(name, of, row.pk)).status_code == (404 if of == "rest" else 405)
        assert as_stored(row) == before


def test_every_route_has_a_row_and_every_row_a_route():
    from boneage_portal import api

    names = {f"api:{name}" for name in names_of(api.urlpatterns)}
    assert names == {name for _, name in ROUTES} | PAGES
