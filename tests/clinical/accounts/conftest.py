import time

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal import auth
from allauth.mfa.totp.internal.auth import TOTP, generate_totp_secret

from clinical.accounts import second_factor
from tests.factories import PASSWORD
from tests.one_time_codes import code_of, of_the_clock


@pytest.fixture
def sign_in(client):
    """Through the sign-in page, unlike `as_user`; returns the answer."""
    return lambda user, password=PASSWORD: client.post("/accounts/login/", {"login": user.email, "password": password})


@pytest.fixture
def authenticator_app():
    """`authenticator_app(user)` gives them one, with recovery codes; returns what shows the code of now."""

    def give(user, acknowledged=True):
        key = generate_totp_secret()
        TOTP.activate(user, key)
        RecoveryCodes.activate(user)
        if acknowledged:
            second_factor.acknowledge_recovery_codes(user)
        return lambda: code_of(key)

    return give


def is_signed_in(client):
    return "_auth_user_id" in client.session


def recovery_codes_of(user):
    return Authenticator.objects.get(user=user, type="recovery_codes").wrap().get_unused_codes()


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands, for `time.time` and for codes; `clock(minutes=5)` lets so much time pass."""
    monkeypatch.setattr(auth, "yield_hotp_counters_from_time", of_the_clock)
    began, passed = time.time(), [0.0]
    monkeypatch.setattr(time, "time", lambda: began + passed[0])

    def pass_by(minutes):
        passed[0] += 60 * minutes

    return pass_by
