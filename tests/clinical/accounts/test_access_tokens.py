import re
from datetime import timedelta

import pytest
from django.core import mail
from django.core.cache import cache
from django.utils import timezone
from django.utils.formats import date_format
from jsonschema import validate
from rest_framework.throttling import UserRateThrottle

from clinical.accounts.access_tokens import make
from clinical.accounts.models import AccessToken, Membership
from clinical.accounts.tasks import tell_of_tokens_that_end
from clinical.audit.models import AccessEvent
from clinical.notices.mail import send_due
from clinical.notices.models import Notification
from clinical.patients.api import PatientViewSet
from tests.factories import MembershipFactory, PatientFactory

pytestmark = pytest.mark.usefixtures("unscoped")
PAGE, API = "/api/", "/api/v1/patients/"
FORM = {"name": "PACS gateway", "right": "write", "days": 90}


def bearer(secret):
    return {"Authorization": f"Bearer {secret}"}


@pytest.fixture
def secret(as_user, tess):
    """A token as a technician has just been shown it."""
    page = as_user(tess).post(PAGE, FORM).content.decode()
    return re.search(r'class="secret"[^>]*>\s*(\w+)\s*<', page)[1]


def test_a_token_is_shown_once_works_and_is_kept_as_a_hash(client, secret):
    assert secret.startswith("boneage_")
    assert secret not in client.get(PAGE).content.decode()
    assert secret not in repr(AccessToken.objects.values().get())
    client.logout()
    assert client.get(API, headers=bearer(secret)).status_code == 200


def test_a_new_token_is_on_record_and_its_owner_is_told(secret, tess):
    event = AccessEvent.objects.get(verb="make access token")
    assert (event.actor, event.detail) == (tess, "PACS gateway, write, 90 days")
    [told] = mail.outbox
    assert (told.to, told.subject) == ([tess.email], "[Bone Age Portal] A new access token acts for you")
    assert "PACS gateway" in told.body
    assert secret not in told.body


def test_a_token_is_made_by_who_has_just_confirmed_who_they_are(client, tess):
    client.force_login(tess, backend="allauth.account.auth_backends.AuthenticationBackend")
    response = client.post(PAGE, FORM)
    assert response["Location"].startswith("/accounts/reauthenticate/")
    assert not AccessToken.objects.exists()


@pytest.mark.parametrize("mistake", [{"name": ""}, {"right": "all"}, {"days": 9999}, {"days": "never"}])
def test_a_form_with_a_mistake_makes_no_token(as_user, tess, mistake):
    response = as_user(tess).post(PAGE, FORM | mistake)
    assert (response.status_code, AccessToken.objects.count()) == (422, 0)


def test_a_form_that_was_opened_in_another_hospital_makes_no_token(as_user, tess, other_hospital):
    MembershipFactory(user=tess, hospital=other_hospital, role="technician")
    response = as_user(tess).post(PAGE, FORM | {"hospital": other_hospital.pk})
    assert (response.status_code, AccessToken.objects.count()) == (409, 0)


def test_a_token_stands_for_its_hospital_whichever_its_owner_works_in(client, tess, patient, other_hospital):
    there = MembershipFactory(user=tess, hospital=other_hospital, role="technician")
    PatientFactory(hospital=other_hospital, mrn="THERE")
    for membership, mrn in ((tess.memberships.exclude(pk=there.pk).get(), "A-1"), (there, "THERE")):
        _, secret = make(membership, "Gateway", "read", 30)
        assert [row["mrn"] for row in client.get(API, headers=bearer(secret)).json()["results"]] == [mrn]


def test_a_token_ends_with_the_membership(client, secret, tess):
    tess.memberships.all().delete()
    assert client.get(API, headers=bearer(secret)).status_code == 401


def test_a_token_changes_with_the_role(client, secret):
    Membership.objects.update(role="hospital_admin")
    response = client.get(API, headers=bearer(secret))
    assert response.status_code == 403
    assert "for technicians and doctors" in response.json()["detail"]


def test_who_may_not_sign_in_any_more_has_no_token_either(client, secret, tess):
    tess.is_active = False
    tess.save()
    assert client.get(API, headers=bearer(secret)).status_code == 401


def test_a_token_ends_when_its_time_is_over(client, as_user, secret, tess):
    AccessToken.objects.update(expiry=timezone.now() - timedelta(seconds=1))
    assert ">PACS gateway<" not in as_user(tess).get(PAGE).content.decode()
    assert client.get(API, headers=bearer(secret)).json()["detail"].startswith("This access token is unknown, has exp")


@pytest.mark.parametrize(
    "header", ["Bearer", "Bearer a b", "Bearer boneage_made-up", "Bearer \xff", "Bearer " + "x" * 999]
)
def test_a_token_that_is_none_is_refused_in_a_sentence(client, secret, header):
    response = client.get(API, headers={"Authorization": header})
    assert (response.status_code, response["WWW-Authenticate"]) == (401, "Bearer")
    assert response.json()["detail"].startswith("This access token is unknown")


def test_a_token_opens_no_page_and_a_session_no_route_of_the_api(client, as_user, secret, tess, patient):
    client.logout()
    for page in (PAGE, "/patients/", f"/patients/{patient.pk}/"):
        assert client.get(page, headers=bearer(secret)).status_code == 302
    assert as_user(tess).get(API).status_code == 401


def test_with_a_token_a_session_in_the_same_browser_counts_for_nothing(as_user, secret, bob, patient):
    rows = as_user(bob).get(API, headers=bearer(secret)).json()["results"]
    assert [row["mrn"] for row in rows] == ["A-1"]


def test_the_last_use_is_noted_once_a_minute(client, secret):
    client.get(API, headers=bearer(secret))
    first = AccessToken.objects.get().last_used_at
    assert first is not None
    client.get(API, headers=bearer(secret))
    assert AccessToken.objects.get().last_used_at == first
    AccessToken.objects.update(last_used_at=first - timedelta(minutes=2))
    client.get(API, headers=bearer(secret))
    assert AccessToken.objects.get().last_used_at > first


def test_without_its_owners_second_factor_a_token_opens_nothing(client, secret, settings):
    settings.REQUIRE_MFA = True
    client.logout()
    response = client.get(API, headers=bearer(secret))
    assert (response.status_code, response.json()["detail"][:27]) == (403, "Set up a second factor firs")


def test_too_many_requests_are_told_when_to_come_again(client, secret, monkeypatch):
    cache.clear()
    monkeypatch.setattr(PatientViewSet, "throttle_classes", [UserRateThrottle])
    monkeypatch.setattr(UserRateThrottle, "rate", "1/min", raising=False)
    assert client.get(API, headers=bearer(secret)).status_code == 200
    second = client.get(API, headers=bearer(secret))
    assert (second.status_code, 0 < int(second["Retry-After"]) <= 60) == (429, True)
    assert second.json()["detail"].startswith("Request was throttled.")


def revoke(token):
    return f"/api/tokens/{token.token_key}/revoke/"


def test_revoking_asks_first_and_is_on_record(as_user, client, secret, tess):
    token = AccessToken.objects.get()
    assert "Revoke PACS gateway?" in as_user(tess).get(revoke(token)).content.decode()
    assert AccessToken.objects.exists()
    assert client.post(revoke(token))["Location"] == PAGE
    assert client.get(API, headers=bearer(secret)).status_code == 401
    event = AccessEvent.objects.get(verb="revoke access token")
    assert (event.actor, event.detail) == (tess, "PACS gateway")


def test_an_administrator_sees_and_revokes_those_of_the_hospital_alone(as_user, ada, secret, bob):
    others, _ = make(bob.memberships.get(), "Elsewhere", "read", 30)
    page = as_user(ada).get("/members/api/").content.decode()
    assert ("PACS gateway" in page, "Elsewhere" in page) == (True, False)
    assert as_user(ada).post(revoke(others)).status_code == 404
    mine = AccessToken.objects.exclude(pk=others.pk).get()
    assert as_user(ada).post(revoke(mine))["Location"] == "/members/api/"
    assert list(AccessToken.objects.all()) == [others]


def test_nobody_revokes_what_another_member_made(as_user, alice, secret):
    assert as_user(alice).post(revoke(AccessToken.objects.get())).status_code == 404


@pytest.fixture
def ending(secret):
    """Make the token of the technician end after so many days."""

    def ends(days):
        AccessToken.objects.update(expiry=timezone.now() + timedelta(days=days))

    return ends


def test_who_it_stands_for_and_the_administrators_are_told_once_that_a_token_ends(ending, tess, ada, bob):
    ending(15)
    tell_of_tokens_that_end()
    assert not Notification.objects.exists()
    ending(13.5)
    day = date_format(timezone.localtime(AccessToken.objects.get().expiry), "j F Y")
    for _ in range(2):
        tell_of_tokens_that_end()
    Notification.objects.all().mark_read()
    tell_of_tokens_that_end()
    assert dict(Notification.objects.values_list("user", "message")) == {
        tess.pk: f"Your access token PACS gateway ends on {day}.",
        ada.pk: f"The access token PACS gateway of Tess ends on {day}.",
    }
    assert Notification.objects.count() == 2


def test_two_tokens_that_end_are_two_notices_and_one_mail_that_names_neither(ending, tess, secret):
    make(tess.memberships.get(), "Second gateway", "read", 30)
    ending(3)
    tell_of_tokens_that_end()
    assert tess.notifications.unread().count() == 2
    mail.outbox.clear()
    Notification.objects.update(mail_due_at=timezone.now())
    send_due(tess.pk)
    [told] = mail.outbox
    assert (told.to, told.subject) == ([tess.email], "2 access tokens end soon")
    assert "gateway" not in told.body


def test_the_pages_say_which_tokens_end_soon_and_take_the_notice_as_read(as_user, ending, tess, ada):
    for days, soon in ((15, False), (13, True)):
        ending(days)
        tell_of_tokens_that_end()
        for person, path in ((tess, PAGE), (ada, "/members/api/")):
            assert ("<strong>soon</strong>" in as_user(person).get(path).content.decode()) == soon
            assert not person.notifications.unread().exists()
    assert tess.notifications.get().url == f"{PAGE}#{AccessToken.objects.get().token_key}"


def test_of_a_token_that_is_revoked_nobody_reads_that_it_ends(as_user, ending, tess, ada):
    ending(3)
    tell_of_tokens_that_end()
    as_user(tess).post(revoke(AccessToken.objects.get()))
    assert not Notification.objects.exists()


def test_the_description_names_every_route_and_every_answer(as_user, tess):
    described = as_user(tess).get("/api/openapi.json").json()
    assert set(described["paths"]) == {
        *("/api/v1/patients/", "/api/v1/patients/{id}/", "/api/v1/patients/{id}/measurements/"),
        *("/api/v1/studies/", "/api/v1/studies/{id}/", "/api/v1/studies/{id}/cancel/", "/api/v1/studies/{id}/fhir/"),
        *("/api/v1/studies/{id}/heat-map/", "/api/v1/studies/{id}/radiograph/", "/api/v1/studies/{id}/retry/"),
        "/api/v1/studies/{id}/urgency/",
        *("/api/v1/reports/", "/api/v1/reports/{id}/", "/api/v1/reports/{id}/pdf/"),
        *("/api/v1/reports/{id}/structured-report/", "/api/v1/reports/{id}/encapsulated-pdf/"),
    }
    operations = [each for path in described["paths"].values() for each in path.values()]
    assert [each for each in operations if not each.get("summary")] == []
    assert [each for each in operations if each["security"] != [{"accessToken": []}]] == []
    assert [each for each in operations if not all("content" in answer for answer in each["responses"].values())] == []


def test_a_refusal_is_what_the_description_says(as_user, client, program, tess):
    described = as_user(tess).get("/api/openapi.json").json()
    content = described["paths"][API]["post"]["responses"]["default"]["content"]
    assert content == {"application/json": {"schema": {"$ref": "#/components/schemas/Refusal"}}}
    gateway = program(tess)
    for refused in (
        client.get(API),
        gateway.get("/api/v1/nowhere/"),
        gateway.post(API, {}, content_type="application/json"),
        gateway.post(API, {}, content_type="text/csv"),
    ):
        assert 400 <= refused.status_code < 500
        validate(refused.json(), {**described["components"]["schemas"]["Refusal"], "additionalProperties": False})


def test_the_platforms_staff_revoke_in_the_administration(as_user, client, secret, root):
    page = as_user(root).get("/admin/accounts/accesstoken/").content.decode()
    assert "PACS gateway" in page
    assert secret not in page
    chosen = {"action": "revoke", "_selected_action": [AccessToken.objects.get().pk]}
    answer = client.post("/admin/accounts/accesstoken/", chosen, follow=True)
    assert "1 access token revoked." in answer.content.decode()
    assert client.get(API, headers=bearer(secret)).status_code == 401
    assert AccessEvent.objects.get(verb="revoke access token").actor == root
