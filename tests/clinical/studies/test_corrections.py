"""A record is corrected after a reading: nothing is signed on what is no longer true, and what was signed stays."""

import importlib
from datetime import date
from unittest.mock import Mock

import pytest
from django.apps import apps
from django_scopes import scope

from clinical.patients.growth_record import growth_record
from clinical.patients.models import Measurement, Patient
from clinical.studies import workflow
from clinical.studies.models import Review, Study
from clinical.studies.workflow import WrongState
from inference import workflow as inference
from inference.models import ModelVersion
from reports import content
from reports.content import of_report
from reports.models import Report
from tests.factories import ReviewFactory, StudyFactory

pytestmark = pytest.mark.usefixtures("unscoped")

READING = {"method": "own", "bone_age_months": 126.0}


@pytest.fixture
def version(db):
    return ModelVersion.objects.create(name="two_stage_compact", version="1", sha256="1" * 64, state="active")


@pytest.fixture
def study(patient, version):
    """Of a girl of 121.7 months, read by the version of the model that serves."""
    return StudyFactory(
        patient=patient, state="analysed", analysis__bone_age_months=126.0, analysis__model_version=version
    )


def born(patient, day):
    patient.date_of_birth = day
    patient.save()


def boy(patient):
    patient.sex = "M"
    patient.save()


def other_table(patient):
    patient.hospital.bone_age_reference = "greulich_pyle"
    with scope(hospital=patient.hospital):
        patient.hospital.save()


CORRECTIONS = {
    "the date of birth was corrected": lambda patient: born(patient, date(2011, 3, 9)),
    "the sex was corrected": boy,
    "the hospital chose another reference table": other_table,
}


def reviewed(study, doctor, **fields):
    study = Study.objects.get(pk=study.pk)
    fields = {"impression": study.impression(126.0), **READING, **fields}
    workflow.review(study, doctor, seen=study.review_id, confirmed=True, **fields)
    return Study.objects.get(pk=study.pk)


@pytest.mark.parametrize("correction", CORRECTIONS)
def test_what_was_read_before_a_correction_is_read_again_before_it_is_signed(
    as_user, patient, study, alice, correction
):
    before = reviewed(study, alice)
    assert not before.corrections  # as a page holds it that is sent while somebody else corrects
    CORRECTIONS[correction](Patient.objects.get())
    with pytest.raises(WrongState, match=correction):
        workflow.sign(before, alice, before.review_id)
    page = as_user(alice).get(f"/studies/{study.pk}/").content.decode()
    assert f"Since this reading {correction}." in page
    assert "Sign the reading" not in page
    again = reviewed(study, alice)
    workflow.sign(again, alice, again.review_id)
    assert Study.objects.get().state == "signed"
    assert "Since this reading" not in as_user(alice).get(f"/studies/{study.pk}/").content.decode()


def test_a_suggested_conclusion_follows_the_correction_and_a_written_one_stays(as_user, patient, study, alice):
    reviewed(study, alice)
    born(Patient.objects.get(), date(2011, 3, 9))
    initial = as_user(alice).get(f"/studies/{study.pk}/").context["review_form"].initial
    assert initial["impression"].startswith("Bone age 10 y 6 m at a chronological age of 13 y 1 m: delayed")
    reviewed(study, alice, impression="See in a year.")
    initial = as_user(alice).get(f"/studies/{study.pk}/").context["review_form"].initial
    assert initial["impression"] == "See in a year."


def test_a_suggestion_that_was_shown_before_the_correction_is_not_the_doctors_own(as_user, patient, study, alice):
    client = as_user(alice)
    form = client.get(f"/studies/{study.pk}/").context["review_form"].initial
    born(Patient.objects.get(), date(2013, 3, 9))
    sent = {key: form[key] for key in ("analysis", "suggested", "impression")}
    client.post(f"/studies/{study.pk}/review/", {**sent, "method": "own", "years": "10", "months": "3"})
    impression = Study.objects.get().review.impression
    assert impression.startswith("Bone age 10 y 3 m at a chronological age of 11 y 1 m")


@pytest.mark.parametrize("correction", CORRECTIONS)
def test_report_and_family_page_keep_what_was_signed(as_user, mother, patient, study, alice, correction, monkeypatch):
    monkeypatch.setattr(content, "pictures", Mock())
    study = reviewed(study, alice)
    workflow.sign(study, alice, study.review_id)
    Study.objects.update(state="released")
    told = ("sex", "age", "assessment", "impression", "chart")
    before = {key: of_report(Report.objects.get())[key] for key in told}
    read = as_user(mother).get(f"/family/{patient.pk}/").context
    CORRECTIONS[correction](Patient.objects.get())
    assert {key: of_report(Report.objects.get())[key] for key in told} == before
    again = as_user(mother).get(f"/family/{patient.pk}/").context
    assert [sentences for _, sentences, _ in again["reports"]] == [sentences for _, sentences, _ in read["reports"]]
    assert again["chart"] == read["chart"]
    page = as_user(alice).get(f"/studies/{study.pk}/").content.decode()
    assert (f"Since this reading {correction}." in page) == ("table" not in correction)


def test_a_family_reads_the_doctors_words_and_no_sentence_of_the_portals(as_user, mother, patient, study, alice):
    reviewed(study, alice)
    Study.objects.update(state="released")
    assert "The doctor wrote" not in as_user(mother).get(f"/family/{patient.pk}/").content.decode()
    ReviewFactory(study=Study.objects.get(), impression="Growing well.")
    page = as_user(mother).get(f"/family/{patient.pk}/").content.decode()
    assert "The doctor wrote" in page
    assert "Growing well." in page


def test_a_corrected_sex_is_that_of_the_reference_until_the_study_is_signed(patient, study, alice):
    boy(Patient.objects.get())
    unsigned = Study.objects.get()
    assert unsigned.sex == "M"
    assert unsigned.sds == unsigned.assessment.sds
    signed = reviewed(study, alice)
    workflow.sign(signed, alice, signed.review_id)
    girl = Patient.objects.get()
    girl.sex = "F"
    girl.save()
    assert Study.objects.get().sex == "M"
    workflow.amend(Study.objects.get(), alice)
    amended = Study.objects.get()
    assert amended.sex == "F"
    assert amended.sds == amended.assessment.sds


def test_an_estimate_as_of_the_other_sex_is_not_accepted_but_read_again(as_user, patient, study, alice, version):
    assert not workflow.outdated(study)
    boy(Patient.objects.get())
    client = as_user(alice)
    page = client.get(f"/studies/{study.pk}/")
    assert "as that of a girl" in page.content.decode()
    notice = page.content.decode().split("as that of a girl")[1].split("<dl")[0]
    assert "Read again as that of a boy" in notice
    assert page.content.decode().count(f"/studies/{study.pk}/reanalyse/") == 1
    form = page.context["review_form"]
    assert "ai" not in dict(form.fields["method"].choices)
    refused = client.post(f"/studies/{study.pk}/review/", {"method": "ai", "analysis": study.analysis_id})
    assert refused.status_code == 422

    client.post(f"/studies/{study.pk}/reanalyse/")
    run = inference.start(Study.objects.get().reanalysis_id, "worker-1")
    assert run.sex == "M"
    inference.finish(run, model_version=version, bone_age_months=118.0, low_months=108.0, high_months=128.0)
    page = client.get(f"/studies/{study.pk}/")
    assert "as that of a girl" not in page.content.decode()
    assert "ai" in dict(page.context["review_form"].fields["method"].choices)
    assert Study.objects.get().bone_age_months == 118.0


def test_what_is_tried_again_is_read_as_of_the_corrected_sex(patient, alice):
    study = StudyFactory(patient=patient, state="rejected")
    boy(patient)
    workflow.retry(Study.objects.get(), alice)
    assert Study.objects.get().analysis.sex == "M"
    assert study.analysis.sex == "F"


def test_a_bone_age_read_as_of_the_other_sex_predicts_no_height(patient, study):
    Measurement.objects.create(
        hospital=patient.hospital,
        patient=patient,
        measured_on=study.acquired_on,
        height_cm=140,
        entered_by=study.submitted_by,
    )
    assert growth_record(patient).predicted
    boy(patient)
    assert growth_record(Patient.objects.get()).predicted is None


def test_the_migration_fills_what_reviews_were_judged_by(patient, study, alice):
    kept = ReviewFactory(study=study, sex="F", age_months=0, reference="")
    Study.objects.update(sex="M")
    importlib.import_module("clinical.studies.migrations.0007_what_reviews_were_judged_by").fill(apps, None)
    kept.refresh_from_db()
    assert (kept.age_months, kept.sex, kept.reference) == (study.chronological_age_months, "M", "brush")
    assert Study.objects.get().sex == "F"
    assert Review.objects.get().assessment.sds is not None
