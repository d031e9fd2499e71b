import gc
import io
import os
import time
from datetime import date

import pytest
from allauth.mfa.totp.internal import auth
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django_scopes import scopes_disabled
from django_scopes.state import state as scope_of_the_context

from clinical.accounts import access_tokens
from clinical.audit import immutable
from tests import factories

# Keras, Plotly and Django keep millions of objects for good: to look through them every 700 new ones took a tenth of
# the time of the tests.
gc.set_threshold(100_000, 20, 50)


@pytest.fixture(scope="session", autouse=True)
def audit_lets_tests_empty_tables():
    """After a test with transactions Django empties all tables; on SQLite row by row, which the audit refuses."""
    if connection.vendor == "sqlite":
        emptying = connection.ops.execute_sql_flush

        def without_triggers(statements):
            emptying([*immutable.dropped("sqlite"), *statements])  # Django's own signal brings them back

        connection.ops.execute_sql_flush = without_triggers


@pytest.fixture(autouse=True)
def one_time_codes_last(monkeypatch):
    """For the whole test: the half minute of a code may end between its making and its use."""
    periods = list(auth.yield_hotp_counters_from_time())
    monkeypatch.setattr(auth, "yield_hotp_counters_from_time", lambda: iter(periods))


@pytest.fixture(scope="session")
def empty_tables(django_db_setup, django_db_blocker, tmp_path_factory):
    """The migrated test database as a file of SQLite, for portals of their own to copy.

    None where it is PostgreSQL's, or is not there because no test of this run asks for one.
    """
    path = tmp_path_factory.mktemp("tables") / "boneage.sqlite3"
    with django_db_blocker.unblock(), connection.cursor() as cursor:
        if connection.vendor != "sqlite" or not connection.introspection.table_names(cursor):
            return None
        cursor.execute("VACUUM INTO %s", [str(path)])
    return path


@pytest.fixture
def unscoped():
    """Let a test look at rows without being a request or a task."""
    with scopes_disabled():
        yield


@pytest.fixture
def web_role_made(db, monkeypatch):
    """A role that PostgreSQL's policies bind, gone after the test; returns its name."""
    role = f"web_of_{connection.settings_dict['NAME']}"  # roles are shared by the databases of a server
    monkeypatch.setenv("POSTGRES_WEB_PASSWORD", "only-for-this-test")
    connection.check_constraints()  # those of the rows made so far: a table with open ones cannot be altered
    call_command("row_security", "on", role=role, stdout=io.StringIO())
    return role


@pytest.fixture
def web_role(web_role_made):
    """From here on the test is that role, as the portal is with ROW_SECURITY=on."""
    with connection.cursor() as cursor:
        cursor.execute(f'SET LOCAL ROLE "{web_role_made}"')
    with connection.execute_wrapper(connection.tell_scope):
        yield
    connection.told = None


@pytest.fixture
def hospital(db):
    return factories.HospitalFactory(name="St. Anna Children's Hospital")


@pytest.fixture
def other_hospital(db):
    return factories.HospitalFactory(name="Northern General")


@pytest.fixture
def alice(hospital):
    """A doctor of the hospital."""
    user = factories.UserFactory(name="Alice", email="alice@example.org")
    factories.MembershipFactory(user=user, hospital=hospital, role="doctor")
    return user


@pytest.fixture
def tess(hospital):
    """A technician of the hospital."""
    user = factories.UserFactory(name="Tess", email="tess@example.org")
    factories.MembershipFactory(user=user, hospital=hospital, role="technician")
    return user


@pytest.fixture
def ada(hospital):
    """The hospital's administrator."""
    user = factories.UserFactory(name="Ada", email="ada@example.org")
    factories.MembershipFactory(user=user, hospital=hospital, role="hospital_admin")
    return user


@pytest.fixture
def bob(other_hospital):
    """A doctor of the other hospital."""
    user = factories.UserFactory(name="Bob", email="bob@example.org")
    factories.MembershipFactory(user=user, hospital=other_hospital, role="doctor")
    return user


@pytest.fixture
def root(db):
    """Of the platform's staff, with every right."""
    return factories.UserFactory(name="Root", email="root@example.org", is_staff=True, is_superuser=True)


@pytest.fixture
def charlie(db):
    """Somebody who can sign in and belongs nowhere."""
    return factories.UserFactory(name="Charlie", email="charlie@example.org")


@pytest.fixture
def patient(hospital):
    return factories.PatientFactory(hospital=hospital, family_name="Doe", given_name="Jane", mrn="A-1")


@pytest.fixture
def preterm(hospital):
    """A girl born at 30+0 weeks, of 23.0 months, corrected 20.7, on the day of the factories' studies."""
    fields = {"date_of_birth": date(2022, 6, 1), "gestational_age": "30+0"}
    return factories.PatientFactory(hospital=hospital, family_name="Roe", given_name="Joan", mrn="P-1", **fields)


@pytest.fixture
def mother(patient):
    """The mother of the patient: family, no member."""
    user = factories.UserFactory(name="Mother Doe", email="mother@example.org")
    factories.GuardianshipFactory(user=user, patient=patient)
    return user


class Visitor(Client):
    """As a server does, it handles a request in no scope, whichever the test is in."""

    def request(self, **request):
        token = scope_of_the_context.set(None)
        try:
            return super().request(**request)
        finally:
            scope_of_the_context.reset(token)


@pytest.fixture
def client():
    return Visitor()


@pytest.fixture
def as_user(client):
    """Sign the test client in: `as_user(alice).get(...)`; `as_user(None)` is the anonymous one.

    They have just been asked who they are, so that they may sign and change roles.
    """

    def sign_in(user):
        client.logout()
        if user is not None:
            client.force_login(user, backend="allauth.account.auth_backends.AuthenticationBackend")
            session = client.session
            confirmed = {"method": "password", "at": time.time(), "reauthenticated": True}
            session["account_authentication_methods"] = [confirmed]
            session["account_authentication_methods_user"] = str(user.pk)
            session.save()
        return client

    return sign_in


@pytest.fixture
def program(db):
    """A program with an access token of a member: `program(alice).get("/api/v1/studies/")`."""

    def of(member, right="write", **options):
        _, secret = access_tokens.make(member.memberships.get(), "PACS gateway", right, options.get("days", 30))
        return Visitor(headers={"Authorization": f"Bearer {secret}"})

    return of


@pytest.fixture(autouse=True)
def private_files(settings, tmp_path):
    """Each test has a private storage of its own."""
    private = settings.STORAGES["private"]
    options = {**private["OPTIONS"], "location": str(tmp_path / "private")}
    settings.STORAGES = {**settings.STORAGES, "private": {**private, "OPTIONS": options}}


@pytest.hookimpl(tryfirst=True)  # before -m selects
def pytest_collection_modifyitems(items):
    for item in items:
        if item.get_closest_marker("django_db") or {"db", "transactional_db"} & set(item.fixturenames):
            item.add_marker("database")
    missing = [name for name in ("DATABASE_URL", "BROKER_URL") if name not in os.environ]
    if missing:
        for item in items:
            if item.get_closest_marker("servers"):
                item.add_marker(pytest.mark.skip(reason=f"needs servers: set {' and '.join(missing)}"))
