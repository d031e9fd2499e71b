import pytest
from allauth.mfa.models import Authenticator
from django.core import mail
from django.test import Client

from clinical.audit.models import AccessEvent
from tests.factories import PASSWORD, UserFactory


@pytest.fixture
def platform(db):
    return UserFactory(name="Root", email="root@example.org", is_staff=True, is_superuser=True)


@pytest.fixture
def path(alice):
    return f"/admin/accounts/user/{alice.pk}/reset-second-factor/"


@pytest.mark.usefixtures("unscoped")
def test_platform_staff_resets_the_second_factor_of_who_lost_theirs(
    as_user, platform, alice, path, authenticator_app, hospital, clock
):
    code = authenticator_app(alice)
    elsewhere = Client()
    elsewhere.post("/accounts/login/", {"login": alice.email, "password": PASSWORD})
    elsewhere.post("/accounts/2fa/authenticate/", {"code": code()})
    assert elsewhere.get("/studies/").status_code == 200

    client = as_user(platform)
    page = client.get(f"/admin/accounts/user/{alice.pk}/change/").content.decode()
    assert path in page
    assert 'href="../password/"' in page
    assert "Reset the second factor of Alice?" in client.get(path).content.decode()
    assert Authenticator.objects.filter(user=alice).exists()
    client.post(path)

    assert not Authenticator.objects.filter(user=alice).exists()
    assert elsewhere.get("/studies/").status_code == 302
    events = AccessEvent.objects.filter(verb="change second factor", hospital=hospital)
    assert {(event.actor, event.object_key) for event in events} == {(platform, str(alice.pk))}
    assert [message.to for message in mail.outbox] == [[alice.email]]
    assert "reset in the administration" in mail.outbox[0].body


def test_the_password_of_who_resets_is_asked_first(client, platform, alice, path, authenticator_app):
    authenticator_app(alice)
    client.post("/accounts/login/", {"login": platform.email, "password": PASSWORD})
    assert client.post(path)["Location"].startswith("/accounts/reauthenticate/")
    assert Authenticator.objects.filter(user=alice).exists()
    client.post("/accounts/reauthenticate/", {"password": PASSWORD, "next": path})
    assert not Authenticator.objects.filter(user=alice).exists()


@pytest.mark.parametrize("person", ["ada", "alice", "mother"])
def test_nobody_else_may(request, as_user, alice, path, authenticator_app, person):
    authenticator_app(alice)
    client = as_user(request.getfixturevalue(person))
    for response in (client.get(path), client.post(path)):
        assert response.status_code in (302, 403, 404)
    assert Authenticator.objects.filter(user=alice).exists()


def test_staff_without_all_rights_resets_no_superuser(as_user, platform, authenticator_app):
    authenticator_app(platform)
    clerk = UserFactory(name="Clerk", is_staff=True)
    response = as_user(clerk).post(f"/admin/accounts/user/{platform.pk}/reset-second-factor/")
    assert response.status_code == 403
    assert Authenticator.objects.filter(user=platform).exists()
