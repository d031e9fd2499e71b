"""The stored SDS says what the page would work out, whatever changes."""

import importlib
from datetime import date

import pytest
from django.apps import apps
from django_scopes import scope

from clinical.studies import workflow
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


def test_another_reference_table_judges_the_hospitals_studies_and_no_others(patient, other_hospital):
    ours, theirs = finished(patient), finished(PatientFactory(hospital=other_hospital))
    hospital = patient.hospital
    hospital.bone_age_reference = "greulich_pyle"
    with scope(hospital=hospital):
        hospital.save()
    study = Study.objects.get(pk=ours.pk)
    assert study.sds == study.assessment.sds != ours.sds
    assert Study.objects.get(pk=theirs.pk).sds == theirs.sds


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
