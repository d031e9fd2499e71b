"""An analysed study is read again by another version of the model: that adds, and never replaces."""

import pytest

from clinical.audit.models import AccessEvent
from clinical.studies import workflow
from clinical.studies.models import Study
from inference import workflow as inference
from inference.models import Analysis, ModelVersion, State
from tests.factories import ReviewFactory, StudyFactory

pytestmark = pytest.mark.usefixtures("unscoped")


@pytest.fixture
def older(db):
    return ModelVersion.objects.create(name="two_stage_compact", version="1", sha256="1" * 64, state="retired")


@pytest.fixture
def newer(db):
    return ModelVersion.objects.create(name="two_stage_compact", version="2", sha256="2" * 64, state="active")


@pytest.fixture
def study_in(patient, older):
    def make(state, **fields):
        values = {"model_version": older, "bone_age_months": 100.0, "low_months": 90.0, "high_months": 110.0}
        values |= {"state": "analysed"} if state in ("reviewed", "signed", "released") else {"state": state}
        study = StudyFactory(patient=patient, state=state, **{f"analysis__{k}": v for k, v in values.items()}, **fields)
        if state in ("reviewed", "signed", "released"):
            ReviewFactory(study=study, method="ai", bone_age_months=100.0)
        return study

    return make


def read(analysis, version, months=112.0):
    """What a worker does with the analysis."""
    run = inference.start(analysis.pk, "worker-1")
    result = {"bone_age_months": months, "low_months": months - 9, "high_months": months + 9}
    return inference.finish(run, model_version=version, milliseconds=100.0, **result)


@pytest.mark.parametrize("state", workflow.State)
@pytest.mark.parametrize("who", ["alice", "tess"])
def test_a_doctor_asks_for_another_reading_where_the_table_says_so(
    as_user, request, alice, newer, study_in, state, who
):
    study = study_in(state)
    response = as_user(request.getfixturevalue(who)).post(f"/studies/{study.pk}/reanalyse/")
    asked = Study.objects.get().reanalysis
    assert response.status_code == (302 if who == "alice" else 403)
    assert (asked is not None) == (who == "alice" and state in ("analysed", "reviewed"))
    assert Study.objects.get().state == state
    assert Analysis.objects.count() == (2 if asked else 1)


def test_what_there_is_stands_until_the_other_version_has_read(as_user, alice, older, newer, study_in):
    study = study_in("analysed")
    first = study.analysis
    workflow.reanalyse(study, alice)
    waiting = Study.objects.get()
    assert (waiting.state, waiting.analysis, waiting.bone_age_months) == ("analysed", first, 100.0)
    sds = waiting.sds

    read(waiting.reanalysis, newer)
    after = Study.objects.get()
    assert (after.state, after.reanalysis, after.bone_age_months) == ("analysed", None, 112.0)
    assert (after.analysis.model_version, after.analysis.previous) == (newer, first)
    assert after.sds is not None
    assert after.sds != sds
    page = as_user(alice).get(f"/studies/{study.pk}/")
    assert page.context["readings"] == [first]
    assert "Earlier readings of the model" in page.content.decode()
    first.refresh_from_db()
    assert (first.bone_age_months, first.model_version) == (100.0, older)


def test_a_review_keeps_pointing_at_the_analysis_it_was_made_on(as_user, alice, newer, study_in):
    study = study_in("reviewed")
    first = study.analysis
    workflow.reanalyse(study, alice)
    read(study.reanalysis, newer)
    after = Study.objects.get()
    assert (after.state, after.analysis.model_version) == ("reviewed", newer)
    assert (after.review.analysis, after.bone_age_months) == (first, 100.0)
    assert "made in sight of an earlier reading" in as_user(alice).get(f"/studies/{study.pk}/").content.decode()


def test_a_report_names_the_version_that_the_doctor_saw(as_user, alice, older, newer, study_in):
    from reports.models import Report

    study = study_in("reviewed")
    workflow.reanalyse(study, alice)
    read(study.reanalysis, newer)
    study.refresh_from_db()
    workflow.sign(study, alice, study.review_id)
    assert Report.objects.get().review.analysis.model_version == older


def test_a_study_that_is_signed_meanwhile_stays_as_it_was_signed(as_user, alice, newer, study_in):
    study = study_in("reviewed")
    first = study.analysis
    workflow.reanalyse(study, alice)
    workflow.sign(study, alice, study.review_id)
    late = read(study.reanalysis, newer)
    after = Study.objects.get()
    assert (after.state, after.analysis, after.reanalysis) == ("signed", first, None)
    page = as_user(alice).get(f"/studies/{study.pk}/")
    assert page.context["readings"] == [late]


@pytest.mark.parametrize("end", ["reject", "fail"])
def test_a_reading_that_fails_takes_nothing_away(as_user, alice, newer, study_in, end):
    study = study_in("analysed")
    first = study.analysis
    workflow.reanalyse(study, alice)
    run = inference.start(study.reanalysis_id, "worker-1")
    getattr(inference, end)(run, "blank", "The picture is blank.")
    after = Study.objects.get()
    assert (after.state, after.analysis, after.reanalysis) == ("analysed", first, None)
    page = as_user(alice).get(f"/studies/{study.pk}/")
    assert page.context["attempts"] == [run]
    workflow.reanalyse(after, alice)
    assert after.reanalysis.previous == run


def test_the_version_that_read_a_study_does_not_read_it_twice(as_user, alice, newer, study_in):
    study = study_in("analysed", analysis__previous=None)
    Analysis.objects.update(model_version=newer)
    study.refresh_from_db()
    assert "reanalyse" not in as_user(alice).get(f"/studies/{study.pk}/").context["actions"]
    with pytest.raises(workflow.WrongState, match="has read this study already"):
        workflow.reanalyse(study, alice)
    assert Analysis.objects.count() == 1


def test_asking_twice_is_asking_once(alice, newer, study_in):
    study = study_in("analysed")
    again = Study.objects.get()
    workflow.reanalyse(study, alice)
    with pytest.raises(workflow.WrongState):
        workflow.reanalyse(again, alice)
    assert Analysis.objects.count() == 2
    assert [event.actor for event in AccessEvent.objects.filter(verb="reanalyse")] == [alice]


def test_a_doctor_who_has_seen_the_earlier_estimate_is_shown_the_other_before_it_is_accepted(
    as_user, alice, newer, study_in
):
    study = study_in("analysed")
    client = as_user(alice)
    form = client.get(f"/studies/{study.pk}/").context["review_form"].initial
    sent = {"seen": "", "analysis": form["analysis"], "method": "ai", "impression": "As I wrote it.", "comment": ""}
    workflow.reanalyse(study, alice)
    read(study.reanalysis, newer)
    response = client.post(f"/studies/{study.pk}/review/", sent)
    assert response.status_code == 422
    assert "has read this radiograph meanwhile" in response.content.decode()
    assert "As I wrote it." in response.content.decode()
    assert Study.objects.get().review is None
    shown = response.context["review_form"]["analysis"].value()
    assert client.post(f"/studies/{study.pk}/review/", sent | {"analysis": shown}).status_code == 302
    assert Study.objects.get().review.bone_age_months == 112.0


def test_the_page_asks_how_far_it_is_and_loses_no_typing(as_user, alice, newer, study_in):
    study = study_in("analysed")
    workflow.reanalyse(study, alice)
    client = as_user(alice)
    assert 'hx-trigger="every 1s"' in client.get(f"/studies/{study.pk}/").content.decode()
    assert "hx-get" in client.get(f"/studies/{study.pk}/reanalyse/").content.decode()
    read(study.reanalysis, newer)
    response = client.get(f"/studies/{study.pk}/reanalyse/")
    assert "HX-Refresh" not in response
    assert "Show what it says" in response.content.decode()


def test_a_result_of_a_state_that_is_pending_is_offered_no_other_reading(as_user, alice, newer, study_in):
    study = study_in("queued")
    assert "reanalyse" not in as_user(alice).get(f"/studies/{study.pk}/").context["actions"]
    assert study.analysis.state == State.QUEUED
