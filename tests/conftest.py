import os

import pytest
from django_scopes import scopes_disabled

from tests import factories


@pytest.fixture
def unscoped():
    """Let a test look at rows without being a request or a task."""
    with scopes_disabled():
        yield


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
def charlie(db):
    """Somebody who can sign in and belongs nowhere."""
    return factories.UserFactory(name="Charlie", email="charlie@example.org")


@pytest.fixture
def patient(hospital):
    return factories.PatientFactory(hospital=hospital, family_name="Doe", given_name="Jane", mrn="A-1")


@pytest.fixture
def mother(patient):
    """The mother of the patient: family, no member."""
    user = factories.UserFactory(name="Mother Doe", email="mother@example.org")
    factories.GuardianshipFactory(user=user, patient=patient)
    return user


@pytest.fixture
def as_user(client):
    """Sign the test client in: `as_user(alice).get(...)`; `as_user(None)` is the anonymous one."""

    def sign_in(user):
        client.logout()
        if user is not None:
            client.force_login(user, backend="allauth.account.auth_backends.AuthenticationBackend")
        return client

    return sign_in


@pytest.fixture(autouse=True)
def private_files(settings, tmp_path):
    """Each test has a private storage of its own."""
    private = settings.STORAGES["private"]
    options = {**private["OPTIONS"], "location": str(tmp_path / "private")}
    settings.STORAGES = {**settings.STORAGES, "private": {**private, "OPTIONS": options}}


def pytest_collection_modifyitems(items):
    missing = [name for name in ("DATABASE_URL", "BROKER_URL") if name not in os.environ]
    if missing:
        for item in items:
            if item.get_closest_marker("servers"):
                item.add_marker(pytest.mark.skip(reason=f"needs servers: set {' and '.join(missing)}"))
