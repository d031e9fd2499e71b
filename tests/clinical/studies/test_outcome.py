import time

import pytest
from django.test import RequestFactory

from clinical.studies import outcome
from clinical.studies.models import Study
from tests.factories import ReviewFactory, StudyFactory

pytestmark = pytest.mark.usefixtures("unscoped")


@pytest.fixture
def ask(as_user, alice, patient):
    study = StudyFactory(patient=patient)

    def status(**headers):
        url = f"/studies/{study.pk}/status/"
        return as_user(alice).get(url, headers={"Accept": "application/json", **headers}).json()

    status.study = study
    return status


def test_a_script_that_waits_is_answered_when_there_is_an_outcome(ask, monkeypatch):
    looks = []

    def meanwhile(seconds):
        looks.append(seconds)
        if len(looks) == 3:
            ask.study.analysis.bone_age_months = 126.0
            ask.study.analysis.save()
            ask.study.state = "analysed"
            ask.study.save()

    monkeypatch.setattr(time, "sleep", meanwhile)
    assert ask(Prefer="wait=10") == {"state": "analysed", "bone_age_months": 126.0, "reason": ""}
    assert len(looks) == 3


def test_who_does_not_ask_to_wait_is_answered_at_once(ask, monkeypatch):
    monkeypatch.setattr(time, "sleep", lambda seconds: pytest.fail("it waits"))
    assert ask()["state"] == "queued"


def test_what_a_doctor_has_read_counts_and_of_a_withdrawn_study_nothing(ask, alice):
    ask.study.analysis.bone_age_months = 126.0
    ask.study.analysis.save()
    ReviewFactory(study=ask.study, doctor=alice, bone_age_months=120.0)
    Study.objects.update(state="reviewed")
    assert ask()["bone_age_months"] == 120.0
    Study.objects.update(state="cancelled")
    assert ask()["bone_age_months"] is None


def test_a_wait_without_an_outcome_ends(ask):
    assert ask(Prefer="wait=1")["state"] == "queued"


def test_who_comes_while_many_wait_is_answered_at_once(ask, monkeypatch):
    monkeypatch.setattr(time, "sleep", lambda seconds: pytest.fail("it waits"))
    taken = 0
    while outcome._seats.acquire(blocking=False):
        taken += 1
    try:
        assert taken == 2
        assert ask(Prefer="wait=10")["state"] == "queued"
    finally:
        outcome._seats.release(taken)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("wait=3", 3),
        ("respond-async, wait=3", 3),
        ("wait=9999", outcome.LONGEST_WAIT),
        ("wait=soon", 0),
        ("handling=lenient; nowait=4", 0),
        ("", 0),
    ],
)
def test_the_wait_is_what_the_header_says_within_bounds(header, seconds):
    assert outcome.preferred_wait(RequestFactory().get("/", headers={"Prefer": header})) == seconds
