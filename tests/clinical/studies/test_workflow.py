import uuid
from datetime import date

import pytest

from clinical.audit.models import AccessEvent
from clinical.patients.growth_record import readings
from clinical.studies import workflow
from clinical.studies.models import Study
from inference import workflow as inference
from inference.models import State
from tests.factories import ReviewFactory, StudyFactory

pytestmark = pytest.mark.usefixtures("unscoped")


def study_in(state, patient, **fields):
    return StudyFactory(patient=patient, state=state, **fields)


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("verb", ["retry", "cancel"])
@pytest.mark.parametrize("who", ["alice", "tess"])
def test_clinicians_retry_and_cancel_from_the_page_where_the_table_says_so(as_user, request, patient, state, verb, who):
    study = study_in(state, patient)
    client = as_user(request.getfixturevalue(who))
    response = client.post(f"/studies/{study.pk}/{verb}/", {"reason": "Twice."}, follow=True)
    after = Study.objects.get().state
    allowed = {("retry", "failed"): "queued", ("retry", "rejected"): "queued", ("cancel", "queued"): "cancelled"}
    assert response.status_code == 200
    assert after == allowed.get((verb, state), state)
    said = [str(message) for message in response.context["messages"]]
    if (verb, state) not in allowed:
        assert any("has moved on" in sentence for sentence in said)


@pytest.mark.parametrize(
    ("state", "verbs"),
    [
        ("queued", {"cancel", "correct", "refile", "set_urgency"}),
        ("failed", {"correct", "retry", "refile", "set_urgency", "withdraw"}),
        ("analysing", {"correct", "set_urgency"}),
        ("signed", {"release", "amend"}),
    ],
)
def test_the_page_offers_what_can_be_done(as_user, alice, patient, state, verbs):
    study = study_in(state, patient)
    assert as_user(alice).get(f"/studies/{study.pk}/").context["actions"] == verbs


def test_the_study_follows_its_analysis(patient):
    study = study_in("queued", patient)
    analysis = inference.start(study.analysis_id, "worker-1")
    assert Study.objects.get().state == "analysing"
    inference.reject(analysis, "blank", "The picture is blank.")
    assert Study.objects.get().state == "rejected"


def test_a_retry_keeps_the_earlier_attempt_on_the_page(as_user, alice, patient):
    study = study_in("failed", patient)
    first = study.analysis
    workflow.retry(study, alice)
    response = as_user(alice).get(f"/studies/{study.pk}/")
    assert response.context["attempts"] == [first]


def test_who_retried_and_cancelled_is_on_record(patient, alice):
    failed = study_in("failed", patient)
    workflow.retry(failed, alice)
    workflow.cancel(failed, alice)
    events = AccessEvent.objects.filter(patient_key=str(patient.pk), actor=alice).order_by("pk")
    assert [event.verb for event in events] == ["retry", "cancel"]


def test_the_other_half_of_a_double_click_gets_the_same_study(patient, alice, monkeypatch):
    first = study_in("queued", patient, submission=uuid.uuid4())
    real = Study.objects.filter

    def blind_once(*args, **kwargs):
        monkeypatch.setattr(Study.objects, "filter", real, raising=False)
        return real(pk=None)

    monkeypatch.setattr(Study.objects, "filter", blind_once, raising=False)
    again = workflow.submit(
        patient=patient,
        radiograph=first.radiograph,
        acquired_on=first.acquired_on,
        indication="",
        notices=[],
        submission=first.submission,
        actor=alice,
        confirmed=True,
    )
    assert again == first


@pytest.mark.parametrize("state", workflow.State)
@pytest.mark.parametrize("who", ["alice", "tess"])
def test_a_doctor_withdraws_what_is_not_signed_and_a_technician_what_was_not_read(
    as_user, request, patient, state, who
):
    study = study_in(state, patient)
    client = as_user(request.getfixturevalue(who))
    asked = client.get(f"/studies/{study.pk}/withdraw/")
    client.post(f"/studies/{study.pk}/withdraw/", {"reason": "Another child."})
    is_read = state in ("analysed", "reviewed")
    fits = state in ("failed", "rejected") or (is_read and who == "alice")
    assert asked.status_code == (403 if is_read and who == "tess" else 200)
    assert Study.objects.get().state == ("cancelled" if fits else state)
    assert AccessEvent.objects.filter(verb="withdraw").count() == fits


def test_a_withdrawn_study_counts_for_nothing(as_user, alice, patient):
    withdrawn, other = (
        study_in("analysed", patient, analysis__bone_age_months=126.0, sds=0.5, acquired_on=date(2024, 5, day))
        for day in (1, 2)
    )
    workflow.withdraw(withdrawn, alice, "Another child.")
    withdrawn = Study.objects.get(pk=withdrawn.pk)
    assert withdrawn.bone_age_months is None
    assert withdrawn.sds is None
    assert [reading.study for reading in readings(patient)] == [other]
    client = as_user(alice)
    assert "was withdrawn" in client.get(f"/studies/{withdrawn.pk}/").content.decode()
    assert client.get(f"/studies/{other.pk}/").context["beside"] is None
    row = client.get("/studies/?state=cancelled").content.decode()
    assert "10 y 6 m" not in row
    assert list(client.get("/studies/?determination=indeterminate").context["page_obj"]) == []


def test_what_was_read_meanwhile_is_not_withdrawn_by_a_technician_who_saw_it_rejected(tess, patient):
    seen = study_in("rejected", patient)
    Study.objects.update(state="reviewed")
    with pytest.raises(workflow.WrongState):
        workflow.withdraw(seen, tess, "Another child.")


def test_what_was_signed_is_amended_before_it_is_withdrawn(alice, patient):
    study = ReviewFactory(study__patient=patient, study__state="signed").study
    with pytest.raises(workflow.WrongState):
        workflow.withdraw(study, alice, "Another child.")
    workflow.amend(study, alice, "Another child.")
    workflow.withdraw(Study.objects.get(), alice, "Another child.")
    assert Study.objects.get().bone_age_months is None
