"""Two doctors do not read the same film: each sees where the other is, and is led to another one."""

from datetime import timedelta

import pytest
from django.test import Client

from clinical.studies import presence
from tests.factories import MembershipFactory, StudyFactory, UserFactory

pytestmark = pytest.mark.usefixtures("unscoped")


@pytest.fixture
def studies(patient):
    """The newest last."""
    return [StudyFactory(patient=patient, state="analysed", analysis__bone_age_months=120.0) for _ in range(3)]


@pytest.fixture
def carol(hospital):
    """Another doctor of the hospital."""
    user = UserFactory(name="Carol", email="carol@example.org")
    MembershipFactory(user=user, hospital=hospital, role="doctor")
    return user


@pytest.fixture
def carols(carol):
    client = Client()
    client.force_login(carol, backend="allauth.account.auth_backends.AuthenticationBackend")
    return client


def path(study):
    return f"/studies/{study.pk}/"


def who_is_there(client):
    """Study -> the names beside it on the worklist."""
    rows = client.get("/studies/").context["page_obj"]
    return {row.pk: [look.actor_name for look in row.colleagues] for row in rows if row.colleagues}


def test_the_list_and_the_page_say_who_has_opened_a_study(as_user, alice, carols, studies):
    carols.get(path(studies[1]))
    client = as_user(alice)
    assert who_is_there(client) == {studies[1].pk: ["Carol"]}
    page = client.get(path(studies[1])).content.decode()
    assert "opened this study at" in page
    assert "Carol</strong>" in page
    assert "opened this study" not in client.get(path(studies[0])).content.decode()


def test_the_next_to_read_is_one_that_nobody_else_reads(as_user, alice, carols, studies):
    oldest, middle, newest = studies
    carols.get(path(middle))
    client = as_user(alice)
    assert client.get(path(newest)).context["next"] == oldest
    assert client.get(path(oldest)).context["next"] == newest
    carols.get(path(newest))
    assert client.get(path(oldest)).context["next"] == middle


@pytest.mark.parametrize(
    "elsewhere",
    ["/studies/", "/patients/", "/arrivals/", "/patients/{patient}/", "/patients/{patient}/upload/"],
)
def test_who_has_gone_on_is_there_no_more(as_user, alice, carols, studies, patient, elsewhere):
    carols.get(path(studies[0]))
    carols.get(elsewhere.format(patient=patient.pk))
    assert who_is_there(as_user(alice)) == {}


def test_the_picture_of_another_film_is_no_page_of_it(as_user, alice, carols, patient):
    here, beside = (StudyFactory(patient=patient, state="analysed", radiograph__file=b"film") for _ in range(2))
    carols.get(path(here))
    carols.get(f"{path(beside)}original/").getvalue()
    carols.get(f"{path(here)}status/")
    carols.get(f"{path(here)}refile/")  # a page of this study, too
    assert who_is_there(as_user(alice)) == {here.pk: ["Carol"]}


def test_after_a_while_without_a_page_nobody_is_there(as_user, alice, carols, studies, monkeypatch):
    carols.get(path(studies[0]))
    monkeypatch.setattr(presence, "PRESENT", timedelta(0))
    assert who_is_there(as_user(alice)) == {}


@pytest.mark.parametrize("state", ["signed", "released", "cancelled"])
def test_where_nothing_is_left_to_do_nobody_is_in_the_way(as_user, alice, carols, studies, state):
    studies[0].state = state
    studies[0].save()
    carols.get(path(studies[0]))
    client = as_user(alice)
    assert who_is_there(client) == {}
    assert "opened this study" not in client.get(path(studies[0])).content.decode()


def test_one_is_not_in_ones_own_way_nor_a_technician_in_a_doctors(as_user, alice, tess, studies):
    as_user(tess).get(path(studies[0]))
    as_user(alice).get(path(studies[1]))
    assert who_is_there(as_user(alice)) == {}
    assert who_is_there(as_user(tess)) == {}


def test_of_another_hospital_nothing_is_told(as_user, alice, bob, carols, studies, other_hospital):
    theirs = StudyFactory(patient__hospital=other_hospital, state="analysed")
    carols.get(path(studies[0]))
    assert who_is_there(as_user(bob)) == {}
    assert "opened this study" not in as_user(bob).get(path(theirs)).content.decode()


def test_a_program_of_a_doctor_is_at_no_study(as_user, alice, carol, program, studies):
    assert program(carol).get(f"/api/v1/studies/{studies[0].pk}/").status_code == 200
    assert who_is_there(as_user(alice)) == {}
