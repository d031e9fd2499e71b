import pytest

from clinical.notices.models import Kind, Notification
from clinical.studies import workflow
from clinical.studies.models import Study
from inference import workflow as inference
from inference.models import ModelVersion
from inference.workflow import WrongState
from reports.models import Report
from tests.factories import (
    GuardianshipFactory,
    MembershipFactory,
    NotificationFactory,
    PatientFactory,
    ReviewFactory,
    StudyFactory,
    UserFactory,
)

pytestmark = pytest.mark.usefixtures("unscoped")


@pytest.fixture
def signed(patient, alice):
    study = ReviewFactory(study__patient=patient, study__state="reviewed", doctor=alice).study
    workflow.sign(study, alice, study.review_id)
    Report.objects.update(state="ready")
    return study


def told(user):
    return [(row.kind, row.url) for row in user.notifications.unread()]


def page_of(study):
    return f"/family/{study.patient_id}/#study-{study.pk}"


def test_each_guardian_is_told_of_a_released_report(signed, alice, mother, hospital):
    father = GuardianshipFactory(patient=signed.patient, relation="father").user
    stranger = GuardianshipFactory(patient=PatientFactory(hospital=hospital)).user
    workflow.release(signed, alice)
    for guardian in (mother, father):
        assert told(guardian) == [(Kind.REPORT_READY, page_of(signed))]
    assert told(stranger) == []


def test_nobody_is_told_before_the_release(signed, mother):
    assert told(mother) == []


def test_a_release_that_is_refused_tells_nobody(signed, alice, mother):
    Report.objects.update(state="making")
    with pytest.raises(WrongState):
        workflow.release(signed, alice)
    assert told(mother) == []


def test_a_patient_without_family_is_released_too(signed, alice):
    workflow.release(signed, alice)
    assert not Notification.objects.exists()


def test_an_amended_report_is_no_longer_announced_and_announced_anew_later(signed, alice, mother):
    workflow.release(signed, alice)
    workflow.amend(signed, alice, "Another child.")
    assert told(mother) == []
    workflow.sign(signed, alice, signed.review_id)
    Report.objects.update(state="ready")
    workflow.release(signed, alice)
    assert told(mother) == [(Kind.REPORT_READY, page_of(signed))]


def test_a_notification_says_nothing_of_the_patient(signed, alice, mother):
    workflow.release(signed, alice)
    assert mother.notifications.get().message == "A report is ready."


def ended(study, end, *arguments):
    analysis = inference.start(study.analysis_id, "worker-1")
    end(analysis, *arguments)


def finished(study):
    version, _ = ModelVersion.objects.get_or_create(name="two_stage_compact", version="1")
    analysis = inference.start(study.analysis_id, "worker-1")
    inference.finish(analysis, model_version=version, bone_age_months=100.0)


@pytest.mark.parametrize("end", [inference.reject, inference.fail])
def test_whoever_submitted_it_is_told_that_it_could_not_be_read(patient, tess, alice, end):
    study = StudyFactory(patient=patient, submitted_by=tess)
    ended(study, end, "blank", "The picture is blank.")
    assert told(tess) == [(Kind.STUDY_STOPPED, f"/studies/{study.pk}/")]
    assert tess.notifications.get().message.endswith("The picture is blank.")
    assert told(alice) == []


def test_somebody_who_has_left_the_hospital_is_not_told(patient, other_hospital):
    left = UserFactory()
    MembershipFactory(user=left, hospital=other_hospital)
    ended(StudyFactory(patient=patient, submitted_by=left), inference.reject, "blank", "The picture is blank.")
    assert told(left) == []


def test_a_retry_takes_it_back(patient, tess):
    study = StudyFactory(patient=patient, submitted_by=tess)
    ended(study, inference.fail, "storage", "The worker could not use its storage.")
    workflow.retry(study, tess)
    inference.start(study.analysis_id, "worker-1")
    assert told(tess) == []


def test_the_doctors_of_the_hospital_are_told_once_that_there_is_something_to_read(patient, alice, tess, bob):
    for _ in range(5):
        finished(StudyFactory(patient=patient, submitted_by=tess))
    assert told(alice) == [(Kind.READING_DUE, "/studies/?state=analysed")]
    assert told(tess) == []
    assert told(bob) == []


def test_once_nothing_is_left_to_be_read_nobody_is_told_to_read(patient, alice, bob, other_hospital):
    own = [StudyFactory(patient=patient) for _ in range(2)]
    theirs = StudyFactory(patient=PatientFactory(hospital=other_hospital))
    for study in (*own, theirs):
        finished(study)
    reviewed, withdrawn = Study.objects.filter(patient=patient)
    reading = {"method": "own", "bone_age_months": 100.0, "impression": "", "confirmed": True}
    workflow.review(reviewed, alice, seen=None, **reading)
    due = [(Kind.READING_DUE, "/studies/?state=analysed")]
    assert told(alice) == due
    workflow.withdraw(withdrawn, alice, "Another child.")
    assert told(alice) == []
    assert told(bob) == due


def test_the_last_that_is_read_is_the_last_that_is_announced(patient, alice):
    study = StudyFactory(patient=patient)
    finished(study)
    reading = {"method": "own", "bone_age_months": 100.0, "impression": "", "confirmed": True}
    workflow.review(Study.objects.get(), alice, seen=None, **reading)
    assert told(alice) == []


def test_an_analysis_without_a_study_tells_nobody(hospital, alice):
    analysis = inference.enqueue(hospital, "radiographs/none", "F")
    inference.fail(inference.start(analysis.pk, "worker-1"), "internal", "It broke off.")
    assert not Notification.objects.exists()


def test_a_study_that_was_cancelled_tells_nobody(patient, alice):
    workflow.cancel(StudyFactory(patient=patient, submitted_by=alice), alice)
    assert not Notification.objects.exists()


def test_looking_at_the_worklist_or_the_study_reads_what_led_there(as_user, patient, alice):
    finished(StudyFactory(patient=patient))
    stopped = StudyFactory(patient=patient, submitted_by=alice)
    ended(stopped, inference.reject, "blank", "The picture is blank.")
    client = as_user(alice)
    client.get("/studies/", headers={"hx-request": "true"})
    assert len(told(alice)) == 2
    client.get("/studies/")
    assert told(alice) == [(Kind.STUDY_STOPPED, f"/studies/{stopped.pk}/")]
    client.get(f"/studies/{stopped.pk}/")
    assert told(alice) == []


def test_the_worklist_of_one_hospital_reads_nothing_of_another(as_user, alice, hospital, other_hospital):
    MembershipFactory(user=alice, hospital=other_hospital, role="doctor")
    for each in (hospital, other_hospital):
        NotificationFactory(user=alice, hospital=each, kind=Kind.READING_DUE, url="/studies/?state=analysed")
    as_user(alice).get("/studies/")
    assert [row.hospital for row in alice.notifications.unread()] == [other_hospital]
