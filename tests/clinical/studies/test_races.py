"""Many at once on PostgreSQL, where statements really run side by side."""

import uuid
from datetime import date
from threading import Event

import pytest
from django.db import connection, transaction

from clinical.accounts.scope import every_hospital
from clinical.audit.models import ChangedValues
from clinical.patients import erasure
from clinical.studies import workflow
from clinical.studies.models import Review, Study
from inference import workflow as inference
from inference.models import Analysis, ModelVersion
from tests.crowd import CROWD, at_once
from tests.factories import (
    ErasureFactory,
    MembershipFactory,
    PatientFactory,
    RadiographFactory,
    ReviewFactory,
    StudyFactory,
    UserFactory,
)

pytestmark = [pytest.mark.servers, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def study():
    older = ModelVersion.objects.create(name="m", version="1", sha256="1", state="retired")
    ModelVersion.objects.create(name="m", version="2", sha256="2", state="active")
    study = StudyFactory(state="reviewed", analysis__state="analysed", analysis__model_version=older)
    ReviewFactory(study=study, method="ai", bone_age_months=100.0)
    return study


@pytest.fixture
def doctor():
    return UserFactory()


def test_many_doctors_who_ask_for_another_reading_get_one(study, doctor):
    outcomes = at_once(lambda number: workflow.reanalyse(Study.objects.get(), doctor))
    assert outcomes.count(None) == 1
    assert sum(isinstance(outcome, workflow.WrongState) for outcome in outcomes) == CROWD - 1
    with every_hospital():
        assert Analysis.objects.count() == 2


def test_a_signature_and_another_reading_at_once_leave_a_report_of_what_the_doctor_saw(study, doctor):
    with every_hospital():
        workflow.reanalyse(study, doctor)
        run = inference.start(study.reanalysis_id, "worker-1")
        newer = ModelVersion.objects.get(state="active")

    def act(number):
        if number:
            return workflow.sign(Study.objects.get(), doctor, study.review_id)
        return inference.finish(run, model_version=newer, bone_age_months=112.0)

    outcomes = at_once(act)
    assert isinstance(outcomes[0], Analysis)
    assert outcomes.count(None) == 1
    with every_hospital():
        after = Study.objects.select_related("analysis", "review").get()
        assert (after.state, after.reanalysis) == ("signed", None)
        assert after.analysis_id in (study.analysis_id, run.pk)
        assert after.review.analysis_id == study.analysis_id
        assert after.reports.get().review.analysis_id == study.analysis_id


@pytest.mark.parametrize("keys", ["one", "many"])
def test_a_file_sent_by_many_at_once_is_one_study(study, doctor, keys):
    radiograph = RadiographFactory(hospital=study.hospital)
    key = uuid.uuid4()

    def send(number):
        return workflow.submit(
            patient=study.patient,
            radiograph=radiograph,
            acquired_on=study.acquired_on,
            indication="",
            notices=[],
            submission=key if keys == "one" else uuid.uuid4(),
            actor=doctor,
        )

    outcomes = at_once(send)
    with every_hospital():
        filed = radiograph.studies.get()
    assert outcomes.count(filed) == (CROWD if keys == "one" else 1)
    others = [outcome for outcome in outcomes if outcome != filed]
    assert all(isinstance(outcome, workflow.DuplicateRadiograph) for outcome in others)


def test_films_that_come_while_the_record_is_anonymised_are_filed_before_that_or_not_at_all(study, doctor):
    decided = ErasureFactory(patient=study.patient)
    films = RadiographFactory.create_batch(CROWD, hospital=study.hospital)

    def act(number):
        if number == 0:
            return erasure.carry_out(decided.pk)
        return workflow.submit(
            patient=study.patient,
            radiograph=films[number],
            acquired_on=study.acquired_on,
            indication="Doe",
            notices=[],
            submission=uuid.uuid4(),
            actor=doctor,
        )

    outcomes = at_once(act)
    filed = [outcome for outcome in outcomes if isinstance(outcome, Study)]
    refused = [outcome for outcome in outcomes if isinstance(outcome, workflow.WrongState)]
    # An anonymisation waits for what is being read.
    assert (outcomes[0], len(filed), len(refused)) in [(True, 0, CROWD - 1), (False, CROWD - 1, 0)]


def test_of_why_doctors_withdraw_while_the_record_is_anonymised_nothing_stays(study, doctor):
    decided = ErasureFactory(patient=study.patient)

    def act(number):
        if number:
            return workflow.withdraw(Study.objects.get(), doctor, "Doe")
        return erasure.carry_out(decided.pk)

    outcomes = at_once(act)
    assert outcomes[0] is True
    assert outcomes.count(None) == 1
    with every_hospital():
        assert Study.objects.get().cancellation_reason == ""
    assert not ChangedValues.objects.filter(event__patient_key=str(study.patient_id)).exists()


def test_of_what_doctors_write_while_the_record_is_anonymised_nothing_stays(study, doctor):
    decided = ErasureFactory(patient=study.patient)
    reading = {"method": "own", "bone_age_months": 100.0, "impression": "Doe", "comment": "Doe", "confirmed": True}

    def act(number):
        if number:
            return workflow.review(Study.objects.get(), doctor, seen=study.review_id, **reading)
        return erasure.carry_out(decided.pk)

    outcomes = at_once(act)
    assert outcomes[0] is True
    assert sum(isinstance(outcome, workflow.WrongState) for outcome in outcomes) >= CROWD - 2
    with every_hospital():
        assert {(review.impression, review.comment) for review in Review.objects.all()} == {("", "")}


def test_a_study_that_is_ready_while_the_last_before_it_is_read_is_told_of(doctor):
    version = ModelVersion.objects.create(name="m", version="1", sha256="1", state="active")
    reading = {"method": "own", "bone_age_months": 100.0, "impression": "", "confirmed": True}
    doctors = [MembershipFactory(user=doctor, role="doctor") for _ in range(CROWD // 2)]
    pairs = []
    with every_hospital():
        for each in doctors:
            before, after = StudyFactory.create_batch(2, patient=PatientFactory(hospital=each.hospital))
            run = inference.start(before.analysis_id, "worker-1")
            inference.finish(run, model_version=version, bone_age_months=100.0)
            before = Study.objects.get(pk=before.pk)
            pairs.append((before, inference.start(after.analysis_id, "worker-1")))

    def act(number):
        before, run = pairs[number // 2]
        if number % 2:
            return workflow.review(before, doctor, seen=None, **reading)
        return inference.finish(run, model_version=version, bone_age_months=100.0)

    outcomes = at_once(act)
    assert outcomes[1::2] == [None] * len(pairs)
    assert doctor.notifications.unread().filter(kind="reading due").count() == len(pairs)


def test_of_two_films_that_change_places_none_waits_for_the_other_for_ever(doctor):
    with every_hospital():
        mine = StudyFactory(state="failed")
        theirs = StudyFactory(state="failed", patient__hospital=mine.hospital)

    def swap(number):
        film, other = (mine, theirs) if number % 2 else (theirs, mine)
        said = {"acquired_on": film.acquired_on, "indication": "", "notices": [], "reason": "Swapped."}
        return workflow.refile(Study.objects.get(pk=film.pk), doctor, patient=other.patient, **said)

    outcomes = at_once(swap)
    assert sum(isinstance(outcome, Study) for outcome in outcomes) == 2
    assert sum(isinstance(outcome, workflow.WrongState) for outcome in outcomes) == CROWD - 2


def test_a_worker_that_begins_while_a_study_is_cancelled_waits_for_nobody_for_ever(doctor):
    with every_hospital():
        queued = [StudyFactory(state="queued", analysis__state="queued") for _ in range(CROWD // 2)]

    def act(number):
        study = Study.objects.select_related("analysis").get(pk=queued[number // 2].pk)
        if number % 2:
            return workflow.cancel(study, doctor)
        return inference.start(study.analysis_id, "worker-1")

    outcomes = at_once(act)
    for began, ended in zip(outcomes[::2], outcomes[1::2], strict=True):
        assert isinstance(began, workflow.WrongState) != isinstance(ended, workflow.WrongState), (began, ended)


def is_waited_for():
    """Whether another transaction waits for a row that this one has locked."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE pg_backend_pid() = ANY (pg_blocking_pids(pid)))"
        )
        return cursor.fetchone()[0]


def test_a_result_that_comes_while_the_birth_is_corrected_is_judged_by_the_right_one():
    version = ModelVersion.objects.create(name="m", version="1", sha256="1", state="active")
    study = StudyFactory()
    with every_hospital():
        run = inference.start(study.analysis_id, "worker-1")
    corrected = Event()

    @transaction.atomic
    def correct():
        study.patient.date_of_birth = date(2012, 3, 9)
        study.patient.save()
        corrected.set()
        while not is_waited_for():
            pass

    def act(number):
        if number == 0:
            correct()
        elif number == 1:
            corrected.wait()
            inference.finish(run, model_version=version, bone_age_months=100.0)

    assert at_once(act) == [None] * CROWD
    with every_hospital():
        after = Study.objects.select_related("hospital", "patient", "analysis", "review").get()
        assert after.state == "analysed"
        assert after.sds == after.assessment.sds


@pytest.fixture
def shared(doctor):
    """A picture of a patient who is to be erased, and a function that files it for another patient, too."""
    with every_hospital():
        theirs = StudyFactory(state="failed")
        other = PatientFactory(hospital=theirs.hospital)

    def file():
        return workflow.submit(
            patient=other,
            radiograph=theirs.radiograph,
            acquired_on=theirs.acquired_on,
            indication="",
            notices=[],
            submission=uuid.uuid4(),
            actor=doctor,
            confirmed=True,
        )

    return theirs.radiograph, ErasureFactory(patient=theirs.patient, mode="erase"), file


@pytest.mark.parametrize("filed_first", [True, False])
def test_a_picture_that_is_filed_while_the_other_record_that_has_it_is_erased_stays_or_is_refused(shared, filed_first):
    radiograph, decided, file = shared
    acts = [file, lambda: erasure.carry_out(decided.pk)]
    first, second = acts if filed_first else reversed(acts)
    began = Event()

    @transaction.atomic
    def begin():
        done = first()
        began.set()
        while not is_waited_for():
            pass
        return done

    def act(number):
        if number == 0:
            return begin()
        if number == 1:
            began.wait()
            return second()

    outcomes = at_once(act)[:2]
    with every_hospital():
        if filed_first:
            assert outcomes[1] is True
            assert outcomes[0].radiograph == radiograph
            assert Study.objects.get().radiograph.name == radiograph.name
        else:
            assert outcomes[0] is True
            assert str(outcomes[1]) == workflow.PICTURE_GONE
