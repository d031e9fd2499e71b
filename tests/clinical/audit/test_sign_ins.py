"""Sign-ins, failed ones and sign-outs are on record, in the hospitals of the person; what was typed is not."""

import pytest
from allauth.mfa import signals
from allauth.mfa.models import Authenticator
from django.contrib.sessions.backends.db import SessionStore

from clinical.audit.models import AccessEvent
from tests.factories import PASSWORD, MembershipFactory

pytestmark = pytest.mark.usefixtures("unscoped")


def events():
    return list(
        AccessEvent.objects.order_by("pk").values_list("verb", "actor_name", "object_key", "hospital", "address")
    )


def sign_in(client, password=PASSWORD, email="alice@example.org"):
    return client.post("/accounts/login/", {"login": email, "password": password})


def test_a_sign_in_and_a_sign_out(client, alice, hospital):
    assert sign_in(client)["Location"] == "/"
    client.post("/accounts/logout/")
    about = ("Alice", str(alice.pk), hospital.pk, "127.0.0.1")
    assert events() == [("sign in", *about), ("sign out", *about)]
    assert AccessEvent.objects.get(verb="sign in").actor == alice


def test_a_failed_sign_in_keeps_the_account_and_not_what_was_typed(client, alice, hospital):
    sign_in(client, "not her password")
    assert events() == [("fail to sign in", "not signed in", str(alice.pk), hospital.pk, "127.0.0.1")]
    assert "not her password" not in str(AccessEvent.objects.values())


def test_of_an_unknown_account_not_even_the_name_is_kept(client, db):
    sign_in(client, email="hunter2@example.org")
    assert events() == [("fail to sign in", "not signed in", "", None, "127.0.0.1")]
    assert "hunter2" not in str(AccessEvent.objects.values())


def test_every_hospital_of_the_person_sees_it(client, alice, hospital, other_hospital):
    MembershipFactory(user=alice, hospital=other_hospital)
    sign_in(client)
    assert {(verb, key) for verb, _, _, key, _ in events()} == {
        ("sign in", hospital.pk),
        ("sign in", other_hospital.pk),
    }


def test_who_belongs_nowhere_is_on_the_platforms_record(client, charlie):
    sign_in(client, email="charlie@example.org")
    assert [(verb, hospital) for verb, _, _, hospital, _ in events()] == [("sign in", None)]


def test_a_changed_password(as_user, alice):
    new = "another staple of batteries"
    sent = {"oldpassword": PASSWORD, "password1": new, "password2": new}
    assert as_user(alice).post("/accounts/password/change/", sent).status_code == 302
    assert AccessEvent.objects.filter(verb="change password", actor=alice).exists()
    assert new not in str(AccessEvent.objects.values())


def test_a_second_factor_that_comes_and_goes_and_fails(rf, alice):
    request = rf.get("/")
    request.user, request.session = alice, SessionStore()
    factor = Authenticator(user=alice, type=Authenticator.Type.TOTP, data={})
    about = {"sender": Authenticator, "request": request, "user": alice, "authenticator": factor}
    signals.authenticator_added.send(**about)
    signals.authenticator_removed.send(**about)
    signals.authentication_failed.send(**about)
    assert list(AccessEvent.objects.order_by("pk").values_list("verb", "detail")) == [
        ("change second factor", "TOTP Authenticator added"),
        ("change second factor", "TOTP Authenticator removed"),
        ("fail to sign in", "second factor"),
    ]


def test_what_platform_staff_change_in_the_administration_is_on_record(as_user, charlie, alice, hospital):
    charlie.is_staff = charlie.is_superuser = True
    charlie.save()
    sent = {"name": "New name", "address": "", "paper": "a4", "bone_age_reference": "brush", "age_of_majority": 16}
    sent |= {f"{prefix}-{name}": 0 for prefix in ("memberships",) for name in ("TOTAL_FORMS", "INITIAL_FORMS")}
    as_user(charlie).post(f"/admin/accounts/hospital/{hospital.pk}/change/", sent)
    hospital.refresh_from_db()
    assert hospital.name == "New name"
    edit = AccessEvent.objects.get(verb="edit", object_type="hospital")
    assert (edit.actor, edit.actor_role, edit.detail) == (charlie, "platform_staff", "name, age_of_majority")
    assert edit.changed_values.values == {
        "name": ["St. Anna Children's Hospital", "New name"],
        "age_of_majority": ["18", "16"],
    }
    act = AccessEvent.objects.get(verb="administer")
    assert (act.actor, act.hospital, act.object_key, act.detail) == (charlie, hospital, str(hospital.pk), "change")


def test_who_becomes_platform_staff_is_on_record(charlie):
    charlie.is_staff = True
    charlie.save()
    event = AccessEvent.objects.get(object_type="user")
    assert event.changed_values.values == {"is_staff": ["False", "True"]}
