"""Accounts, memberships and hospitals in the administration, as the platform's staff keep them."""

import re

import pytest
from allauth.account.models import EmailAddress
from django.contrib.auth.models import Permission
from django.test import Client
from django_scopes import scopes_disabled

from clinical.accounts.models import Hospital, Membership, User
from clinical.audit.models import AccessEvent
from tests.factories import (
    PASSWORD,
    MembershipFactory,
    UserFactory,
)


def inline(*rows, initial=0):
    """The fields of the memberships' formset."""
    fields = {"memberships-TOTAL_FORMS": len(rows), "memberships-INITIAL_FORMS": initial}
    for number, row in enumerate(rows):
        fields |= {f"memberships-{number}-{name}": value for name, value in row.items()}
    return fields


def test_an_operator_opens_an_account_and_the_person_signs_in(client, as_user, root, hospital):
    person = {"email": "Dora@Example.org", "name": "Dora", "usable_password": "true"}
    person |= {"password1": PASSWORD, "password2": PASSWORD}
    membership = {"hospital": hospital.pk, "role": "doctor"}
    response = as_user(root).post("/admin/accounts/user/add/", person | inline(membership))
    assert response.status_code == 302
    assert Membership.objects.get(user__email="dora@example.org").role == "doctor"
    as_user(None)
    assert sign_in(client, "dora@example.org")


def sign_in(client, email):
    client.post("/accounts/login/", {"login": email, "password": PASSWORD})
    return "_auth_user_id" in client.session


@pytest.mark.parametrize("field", ["email", "password1"])
def test_a_mistake_in_a_new_account_is_shown(as_user, root, alice, field):
    person = {"email": "dora@example.org", "name": "Dora", "usable_password": "true"}
    person |= {"password1": PASSWORD, "password2": PASSWORD}
    person[field] = {"email": "ALICE@example.org", "password1": "short"}[field]
    response = as_user(root).post("/admin/accounts/user/add/", person | inline())
    assert response.status_code == 200
    assert response.context["adminform"].errors
    assert not User.objects.filter(name="Dora").exists()


def row_of(membership, **changes):
    """The fields of one that there is."""
    fields = {"id": membership.pk, "user": membership.user_id, "hospital": membership.hospital_id}
    return fields | {"role": membership.role} | changes


def change(client, user, email):
    fields = {"email": email, "name": user.name, "is_active": "on"}
    fields |= inline(row_of(user.memberships.get()), initial=1)
    return client.post(f"/admin/accounts/user/{user.pk}/change/", fields)


def test_an_operator_changes_an_address_and_only_the_new_one_signs_in(client, as_user, root, alice):
    assert change(as_user(root), alice, "Alice.New@Example.org").status_code == 302
    as_user(None)
    assert not sign_in(client, "alice@example.org")
    assert sign_in(client, "alice.new@example.org")


@pytest.mark.parametrize("taken", ["BOB@example.org", "bob@home.example"])
def test_an_operator_cannot_give_away_an_address_that_somebody_signs_in_with(as_user, root, alice, bob, taken):
    EmailAddress.objects.create(user=bob, email="bob@home.example", verified=True, primary=False)
    response = change(as_user(root), alice, taken)
    assert response.status_code == 200
    assert response.context["adminform"].errors["email"] == ["Somebody with this address exists already."]


@pytest.mark.django_db(transaction=True)
def test_who_has_another_address_is_told_at_the_one_before(as_user, root, alice, mailoutbox):
    EmailAddress.objects.create(user=alice, email="alice@home.example", verified=True, primary=False)
    change(as_user(root), alice, "alice.new@example.org")
    assert [mail.to for mail in mailoutbox] == [["alice@example.org"], ["alice@home.example"]]
    for mail in mailoutbox:
        assert mail.subject == "[Bone Age Portal] Address changed in the administration"
        assert "tell the administrator of your hospital" in mail.body
        assert not {"Alice", "alice", "Root"} & set(re.findall(r"\w+", mail.body))


def set_password(client, user, new="a quite different sentence", again=None):
    fields = {"password1": new, "password2": again or new, "usable_password": "true"}
    return client.post(f"/admin/accounts/user/{user.pk}/password/", fields)


@pytest.mark.usefixtures("unscoped")
def test_an_operator_changes_a_password_and_the_person_and_their_hospital_learn_of_it(
    as_user, root, alice, hospital, mailoutbox
):
    elsewhere = Client()
    elsewhere.post("/accounts/login/", {"login": alice.email, "password": PASSWORD})
    assert set_password(as_user(root), alice).status_code == 302
    alice.refresh_from_db()
    assert alice.check_password("a quite different sentence")
    assert elsewhere.get("/studies/").status_code == 302
    event = AccessEvent.objects.get(verb="change password")
    assert (event.hospital, event.actor, event.object_key) == (hospital, root, str(alice.pk))
    [mail] = mailoutbox
    assert (mail.to, mail.subject) == ([alice.email], "[Bone Age Portal] Password changed in the administration")
    assert "tell the administrator of your hospital" in mail.body
    assert not {"Alice", "alice", "Root"} & set(re.findall(r"\w+", mail.body))


@pytest.mark.usefixtures("unscoped")
def test_a_password_that_stays_is_told_to_nobody(as_user, root, alice, mailoutbox):
    assert set_password(as_user(root), alice, again="something else").status_code == 200
    assert not mailoutbox
    assert not AccessEvent.objects.filter(verb="change password").exists()


@pytest.mark.parametrize("page", ["add/", "{}/password/"])
def test_an_operator_confirms_that_it_is_they_before_a_password_is_typed(client, root, alice, page):
    path = f"/admin/accounts/user/{page.format(alice.pk)}"
    client.post("/accounts/login/", {"login": root.email, "password": PASSWORD})
    assert client.get(path)["Location"].startswith("/accounts/reauthenticate/")
    assert client.post("/accounts/reauthenticate/", {"password": PASSWORD, "next": path})["Location"] == path
    assert client.get(path).status_code == 200


@pytest.mark.parametrize("page", ["add/", "{}/password/"])
def test_a_password_that_is_typed_too_late_is_not_kept_in_the_session(client, root, alice, page):
    path = f"/admin/accounts/user/{page.format(alice.pk)}"
    client.post("/accounts/login/", {"login": root.email, "password": PASSWORD})
    fields = {"email": "dora@example.org", "name": "Dora", "usable_password": "true"} | inline()
    fields |= {"password1": "My-first-secret-77", "password2": "My-first-secret-77"}
    answer = client.post(path, fields)
    assert "My-first-secret-77" not in str(dict(client.session))
    assert answer["Location"] == path
    assert "nothing was saved. Confirm that it is you" in client.get(path, follow=True).content.decode()
    assert not User.objects.filter(name="Dora").exists()


@pytest.mark.usefixtures("unscoped")
def test_an_operator_changes_nothing_about_another_nor_about_themselves(as_user, root, alice):
    clerk, other = (UserFactory(name=name, is_staff=True) for name in ("Clerk", "Other"))
    clerk.user_permissions.set(Permission.objects.filter(codename__in=["view_user", "change_user"]))
    client = as_user(clerk)
    for user in (clerk, other, root):
        before = User.objects.values().get(pk=user.pk)
        path = f"/admin/accounts/user/{user.pk}/"
        fields = {"email": "thief@example.org", "name": "Thief", "is_active": "on"} | inline()
        assert client.post(f"{path}change/", fields).status_code == 403
        assert client.post(f"{path}reset-second-factor/").status_code == 403
        assert client.get(f"{path}password/").status_code == set_password(client, user).status_code == 403
        assert User.objects.values().get(pk=user.pk) == before
    assert set_password(client, alice).status_code == 302
    assert set_password(as_user(root), other).status_code == 302


@pytest.mark.parametrize(
    ("role", "place", "found"),
    [
        ("doctor", "St. Anna Children's Hospital", ["Alice"]),
        ("technician", "St. Anna Children's Hospital", ["Tess"]),
        ("doctor", "", ["Alice", "Bob", "Tess"]),
        ("", "Northern General", ["Bob", "Tess"]),
        ("", "", ["Alice", "Bob", "Root", "Tess"]),
    ],
)
def test_people_are_found_by_a_role_in_a_hospital_and_not_by_one_here_and_the_other_there(
    as_user, root, alice, bob, tess, other_hospital, role, place, found
):
    MembershipFactory(user=tess, hospital=other_hospital, role="doctor")
    MembershipFactory(user=bob, role="doctor")
    asked = {"role": role, "hospital": place and Hospital.objects.get(name=place).pk, "is_active__exact": "1"}
    page = as_user(root).get("/admin/accounts/user/", asked)
    assert [user.name for user in page.context["cl"].result_list] == found
    assert page.content.decode().count('<input type="hidden" name="is_active__exact" value="1">') == 2  # search, filter


@pytest.mark.parametrize("asked", [{"role": "king"}, {"hospital": "abc"}, {"hospital": "1" * 40}])
def test_a_membership_that_cannot_be_filters_nothing(as_user, root, asked):
    page = as_user(root).get("/admin/accounts/user/", asked, follow=True)
    assert (page.status_code, page.context["cl"].result_count) == (200, 1)


def test_an_operator_opens_a_hospital_with_its_first_administrator(as_user, root, charlie):
    fields = {"name": "Southern General", "paper": "a4", "bone_age_reference": "brush", "age_of_majority": 18}
    fields |= inline({"user": charlie.pk, "role": "hospital_admin"})
    response = as_user(root).post("/admin/accounts/hospital/add/", fields)
    assert response.status_code == 302
    assert Hospital.objects.get().memberships.get().user == charlie
    assert as_user(charlie).get("/members/").status_code == 200


@pytest.fixture
def send_and_confirm(client, root):
    """As platform staff who is asked first to confirm that it is they, and does."""

    def post(path, fields):
        client.post("/accounts/login/", {"login": root.email, "password": PASSWORD})
        assert client.post(path, fields)["Location"].startswith("/accounts/reauthenticate/")
        return client.post("/accounts/reauthenticate/", {"password": PASSWORD, "next": path})

    return post


@pytest.mark.servers
def test_behind_row_level_security_what_waited_for_the_confirmation_is_carried_out(
    send_and_confirm, root, charlie, web_role
):
    fields = {"name": "Southern General", "paper": "a4", "bone_age_reference": "brush", "age_of_majority": 18}
    fields |= inline({"user": charlie.pk, "role": "hospital_admin"})
    response = send_and_confirm("/admin/accounts/hospital/add/", fields)
    assert response["Location"] == "/admin/accounts/hospital/"
    with scopes_disabled():
        assert Hospital.objects.get(name="Southern General").memberships.get().user == charlie


@pytest.mark.servers
def test_behind_row_level_security_a_mistake_is_shown_after_the_confirmation(
    send_and_confirm, root, alice, hospital, web_role
):
    fields = {"name": "", "paper": "a4", "bone_age_reference": "brush", "age_of_majority": 18}
    with scopes_disabled():
        fields |= inline(row_of(alice.memberships.get()), initial=1)
    response = send_and_confirm(f"/admin/accounts/hospital/{hospital.pk}/change/", fields)
    assert response.context["adminform"].errors["name"]
    assert "Alice" in response.content.decode()


@pytest.fixture
def send_memberships(as_user, root, hospital):
    """The form of the hospital, with these memberships below it; `new`: how many of them there were not before."""

    def post(*rows, new=0):
        fields = {"name": hospital.name, "paper": "a4", "bone_age_reference": "brush", "age_of_majority": 18}
        fields |= inline(*rows, initial=len(rows) - new)
        return as_user(root).post(f"/admin/accounts/hospital/{hospital.pk}/change/", fields, follow=True)

    return post


def roles_in(hospital):
    return dict(hospital.memberships.values_list("user__name", "role"))


@pytest.mark.usefixtures("unscoped")
def test_a_membership_is_not_handed_to_somebody_else_nor_to_another_hospital(
    send_memberships, as_user, root, alice, bob, hospital, other_hospital
):
    row = row_of(alice.memberships.get(), user=bob.pk, role="technician")
    send_memberships(row)
    assert roles_in(hospital) == {"Alice": "technician"}
    fields = {"email": alice.email, "name": "Alice", "is_active": "on"}
    fields |= inline(row_of(alice.memberships.get(), hospital=other_hospital.pk), initial=1)
    as_user(root).post(f"/admin/accounts/user/{alice.pk}/change/", fields)
    assert roles_in(hospital) == {"Alice": "technician"}
    event = AccessEvent.objects.get(verb="change role")
    assert (event.hospital, event.actor, event.detail) == (hospital, root, "doctor to technician")


def test_the_last_administrator_stays_until_there_is_another(send_memberships, hospital, ada, alice):
    administrator, doctor = ada.memberships.get(), alice.memberships.get()
    for leaves in ({"role": "doctor"}, {"DELETE": "on"}):
        page = send_memberships(row_of(administrator, **leaves), row_of(doctor, role="technician"))
        assert "Nothing was saved. This is the hospital&#x27;s only administrator." in page.content.decode()
        assert roles_in(hospital) == {"Ada": "hospital_admin", "Alice": "doctor"}
    send_memberships(row_of(administrator, role="doctor"), row_of(doctor, role="hospital_admin"))
    assert roles_in(hospital) == {"Ada": "doctor", "Alice": "hospital_admin"}


@pytest.mark.usefixtures("unscoped")
def test_who_joins_and_who_is_removed_below_a_hospital_is_on_record(send_memberships, hospital, ada, tess, charlie):
    rows = [row_of(ada.memberships.get()), row_of(tess.memberships.get(), DELETE="on")]
    send_memberships(*rows, {"user": charlie.pk, "role": "doctor"}, new=1)
    assert roles_in(hospital) == {"Ada": "hospital_admin", "Charlie": "doctor"}
    events = AccessEvent.objects.filter(object_type="membership", hospital=hospital).order_by("pk")
    assert list(events.values_list("verb", "actor_name", "detail")) == [
        ("join", "Root", "doctor"),
        ("remove member", "Root", "technician"),
    ]


def test_hospitals_and_people_are_never_deleted(as_user, root, alice, hospital):
    client = as_user(root)
    assert client.post(f"/admin/accounts/user/{alice.pk}/delete/", {"post": "yes"}).status_code == 403
    assert client.post(f"/admin/accounts/hospital/{hospital.pk}/delete/", {"post": "yes"}).status_code == 403


@pytest.mark.parametrize(
    ("codenames", "somebody", "may"),
    [
        (["view_user"], "Alice", False),
        (["view_user", "change_user"], "Root", False),
        (["view_user", "change_user"], "Alice", True),
    ],
)
def test_who_may_only_look_at_a_person_is_not_led_to_resetting_their_password_or_second_factor(
    as_user, root, alice, authenticator_app, codenames, somebody, may
):
    clerk, user = UserFactory(name="Clerk", is_staff=True), User.objects.get(name=somebody)
    authenticator_app(user)
    clerk.user_permissions.set(Permission.objects.filter(codename__in=codenames))
    shown = as_user(clerk).get(f"/admin/accounts/user/{user.pk}/change/").content.decode()
    assert "TOTP" in shown
    assert ("/reset-second-factor/" in shown, "../password/" in shown) == (may, may)
