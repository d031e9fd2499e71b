"""Whatever is sent: never an error of the portal, never a row of another hospital changed.

The forms are those of the table of routes; their fields are read off the page, so that a new field is fuzzed, too.
"""

import hashlib
import re
import uuid

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection, transaction
from django.urls import reverse
from django_scopes import scopes_disabled
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clinical.accounts import row_security
from tests import factories, radiograph_files
from tests.boneage_portal.test_routes import ACCOUNT_KEYS, ACCOUNT_ROUTES, PEOPLE, ROUTES, path_at, path_to

short = settings(
    max_examples=25 if connection.vendor == "postgresql" else 10,  # SQLite takes much that PostgreSQL refuses
    deadline=None,
    derandomize=True,  # a build that fails today fails tomorrow
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

SENT = [name for name, route in ROUTES.items() if set(route.post) & {200, 302, 422}]
LISTS = {
    "studies:worklist": "alice",
    "studies:export": "alice",
    "patients:list": "alice",
    "accounts:members": "ada",
    "patients:hospital_accesses": "ada",
    "patients:hospital_accesses_csv": "ada",
    "dashboards:board": "ada",
    "notices:list": "alice",
    "reports:verify": "anonymous",
}
PARAMETERS = [
    "page",
    "q",
    "search",
    "sort",
    "order",
    "state",
    "doctor",
    "from",
    "to",
    "since",
    "until",
    "hospital",
    "code",
]
ODD = [
    *(
        "",
        " ",
        "\0",
        "'",
        '"><script>alert(1)</script>',
        "{{ 7*7 }}",
        "%s%n",
        "../../etc/passwd",
        "\N{ROBOT FACE}" * 50,
    ),
    *("-1", "0", "1e309", "NaN", "inf", "٣", "9" * 400, "2024-02-30", "0000-00-00", "9999-12-31", "0001-01-01"),
    *("true", "null", "[]", "\u202e", "\ufeff", "a@b", "x@" + "y" * 300 + ".example", str(uuid.UUID(int=7))),
]


@pytest.fixture
def others(other_hospital, bob):
    """Keys of all that another hospital has; `others.rows()` is a digest of every one of its rows."""
    with scopes_disabled():
        patient = factories.PatientFactory(hospital=other_hospital)
        report = factories.ReportFactory(study__patient=patient, review__doctor=bob)
        rows = [
            *(patient, report, report.study, report.review, report.study.analysis, other_hospital),
            factories.MeasurementFactory(patient=patient, entered_by=bob),
            factories.GuardianshipFactory(patient=patient),
            factories.InvitationFactory(hospital=other_hospital),
            bob.memberships.get(),
        ]
    return [str(row.pk) for row in rows]


def rows_of(hospital):
    """A digest of every row that the hospital has, in whatever table."""
    digest = hashlib.sha256()
    with connection.cursor() as cursor:
        for model in row_security.tables():
            columns = {field.name: field.column for field in model._meta.local_fields}
            if "hospital" in columns and model._meta.label != "audit.AccessEvent":
                table, key = model._meta.db_table, model._meta.pk.column
                cursor.execute(
                    f'SELECT * FROM "{table}" WHERE "{columns["hospital"]}" = %s ORDER BY "{key}"', [hospital]
                )
                digest.update(repr((table, cursor.fetchall())).encode())
    return digest.hexdigest()


def values(others):
    odd = st.sampled_from(ODD + others)
    return st.one_of(odd, st.text(max_size=30), st.integers().map(str), st.floats().map(str), st.dates().map(str))


def read(response):
    """Status and content; a stream is read while the rows that it is made of are there."""
    return response.status_code, response.getvalue()


def fields_of(page):
    return sorted(set(re.findall(rb'<(?:input|select|textarea)\b[^>]*?\bname="([^"]+)"', page)))


@pytest.fixture
def undone(db):
    """Calls something and takes back what it did to the database."""

    def call(function):
        savepoint = transaction.savepoint()
        try:
            return function()
        finally:
            transaction.savepoint_rollback(savepoint)

    return call


@pytest.mark.parametrize("name", SENT)
def test_whatever_is_sent_to_a_form(request, unscoped, as_user, hospital, other_hospital, others, undone, name):
    route = ROUTES[name]
    allowed = next(person for person, answer in zip(PEOPLE, route.post, strict=True) if answer in (200, 302, 422))
    row = request.getfixturevalue(route.of or "hospital")
    client = as_user(None if allowed == "anonymous" else request.getfixturevalue(allowed))
    path = path_to(name, route.of, row)
    page = undone(lambda: client.get(path, follow=True))
    names = [field.decode() for field in fields_of(page.getvalue())] or ["next", "hospital", "membership", "pk"]
    before = rows_of(other_hospital.pk)

    @short
    @given(st.dictionaries(st.sampled_from([*names, "hospital", "patient", "id"]), values(others), max_size=12))
    def send(data):
        session = dict(client.session)
        response, after = undone(lambda: (client.post(path, data), rows_of(other_hospital.pk)))
        assert response.status_code < 500
        assert after == before
        if dict(client.session) != session:
            client.force_login(request.getfixturevalue(allowed)) if allowed != "anonymous" else client.logout()

    send()


@pytest.mark.parametrize("name", LISTS)
def test_whatever_is_asked_of_a_list(request, unscoped, as_user, hospital, others, undone, name):
    person = LISTS[name]
    client = as_user(None if person == "anonymous" else request.getfixturevalue(person))
    path = path_at(name, "", None)
    names = {field.decode() for field in fields_of(client.get(path).getvalue())} | set(PARAMETERS)

    @short
    @given(st.dictionaries(st.sampled_from(sorted(names)), values(others), max_size=6))
    def ask(query):
        status, content = undone(lambda: read(client.get(path, query, follow=True)))
        assert status < 500
        shown = content.decode(errors="replace")
        typed = " ".join(query.values())
        for key in others:
            assert len(key) < 30 or key in typed or key not in shown

    ask()


@pytest.mark.parametrize("name", [name for name in ACCOUNT_ROUTES if name not in ("account_logout",)])
@pytest.mark.parametrize("person", ["alice", "anonymous"])
def test_whatever_is_sent_to_the_pages_of_the_account(request, as_user, hospital, others, undone, name, person):
    user = None if person == "anonymous" else request.getfixturevalue(person)
    client = as_user(user)
    path = reverse(name, kwargs=ACCOUNT_KEYS.get(name, {}))
    page = undone(lambda: client.get(path, follow=True))
    names = [field.decode() for field in fields_of(page.getvalue())] or ["next"]

    @settings(short, max_examples=8)
    @given(st.dictionaries(st.sampled_from(names), values(others), max_size=6))
    def send(data):
        assert undone(lambda: client.post(path, data)).status_code < 500

    send()


FILES = {name: getattr(radiograph_files, name)() for name in ("png", "jpeg", "tiff", "webp", "dicom")}


@st.composite
def broken_files(draw):
    """A radiograph with some bytes changed, cut off or put in; or bytes that are none."""
    content = bytearray(FILES[draw(st.sampled_from(sorted(FILES)))])
    for _ in range(draw(st.integers(0, 6))):
        at = draw(st.integers(0, len(content) - 1))
        content[at : at + draw(st.integers(0, 8))] = draw(st.binary(max_size=8))
    content = bytes(content[: draw(st.integers(1, len(content)))]) if draw(st.booleans()) else bytes(content)
    return draw(st.sampled_from([content, draw(st.binary(min_size=1, max_size=200))]))


@pytest.mark.parametrize("where", ["studies:upload", "studies:bulk_upload", "reports:verify"])
def test_whatever_is_uploaded(request, unscoped, as_user, alice, patient, other_hospital, others, undone, where):
    client = as_user(alice)
    path = reverse(where, args=[patient.pk] if where == "studies:upload" else [])
    before = rows_of(other_hospital.pk)
    names = st.one_of(
        st.sampled_from(["../../x.png", "x.dcm", "a" * 300, ".", "x.html"]), st.text(min_size=1, max_size=20)
    )

    @short
    @given(broken_files(), names, values(others))
    def send(content, filename, submission):
        file = SimpleUploadedFile("radiograph", content)
        file._name = filename
        field = "file" if where == "reports:verify" else "files"
        data = {"submission": submission, "patient": others[0], "code": submission, field: file}
        response, after = undone(lambda: (client.post(path, data), rows_of(other_hospital.pk)))
        assert response.status_code < 500
        assert after == before

    send()
