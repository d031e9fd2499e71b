"""What is urgent is read before all else: by the workers, and by the doctors, who are told."""

import csv
import json

import pytest

from clinical.audit.models import AccessEvent
from clinical.notices.models import Kind
from clinical.studies import workflow
from clinical.studies.models import Study
from inference import workflow as inference
from inference.models import Analysis
from inference.workflow import WrongState
from tests.factories import MembershipFactory, PatientFactory, ReviewFactory, StudyFactory

pytestmark = pytest.mark.usefixtures("unscoped")


def listed(client, query=""):
    return [study.pk for study in client.get(f"/studies/{query}").context["page_obj"]]


def urgent_notices(user):
    return [row.url for row in user.notifications.unread().filter(kind=Kind.URGENT_READING)]


@pytest.mark.parametrize("urgent", ["on", ""])
def test_an_upload_can_be_urgent(as_user, tess, patient, upload, hand, client, urgent):
    client.force_login(tess)
    assert upload(patient, hand, urgent=urgent).status_code == 200
    study = Study.objects.get()
    assert (study.urgent, study.analysis.urgent) == (bool(urgent), bool(urgent))


def test_the_question_about_a_duplicate_keeps_the_urgency(client, tess, patient, upload, hand):
    client.force_login(tess)
    upload(patient, hand)
    [asked] = upload(patient, hand, submission="0d4d9f7e-0000-4000-8000-000000000002", urgent="on").context["results"]
    client.post(f"/patients/{patient.pk}/upload/", asked.confirm)
    assert sorted(Study.objects.values_list("urgent", flat=True)) == [False, True]


def test_urgency_that_is_told_with_a_file_sent_again_is_asked_about_not_lost(client, tess, patient, upload, hand):
    client.force_login(tess)
    upload(patient, hand)
    [asked] = upload(patient, hand, urgent="on").context["results"]
    assert (asked.status, asked.confirm["urgent"]) == ("duplicate", "on")
    Study.objects.update(urgent=True)
    for urgent in ("on", ""):  # as it is sent when the answer to the first was lost
        [again] = upload(patient, hand, urgent=urgent).context["results"]
        assert again.status == "queued"


@pytest.mark.parametrize(("person", "states"), [("alice", ["failed", "analysed"]), ("tess", ["rejected", "queued"])])
def test_the_worklist_begins_with_what_is_urgent_and_not_done(request, as_user, patient, person, states):
    first, second = states
    done = StudyFactory(patient=patient, state="signed", urgent=True)
    routine = [StudyFactory(patient=patient, state=state) for state in (second, first)]
    urgent = [StudyFactory(patient=patient, state=state, urgent=True) for state in (first, second)]
    client = as_user(request.getfixturevalue(person))
    assert listed(client) == [urgent[0].pk, urgent[1].pk, routine[1].pk, routine[0].pk, done.pk]
    assert set(listed(client, "?urgency=urgent")) == {study.pk for study in urgent}
    assert set(listed(client, "?urgency=routine")) == {study.pk for study in [*routine, done]}
    assert client.get("/studies/").content.decode().count("badge urgent") == 2


def test_the_next_to_read_is_urgent(as_user, alice, patient):
    oldest, urgent, newest = (
        StudyFactory(patient=patient, state="analysed", urgent=number == 1) for number in range(3)
    )
    client = as_user(alice)
    assert [client.get(f"/studies/{study.pk}/").context["next"] for study in (newest, urgent, oldest)] == [
        urgent,
        oldest,
        urgent,
    ]


@pytest.mark.parametrize("person", ["alice", "tess"])
@pytest.mark.parametrize("state", ["queued", "analysing", "failed", "rejected", "analysed", "reviewed"])
def test_a_study_is_made_urgent_and_routine_again(request, as_user, patient, person, state):
    study, client = StudyFactory(patient=patient, state=state), as_user(request.getfixturevalue(person))
    for urgent, label in (("on", "Not urgent any more"), ("", "Mark as urgent")):
        page = client.post(f"/studies/{study.pk}/urgency/", {"urgent": urgent}, follow=True).content.decode()
        study.refresh_from_db()
        assert study.urgent == Analysis.objects.get(pk=study.analysis_id).urgent == bool(urgent)
        assert label in page
    events = AccessEvent.objects.filter(verb="edit", object_key=str(study.pk), detail="urgent").order_by("pk")
    assert [event.changed_values.values["urgent"] for event in events] == [["False", "True"], ["True", "False"]]


def test_the_same_twice_is_on_record_once(patient, alice):
    study = StudyFactory(patient=patient)
    for _ in range(2):
        workflow.set_urgency(Study.objects.get(pk=study.pk), alice, True)
    assert AccessEvent.objects.filter(verb="edit", detail="urgent").count() == 1


@pytest.mark.parametrize("state", ["signed", "released", "cancelled"])
def test_what_is_done_is_not_made_urgent(as_user, alice, patient, state):
    study = StudyFactory(patient=patient, state=state)
    with pytest.raises(WrongState):
        workflow.set_urgency(study, alice, True)
    client = as_user(alice)
    client.post(f"/studies/{study.pk}/urgency/", {"urgent": "on"})
    study.refresh_from_db()
    assert (study.urgent, Analysis.objects.get(pk=study.analysis_id).urgent) == (False, False)
    assert "Mark as urgent" not in client.get(f"/studies/{study.pk}/").content.decode()


def test_a_retry_a_reanalysis_and_a_move_keep_it(patient, alice, hospital):
    failed = StudyFactory(patient=patient, state="failed", analysis__state="failed", urgent=True, analysis__urgent=True)
    workflow.retry(failed, alice)
    assert failed.analysis.urgent
    assert inference.reanalyse(failed.analysis, "F").urgent
    moved = workflow.refile(
        failed,
        alice,
        patient=PatientFactory(hospital=hospital),
        acquired_on=failed.acquired_on,
        indication="",
        notices=[],
        reason="Another child.",
    )
    assert (moved.urgent, moved.analysis.urgent) == (True, True)


def analysed(study):
    analysis = inference.start(study.analysis_id, "worker")
    inference.finish(analysis, bone_age_months=120.0, low_months=110.0, high_months=130.0)
    return Study.objects.get(pk=study.pk)


def test_it_is_said_of_what_is_under_way_by_now(patient, alice):
    study = StudyFactory(patient=patient, state="failed", analysis__state="failed")
    workflow.retry(Study.objects.get(pk=study.pk), alice)
    workflow.set_urgency(study, alice, True)
    study = Study.objects.get(pk=study.pk)
    assert (study.urgent, study.analysis.urgent) == (True, True)


@pytest.mark.parametrize("urgent", [True, False])
def test_it_is_said_of_a_reanalysis_too(patient, alice, urgent):
    study = analysed(StudyFactory(patient=patient, urgent=not urgent, analysis__urgent=not urgent))
    study.reanalysis = inference.reanalyse(study.analysis, "F")
    study.save()
    workflow.set_urgency(study, alice, urgent)
    assert Analysis.objects.get(pk=study.reanalysis_id).urgent == urgent


def test_doctors_are_told_of_each_urgent_study_that_is_analysed(patient, alice, tess):
    study, routine = StudyFactory(patient=patient, urgent=True), StudyFactory(patient=patient)
    assert urgent_notices(alice) == []
    analysed(study), analysed(routine)
    assert urgent_notices(alice) == [f"/studies/{study.pk}/"]
    assert urgent_notices(tess) == []
    assert alice.notifications.get(kind=Kind.URGENT_READING).mail_due_at is not None


def test_they_are_told_when_it_becomes_urgent_and_no_more_once_it_is_not_or_is_read(patient, alice, tess):
    study = analysed(StudyFactory(patient=patient))
    workflow.set_urgency(study, tess, True)
    assert urgent_notices(alice) == [f"/studies/{study.pk}/"]
    workflow.set_urgency(study, tess, False)
    assert urgent_notices(alice) == []
    workflow.set_urgency(study, tess, True)
    workflow.review(study, alice, seen=None, method="own", bone_age_months=120.0, impression="As read.", confirmed=True)
    assert urgent_notices(alice) == []


def test_who_makes_it_urgent_is_not_told(patient, alice, hospital):
    other = MembershipFactory(hospital=hospital, role="doctor").user
    study = analysed(StudyFactory(patient=patient))
    workflow.set_urgency(study, alice, True)
    assert urgent_notices(alice) == []
    assert urgent_notices(other) == [f"/studies/{study.pk}/"]


def test_urgency_of_a_study_that_a_doctor_has_read_tells_nobody(patient, alice, tess):
    study = ReviewFactory(study__patient=patient, study__state="reviewed", doctor=alice).study
    workflow.set_urgency(study, tess, True)
    assert urgent_notices(alice) == []


def test_a_program_says_what_is_urgent(program, alice, patient):
    study, caller = StudyFactory(patient=patient), program(alice)
    path = f"/api/v1/studies/{study.pk}/urgency/"

    def put(data):
        return caller.put(path, json.dumps(data), content_type="application/json")

    for _ in range(2):  # each answer shows the study
        assert put({"urgent": True}).json()["urgent"] is True
    assert AccessEvent.objects.filter(verb="view", object_key=str(study.pk)).count() == 2
    assert put({"urgent": "perhaps"}).status_code == 400
    assert caller.get("/api/v1/studies/?urgency=urgent").json()["count"] == 1
    Study.objects.update(state="signed")
    assert put({"urgent": False}).status_code == 409
    assert Study.objects.get().urgent


def test_the_export_tells_it(as_user, alice, patient):
    StudyFactory(patient=patient, urgent=True)
    [row] = csv.DictReader(as_user(alice).get("/studies/export/").getvalue().decode("utf-8-sig").splitlines())
    assert row["Urgent"] == "yes"
