from datetime import date

import pytest

from clinical.patients.plain_words import explain
from tests.factories import PatientFactory, ReportFactory, ReviewFactory

pytestmark = pytest.mark.usefixtures("unscoped")


def study_of(sex, born, bone_age, acquired_on=date(2024, 5, 1)):
    patient = PatientFactory(sex=sex, date_of_birth=born)
    return ReviewFactory(study__patient=patient, study__acquired_on=acquired_on, bone_age_months=bone_age).study


def test_a_mother_reads_of_her_delayed_son(db):
    sentences = explain(study_of("M", date(2012, 1, 1), 110.0), "mother")
    assert sentences[0] == "Your child's bones look like those of an average boy of 9 years and 2 months."
    assert sentences[1] == "He was 12 years and 4 months old when the X-ray was taken."
    assert sentences[2].startswith("That is later than in most boys of that age")


def test_a_girl_reads_of_her_own_bones(db):
    sentences = explain(study_of("F", date(2011, 5, 1), 160.0), "self")
    assert sentences[0] == "Your bones look like those of an average girl of 13 years and 4 months."
    assert sentences[1] == "You were 13 years old when the X-ray was taken."
    assert sentences[2] == "That fits the age: the bones of most girls of that age are about as far."


def test_of_a_child_born_early_it_says_from_which_day_the_age_is_counted(preterm):
    study = ReviewFactory(study__patient=preterm, bone_age_months=20.0).study
    preterm.gestational_age = ""  # as it was signed, it stays
    preterm.save()
    _, age, early, judgement = explain(study, "mother")
    assert age == "She was 1 year and 11 months old when the X-ray was taken."
    assert early == (
        "She was born early, at 30 weeks, so the age is counted from the day on which the birth was expected: "
        "1 year and 8 months."
    )
    assert judgement.startswith("That fits the age")


@pytest.mark.parametrize(
    ("gestation", "words"),
    [("28", "28 weeks"), ("28+1", "28 weeks and 1 day"), ("28+4", "28 weeks and 4 days")],
)
def test_before_the_expected_birth_no_age_is_counted(as_user, mother, preterm, gestation, words):
    preterm.date_of_birth, preterm.gestational_age = date(2024, 4, 1), gestation
    preterm.save()
    study = ReviewFactory(study__patient=preterm, study__state="released", bone_age_months=0.0).study
    ReportFactory(study=study, review=study.review, state="ready")
    mother.guardianships.create(patient=preterm, hospital=preterm.hospital, relation="mother")
    page = " ".join(as_user(mother).get(f"/family/{preterm.pk}/").content.decode().split())
    assert (
        f"She was born early, at {words}, so the age is counted from the day on which the birth was expected: "
        "that was still to come." in page
    )
    assert "<small> before the expected birth </small>" in page


@pytest.mark.parametrize(("bone_age", "says"), [(70.0, "later than"), (120.0, "fits the age"), (170.0, "earlier than")])
def test_the_words_follow_the_determination(db, bone_age, says):
    assert says in explain(study_of("M", date(2014, 5, 1), bone_age), "father")[2]


def test_beyond_the_reference_nothing_is_judged(db):
    sentences = explain(study_of("M", date(2003, 1, 1), 216.0), "guardian")
    assert sentences[0] == "Your child's bones look like those of an average boy of 18 years."
    assert "neither early nor late" in sentences[2]


@pytest.mark.parametrize("relation", ["self", "mother"])
def test_there_is_no_jargon(db, relation):
    text = " ".join(explain(study_of("F", date(2014, 5, 1), 90.0), relation)).lower()
    for word in ("sds", "deviation", "chronological", "skeletal", "delayed", "radiograph", "brush", "greulich"):
        assert word not in text
