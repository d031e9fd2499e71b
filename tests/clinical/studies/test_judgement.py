"""The stored SDS says what the page would work out, whatever changes."""

import importlib
from datetime import date

import pytest
from django.apps import apps

from clinical.accounts.models import Hospital
from clinical.studies import judgement, tasks, workflow
from clinical.studies.models import Study
from inference import workflow as inference
from tests.factories import PatientFactory, StudyFactory

pytestmark = pytest.mark.usefixtures("unscoped")


def finished(patient, bone_age_months=126.0, **fields):
    study = StudyFactory(patient=patient, **fields)
    inference.finish(inference.start(study.analysis_id, "worker-1"), bone_age_months=bone_age_months)
    return Study.objects.get(pk=study.pk)


def reviewed(study, doctor, bone_age_months):
    workflow.review(
        study, doctor, seen=None, method="own", bone_age_months=bone_age_months, impression="", confirmed=True
    )
    return Study.objects.get(pk=study.pk)


def test_a_finished_analysis_is_judged(patient):
    study = finished(patient)
    assert study.sds == study.assessment.sds


def test_a_review_is_judged_instead_of_the_estimate(patient, alice):
    study = finished(patient)
    estimated = study.sds
    study = reviewed(study, alice, 100.0)
    assert study.sds == study.assessment.sds < estimated


def test_a_corrected_date_of_birth_is_judged_anew(patient):
    before = finished(patient).sds
    patient.date_of_birth = date(2012, 3, 9)
    patient.save()
    study = Study.objects.get()
    assert study.sds == study.assessment.sds < before


def test_a_gestational_age_is_judged_anew(preterm):
    corrected = finished(preterm, 20.0).sds
    preterm.gestational_age = ""
    preterm.save()
    study = Study.objects.get()
    assert study.sds == study.assessment.sds < corrected


@pytest.fixture
def changed(monkeypatch, django_capture_on_commit_callbacks):
    """Save a hospital with other values; returns how many slices the workers have judged."""
    calls = []
    task = tasks.judge_due
    monkeypatch.setattr(task, "apply_async", lambda: calls.append(task) or task())

    def save(hospital, **values):
        for name, value in values.items():
            setattr(hospital, name, value)
        with django_capture_on_commit_callbacks(execute=True):
            hospital.save()
        return len(calls)

    return save


def test_another_reference_table_judges_the_hospitals_studies_and_no_others(
    patient, other_hospital, changed, monkeypatch
):
    monkeypatch.setattr(judgement, "SLICE", 2)
    before = {study.pk: study.sds for study in [finished(patient) for _ in range(5)]}
    theirs = finished(PatientFactory(hospital=other_hospital))
    assert changed(patient.hospital, bone_age_reference="greulich_pyle") == 4  # two, two, one, none left
    for study in Study.objects.filter(patient=patient):
        assert study.sds == study.assessment.sds != before[study.pk]
    assert Study.objects.get(pk=theirs.pk).sds == theirs.sds


@pytest.fixture
def lost(monkeypatch):
    """Calls to the workers get lost, as when the broker is emptied."""
    monkeypatch.setattr(tasks.judge_due, "apply_async", lambda: None)


def chosen(hospital, table):
    hospital.bone_age_reference = table
    hospital.save()


def sweep_until_all_are_judged():
    for _ in range(10):
        tasks.judge_due()
        if not Hospital.objects.exclude(judged_to=None).exists():
            return
    pytest.fail("The sweep comes to no end.")


def test_what_lost_its_call_is_judged_by_the_sweep(patient, lost, monkeypatch):
    monkeypatch.setattr(judgement, "SLICE", 2)
    before = {study.pk: study.sds for study in [finished(patient) for _ in range(5)]}
    chosen(patient.hospital, "greulich_pyle")
    tasks.judge_due()  # of the first slice the call that follows is lost, too
    sweep_until_all_are_judged()
    for study in Study.objects.all():
        assert study.sds == study.assessment.sds != before[study.pk]


@pytest.mark.parametrize("moment", ["between two slices", "within a slice"])
def test_after_another_choice_meanwhile_all_are_judged_anew(patient, lost, monkeypatch, moment):
    monkeypatch.setattr(judgement, "SLICE", 2)
    before = {study.pk: study.sds for study in [finished(patient) for _ in range(5)]}
    chosen(patient.hospital, "greulich_pyle")
    if moment == "between two slices":
        tasks.judge_due()
        chosen(patient.hospital, "brush")
    else:
        judge = judgement.judge

        def judge_and_choose(studies):
            judge(studies)
            monkeypatch.setattr(judgement, "judge", judge)
            chosen(patient.hospital, "brush")

        monkeypatch.setattr(judgement, "judge", judge_and_choose)
    sweep_until_all_are_judged()
    assert dict(Study.objects.values_list("pk", "sds")) == before


def test_the_beat_calls_the_sweep(settings):
    assert "clinical.studies.tasks.judge_due" in {each["task"] for each in settings.CELERY_BEAT_SCHEDULE.values()}


def test_a_hospital_that_is_saved_with_its_table_judges_nothing(patient, changed):
    finished(patient)
    assert changed(patient.hospital, name="St. Anna") == 0


def test_outside_the_table_and_without_a_bone_age_there_is_none(patient):
    adult = PatientFactory(hospital=patient.hospital, date_of_birth=date(1990, 1, 1))
    assert finished(adult).sds is None
    study = StudyFactory(patient=patient)
    inference.reject(inference.start(study.analysis_id, "worker-1"), "blank", "The picture is blank.")
    assert Study.objects.get(pk=study.pk).sds is None


def test_studies_from_before_the_column_are_judged_by_the_migration(patient, alice):
    estimated = finished(patient)
    read = reviewed(finished(patient), alice, 100.0)
    waiting = StudyFactory(patient=patient)
    Study.objects.update(sds=None)
    migration = importlib.import_module("clinical.studies.migrations.0003_judge_the_studies_there_are")
    migration.judge(apps, None)
    assert dict(Study.objects.values_list("pk", "sds")) == {
        estimated.pk: estimated.sds,
        read.pk: read.sds,
        waiting.pk: None,
    }
