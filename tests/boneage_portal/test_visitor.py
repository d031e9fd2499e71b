"""The visitor who checks a running portal signs in as that portal asks."""

import pytest
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import TOTP, generate_totp_secret
from django.core.management import CommandError, call_command

from boneage_portal.visitor import Unexpected, Visitor
from clinical.accounts import second_factor
from tests import radiograph_files
from tests.factories import PASSWORD, MembershipFactory
from tests.one_time_codes import code_of


@pytest.fixture
def visitor(live_server, alice):
    visitor = Visitor(live_server.url)
    yield visitor
    visitor.session.close()


def test_with_a_password_where_that_is_enough(visitor, alice):
    visitor.sign_in(alice.email, PASSWORD)
    assert visitor.create_patient("F").startswith("/patients/")


def test_who_works_in_several_hospitals_creates_and_uploads_too(visitor, alice, other_hospital):
    MembershipFactory(user=alice, hospital=other_hospital)
    visitor.sign_in(alice.email, PASSWORD)
    patient = visitor.create_patient("F")
    form = visitor.open_upload(patient)
    assert visitor.upload(patient, form, radiograph_files.png()).startswith("/studies/")


def test_a_portal_is_checked_as_often_as_one_likes(visitor, alice):
    visitor.sign_in(alice.email, PASSWORD)
    first, second = visitor.create_patient("F"), visitor.create_patient("F")
    assert first != second


def test_a_portal_is_checked_with_one_image_as_often_as_one_likes(visitor, alice):
    visitor.sign_in(alice.email, PASSWORD)
    patients = [visitor.create_patient("F") for _ in range(3)]
    image = radiograph_files.png()
    studies = {visitor.upload(patient, visitor.open_upload(patient), image) for patient in patients}
    assert len(studies) == 3


def test_with_a_code_where_there_is_a_second_factor(visitor, alice, settings):
    settings.REQUIRE_MFA = True
    key = generate_totp_secret()
    TOTP.activate(alice, key)
    RecoveryCodes.activate(alice)
    second_factor.acknowledge_recovery_codes(alice)
    with pytest.raises(Unexpected, match="did not accept the code"):
        visitor.sign_in(alice.email, PASSWORD)
    visitor.sign_in(alice.email, PASSWORD, code_of(key))
    assert visitor.create_patient("F").startswith("/patients/")


def test_who_has_yet_to_set_it_up_is_told(visitor, alice, settings):
    settings.REQUIRE_MFA = True
    with pytest.raises(Unexpected, match="has no second factor yet"):
        visitor.sign_in(alice.email, PASSWORD)


def test_a_wrong_password_is_told(visitor, alice):
    with pytest.raises(Unexpected, match="did not accept the e-mail and password"):
        visitor.sign_in(alice.email, "wrong")


def test_a_key_that_is_none_is_told(live_server, alice, monkeypatch):
    monkeypatch.setenv("SMOKE_PASSWORD", PASSWORD)
    monkeypatch.setenv("SMOKE_TOTP_KEY", "0189")
    with pytest.raises(CommandError, match="Step 'read SMOKE_TOTP_KEY' failed: it is no key of an authenticator app"):
        call_command("smoke", url=live_server.url, email=alice.email)
