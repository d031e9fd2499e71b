"""A record is corrected after a reading: nothing is signed on what is no longer true, and what was signed stays."""

import importlib
from datetime import date
from unittest.mock import Mock

import pytest
from django.apps import apps
from django_scopes import scope

from clinical.audit.models import AccessEvent
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
from tests import radiograph_files
from tests.factories import GuardianshipFactory, MeasurementFactory, ReviewFactory, StudyFactory

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
    "the date of birth or of the study was corrected": lambda patient: born(patient, date(2011, 3, 9)),
    "the sex was corrected": boy,
    "the hospital chose another reference table": other_table,
}


def reviewed(study, doctor, **fields):
    study = Study.objects.get(pk=study.pk)
    fields = READING | fields
    fields = {"impression": study.impression(fields["bone_age_months"])} | fields
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


@pytest.fixture
def young(preterm, version):
    """Of a girl born preterm, of 23.0 months."""
    return StudyFactory(
        patient=preterm, state="analysed", analysis__bone_age_months=20.0, analysis__model_version=version
    )


def gestation(patient, gestational_age):
    patient.gestational_age = gestational_age
    patient.save()


@pytest.mark.parametrize("corrected", ["", "29+0", "39+0"])
def test_under_three_years_another_gestational_age_is_another_age_to_judge_by(as_user, young, alice, corrected):
    before = reviewed(young, alice, bone_age_months=20.0)
    gestation(Patient.objects.get(), corrected)
    now = Study.objects.get()
    assert now.sds == now.assessment.sds != before.sds
    with pytest.raises(WrongState, match="the gestational age at birth was corrected"):
        workflow.sign(before, alice, before.review_id)
    page = as_user(alice).get(f"/studies/{young.pk}/").content.decode()
    assert "Since this reading the gestational age at birth was corrected." in page
    again = reviewed(young, alice, bone_age_months=20.0)
    workflow.sign(again, alice, again.review_id)
    assert Study.objects.get().state == "signed"


def test_from_three_years_on_another_gestational_age_changes_nothing(patient, study, alice):
    before = reviewed(study, alice)
    gestation(Patient.objects.get(), "30+0")
    workflow.sign(before, alice, before.review_id)
    after = Study.objects.get()
    assert (after.state, after.sds) == ("signed", before.sds)
    assert Report.objects.get().gestational_age == "30+0"  # of the record, for what was read of the child before


def test_report_and_family_page_keep_the_age_that_was_signed(as_user, preterm, young, alice, monkeypatch):
    monkeypatch.setattr(content, "pictures", Mock())
    parent = GuardianshipFactory(patient=preterm).user
    study = reviewed(young, alice, bone_age_months=20.0)
    workflow.sign(study, alice, study.review_id)
    Study.objects.update(state="released")

    def told():
        report = of_report(Report.objects.get())
        family = as_user(parent).get(f"/family/{preterm.pk}/").context
        keys = ("age", "assessment", "difference", "impression", "readings", "growth")
        return [report[key] for key in keys], [sentences for _, sentences, _ in family["reports"]], family["chart"]

    MeasurementFactory(patient=preterm, height_cm=78, weight_kg=None)
    before = told()
    gestation(Patient.objects.get(), "")
    assert told() == before
    page = as_user(alice).get(f"/studies/{young.pk}/").content.decode()
    assert "Since this reading the gestational age at birth was corrected." in page


def test_a_suggested_conclusion_says_that_the_age_is_corrected(young):
    assert young.impression(20.0).startswith(
        "Bone age 1 y 8 m at a corrected age of 1 y 8 m (birth at 30+0 weeks; chronological age of 1 y 11 m): normal"
    )


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
    workflow.amend(Study.objects.get(), alice, "Another child.")
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


def correct(client, study, day, indication="", **fields):
    page = client.get(f"/studies/{study.pk}/correct/")
    fields = {"acquired_on": day, "indication": indication, "seen": page.context["form"]["seen"].value(), **fields}
    return client.post(f"/studies/{study.pk}/correct/", fields)


def test_a_mistyped_study_date_is_put_right_and_judged_anew(as_user, study, tess):
    before = Study.objects.get()
    response = correct(as_user(tess), study, "2022-05-01", "Short stature")
    assert response["Location"] == f"/studies/{study.pk}/"
    after = Study.objects.get()
    assert (after.acquired_on, after.indication) == (date(2022, 5, 1), "Short stature")
    assert after.sds == after.assessment.sds != before.assessment.sds
    event = AccessEvent.objects.get(verb="edit")
    assert (event.actor, event.detail) == (tess, "acquired_on, indication")
    assert event.changed_values.values == {
        "acquired_on": ["2024-05-01", "2022-05-01"],
        "indication": ["", "Short stature"],
    }


def test_a_reading_before_a_corrected_study_date_is_made_again_before_it_is_signed(as_user, study, alice):
    before = reviewed(study, alice)
    correct(as_user(alice), study, "2023-05-01")
    with pytest.raises(WrongState, match="the date of birth or of the study was corrected"):
        workflow.sign(before, alice, before.review_id)


def test_nothing_corrected_is_no_event(as_user, study, tess):
    correct(as_user(tess), study, "2024-05-01")
    assert not AccessEvent.objects.filter(verb="edit").exists()


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"day": "2999-01-01"}, "The study date lies in the future."),
        ({"day": "2001-01-01"}, "before the patient&#x27;s birth."),
        ({"day": ""}, "This field is required."),
        ({"day": "2024-05-01", "indication": "x" * 401}, "at most 400 characters"),
        ({"day": "2024-05-01", "seen": "[1]"}, "Please correct what is marked"),
    ],
)
def test_a_wrong_correction_says_why_and_changes_nothing(as_user, study, tess, fields, sentence):
    response = correct(as_user(tess), study, **fields)
    assert (response.status_code, sentence in response.content.decode()) == (422, True)
    assert Study.objects.get().acquired_on == date(2024, 5, 1)


def test_of_two_corrections_at_once_the_second_sees_the_first(as_user, study, tess):
    client = as_user(tess)
    seen = client.get(f"/studies/{study.pk}/correct/").context["form"]["seen"].value()
    correct(client, study, "2023-05-01")
    late = correct(client, study, "2022-05-01", seen=seen)
    assert (late.status_code, "Somebody has corrected this study meanwhile" in late.content.decode()) == (409, True)
    assert Study.objects.get().acquired_on == date(2023, 5, 1)
    for text in (r"\u0000", r"\ud83d"):  # what JSON can hold, and a database not
        assert correct(client, study, "2022-05-01", seen=f'["2023-05-01", "{text}"]').status_code == 409
    again = correct(client, study, "2022-05-01", seen=late.context["form"]["seen"].value())
    assert again.status_code == 302
    assert Study.objects.get().acquired_on == date(2022, 5, 1)


def test_what_the_file_says_of_the_date_is_compared_anew(as_user, patient, tess):
    data = radiograph_files.dicom(PatientID="A-1", StudyDate="20240501")
    study = StudyFactory(patient=patient, state="analysed", acquired_on=date(2024, 1, 5), radiograph__file=data)
    Study.objects.update(notices=["The file says taken on 1 May 2024, the study 5 January 2024."])
    correct(as_user(tess), study, "2024-05-01")
    assert Study.objects.get().notices == []
    correct(as_user(tess), study, "2024-05-02")
    assert Study.objects.get().notices == ["The file says taken on 1 May 2024, the study 2 May 2024."]


def test_without_its_film_a_study_keeps_what_was_noticed(as_user, study, tess):
    Study.objects.update(notices=["The file says male, the record female."])
    correct(as_user(tess), study, "2024-04-01")
    assert Study.objects.get().notices == ["The file says male, the record female."]


def test_a_mistyped_date_of_what_was_withdrawn_is_put_right_and_counts_for_nothing(as_user, study, alice):
    workflow.withdraw(study, alice, "Another child.")
    client = as_user(alice)
    assert f'href="/studies/{study.pk}/correct/"' in client.get(f"/studies/{study.pk}/").content.decode()
    assert correct(client, study, "2024-07-01").status_code == 302
    after = Study.objects.get()
    assert (after.state, after.acquired_on, after.sds) == ("cancelled", date(2024, 7, 1), None)


@pytest.mark.parametrize("state", ["signed", "released"])
def test_what_is_signed_is_not_corrected(as_user, study, tess, state):
    Study.objects.update(state=state)
    client = as_user(tess)
    path = f"/studies/{study.pk}/correct/"
    assert f'href="{path}"' not in client.get(f"/studies/{study.pk}/").content.decode()
    for response in (client.get(path, follow=True), client.post(path, {"acquired_on": "2022-05-01"}, follow=True)):
        assert "cannot be corrected any more" in response.content.decode()
    with pytest.raises(WrongState):
        workflow.correct(
            study, tess, seen=(study.acquired_on, ""), acquired_on=date(2022, 5, 1), indication="", notices=[]
        )
    assert Study.objects.get().acquired_on == date(2024, 5, 1)
