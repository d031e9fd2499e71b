from datetime import date

import pytest

from clinical.growth import adult_height, centiles
from clinical.growth.ages import DAYS_PER_MONTH
from clinical.growth.centiles import STANDING_LESS_CM
from clinical.patients.growth_record import growth_record
from clinical.patients.templatetags.growth import judged
from tests.factories import AnalysisFactory, MeasurementFactory, ReviewFactory, StudyFactory

pytestmark = pytest.mark.usefixtures("unscoped")


@pytest.fixture
def measured(patient):
    def measure(day, height_cm=None, weight_kg=None):
        return MeasurementFactory(patient=patient, measured_on=day, height_cm=height_cm, weight_kg=weight_kg)

    return measure


@pytest.fixture
def read(patient):
    """`read(day, ai, doctor)`: a study with these bone ages in months."""

    def study(day, ai=None, doctor=None, **fields):
        analysis = AnalysisFactory(
            hospital=patient.hospital,
            bone_age_months=ai,
            low_months=ai and ai - 9,
            high_months=ai and ai + 9,
        )
        study = StudyFactory(patient=patient, analysis=analysis, acquired_on=day, state="analysed", **fields)
        if doctor is not None:
            study.review = ReviewFactory(study=study, bone_age_months=doctor, method="atlas")
            study.save()
        return study

    return study


def test_rows_are_newest_first_and_judged_for_the_age_on_their_day(patient, measured):
    measured(date(2023, 5, 1), 131)
    measured(date(2024, 5, 1), 137.5, 31.2)
    newest, oldest = growth_record(patient).rows
    assert newest.age_months == patient.age_on(date(2024, 5, 1))
    assert newest.height == centiles.assess("height", 137.5, newest.age_months, "F")
    assert newest.weight == centiles.assess("weight", 31.2, newest.age_months, "F")
    assert newest.bmi.z == centiles.assess("bmi", 31.2 / 1.375**2, newest.age_months, "F").z
    assert (oldest.weight, oldest.bmi, oldest.velocity) == (None, None, None)


def test_of_a_young_child_born_preterm_the_rows_are_judged_at_the_corrected_age(preterm):
    MeasurementFactory(patient=preterm, measured_on=date(2024, 5, 1), height_cm=78, weight_kg=10)
    MeasurementFactory(patient=preterm, measured_on=date(2024, 7, 1), height_cm=80, weight_kg=None)
    StudyFactory(patient=preterm, state="analysed", analysis__bone_age_months=34)
    record = growth_record(preterm)
    later, row = record.rows
    [reading] = record.readings
    age = 23 - 70 / DAYS_PER_MONTH
    assert (row.age_months, row.corrected_age_months) == (23, pytest.approx(age))
    assert row.reference_age_months == row.corrected_age_months == reading.reference_age_months
    assert row.height.z == pytest.approx(centiles.assess("height", 78, age, "F").z)
    assert row.bmi.z == pytest.approx(centiles.assess("bmi", 10 / 0.78**2, age, "F").z)
    assert row.prediction.maturity == "accelerated"  # 34 months beside 20.7, not beside 23
    assert later.height.reference is centiles.LENGTH  # of 25 months, corrected 22.7
    assert record.is_corrected


@pytest.mark.parametrize("gestation", ["", "38+0"])
def test_without_a_preterm_birth_nothing_is_corrected(preterm, gestation):
    preterm.gestational_age = gestation
    MeasurementFactory(patient=preterm, measured_on=date(2024, 5, 1), height_cm=78, weight_kg=10)
    record = growth_record(preterm)
    assert (record.rows[0].corrected_age_months, record.is_corrected) == (None, False)
    assert record.rows[0].height == centiles.assess("height", 78, 23, "F")


def test_velocity_is_taken_over_the_last_height_at_least_three_months_earlier(patient, measured):
    measured(date(2023, 5, 1), 131)
    measured(date(2023, 8, 1), None, 29)
    measured(date(2024, 3, 15), 137)
    measured(date(2024, 5, 1), 137.5)
    newest, before, weighed, _ = growth_record(patient).rows
    assert newest.velocity.value == pytest.approx(6.5)
    assert newest.velocity.months == pytest.approx(12)
    assert before.velocity.value == pytest.approx(6 / before.velocity.months * 12)
    assert weighed.velocity is None


def test_velocity_over_the_second_birthday_adds_what_is_lost_by_standing(patient, measured):
    measured(date(2015, 12, 9), 84)
    measured(date(2016, 3, 9), 86)
    assert growth_record(patient).rows[0].velocity.value == pytest.approx((86 + STANDING_LESS_CM - 84) / 0.25)


def test_the_adult_height_is_predicted_from_the_nearest_bone_age_within_six_months(patient, measured, read):
    measured(date(2024, 5, 1), 137.5)
    read(date(2023, 12, 1), ai=100)
    near = read(date(2024, 6, 1), ai=118, doctor=120)
    [row] = growth_record(patient).rows
    assert row.reading.study == near
    assert row.reading.method == "Atlas of Greulich and Pyle, read by the doctor"
    expected = adult_height.predict(137.5, 120, patient.age_on(date(2024, 6, 1)), "F")
    assert row.prediction == expected
    assert growth_record(patient).predicted is not None


def test_a_bone_age_of_more_than_six_months_before_predicts_nothing(patient, measured, read):
    measured(date(2024, 5, 1), 137.5)
    read(date(2023, 10, 25), ai=110)
    record = growth_record(patient)
    assert (record.rows[0].reading, record.rows[0].prediction, record.predicted) == (None, None, None)


def test_outside_the_table_the_row_says_why_and_nothing_is_predicted(patient, measured, read):
    measured(date(2018, 5, 1), 103)
    read(date(2018, 5, 1), ai=50)
    record = growth_record(patient)
    assert record.rows[0].prediction.height_cm is None
    assert "begins at a bone age of" in record.rows[0].prediction.reason
    assert record.predicted is None


def test_readings_are_oldest_first_with_ai_and_doctor_apart(patient, read):
    read(date(2024, 5, 1), ai=118, doctor=122)
    read(date(2023, 5, 1), doctor=110)
    read(date(2022, 5, 1), ai=90)
    read(date(2024, 8, 1))
    record = growth_record(patient)
    assert [(each.ai_months, each.doctor_months, each.bone_age_months) for each in record.readings] == [
        (90, None, 90),
        (None, 110, 110),
        (118, 122, 122),
    ]
    assert "not yet reviewed" in record.readings[0].method


def test_the_target_height_needs_both_parents(patient):
    patient.mother_height_cm = 164
    assert growth_record(patient).target is None
    patient.father_height_cm = 180
    assert growth_record(patient).target.height_cm == pytest.approx(165.5)


def test_another_patients_values_stay_out(patient, measured, read):
    MeasurementFactory(height_cm=150)
    StudyFactory(analysis__bone_age_months=100)
    record = growth_record(patient)
    assert (record.rows, record.readings) == ([], [])


@pytest.mark.parametrize(
    ("z", "centile", "words"),
    [
        (-1.881, 3.0, "3rd centile, z\N{NO-BREAK SPACE}−1.88"),
        (0.0, 50.0, "50th centile, z\N{NO-BREAK SPACE}+0.00"),
        (-1.2, 11.5, "12th centile, z\N{NO-BREAK SPACE}−1.20"),
        (0.55, 71.0, "71st centile, z\N{NO-BREAK SPACE}+0.55"),
        (-3.1, 0.1, "below the 1st centile, z\N{NO-BREAK SPACE}−3.10"),
        (2.9, 99.8, "above the 99th centile, z\N{NO-BREAK SPACE}+2.90"),
    ],
)
def test_a_centile_is_put_in_words(z, centile, words):
    assert judged(centiles.Centile(centiles.STATURE, z, centile)) == words
