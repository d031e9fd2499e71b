from math import exp, log

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from clinical.growth.ages import DAYS_PER_MONTH
from clinical.growth.centiles import BMI, LENGTH, PLAUSIBLE, STANDING_LESS_CM, STATURE, assess, bmi, curve, measure_at

sexes = st.sampled_from(["M", "F"])
measures = st.sampled_from(list(PLAUSIBLE))
ages = st.floats(24, 240)
common = st.floats(-2.5, 2.5)

# z of the centiles that the CDC prints.
Z = {3: -1.880794, 50: 0, 75: 0.674490, 85: 1.036433, 97: 1.880794}


def test_a_boy_of_nine_months_weighing_9_7_kg():
    # Boys, 9.5 months: L -0.1600954, M 9.476500305, S 0.11218624.
    boy = assess("weight", 9.7, 9.5, "M")
    assert boy.z == pytest.approx(((9.7 / 9.476500305) ** -0.1600954 - 1) / (-0.1600954 * 0.11218624))
    assert boy.z == pytest.approx(0.207, abs=0.001)
    assert boy.centile == pytest.approx(58.2, abs=0.05)
    assert boy.reason == ""


@pytest.mark.parametrize(
    ("measure", "sex", "age", "centile", "printed"),
    [
        ("weight", "M", 0, 3, 2.355450986),
        ("weight", "M", 0, 97, 4.446488308),
        ("height", "M", 24, 3, 79.91084447),
        ("height", "M", 24, 50, 86.45220101),
        ("height", "M", 24, 97, 93.02265441),
        ("height", "F", 180.5, 3, 149.7416255),
        ("bmi", "M", 24, 75, 17.55719),
        ("bmi", "M", 24, 97, 19.85986),
        ("bmi", "M", 120.5, 85, 19.3904113),
    ],
)
def test_the_centiles_that_the_cdc_prints_beside_its_parameters_are_met(measure, sex, age, centile, printed):
    assert measure_at(measure, Z[centile], age, sex) == pytest.approx(printed, rel=1e-6)
    assert assess(measure, printed, age, sex).centile == pytest.approx(centile, abs=1e-3)


def test_between_two_rows_the_parameters_are_interpolated():
    # Boys of 24.25 months, half way from 24 to 24.5: L 0.9743657985, M 86.656905175, S 0.040358577.
    boy = assess("height", 90, 24.25, "M")
    assert boy.z == pytest.approx(((90 / 86.656905175) ** 0.9743657985 - 1) / (0.9743657985 * 0.040358577))


def test_an_infant_is_measured_lying_and_a_child_standing_0_8_cm_shorter():
    assert assess("height", 80, 23.99, "F").reference is LENGTH
    assert assess("height", 80, 24, "F").reference is STATURE
    for sex in ("M", "F"):
        step = measure_at("height", 0, 24 - 1e-9, sex) - measure_at("height", 0, 24, sex)
        assert step == pytest.approx(STANDING_LESS_CM, abs=0.01)


def test_a_child_born_preterm_is_judged_by_the_corrected_age():
    # Born at 30+0, 10 weeks (2.3 months) before 40.
    early = 70 / DAYS_PER_MONTH
    for measure, value in (("height", 75), ("weight", 9), ("bmi", 16)):
        for age in (10.0, 26.0, 35.9):
            assert assess(measure, value, age, "M", "30+0") == assess(measure, value, age - early, "M")
        assert assess(measure, value, 36, "M", "30+0") == assess(measure, value, 36, "M")
    assert assess("height", 84, 25, "F", "30+0").reference is LENGTH


def test_before_the_expected_date_of_birth_there_is_the_reason_and_no_number():
    newborn = assess("weight", 1.4, 0, "F", "30+0")
    assert (newborn.z, newborn.reason) == (None, "The CDC 2000 weight-for-age table begins at 0 y 0 m for girls.")


def test_the_week_before_the_second_birthday_is_judged_by_length_alone():
    # Boys of 23.75 months, a quarter of the way from 23.5 (86.8381751) to 24.5 (87.66160934) lying.
    assert measure_at("height", 0, 23.75, "M") == pytest.approx(86.8381751 + (87.66160934 - 86.8381751) / 4)


@given(measures, common, ages, sexes)
def test_the_measure_at_a_z_is_judged_to_be_that_z(measure, z, age, sex):
    value = measure_at(measure, z, age, sex)
    assert assess(measure, value, age, sex).z == pytest.approx(z, abs=1e-9)


@given(st.sampled_from(["height", "weight"]), common, st.floats(0, 24), sexes)
def test_the_measure_at_a_z_of_an_infant_is_judged_to_be_that_z(measure, z, age, sex):
    value = measure_at(measure, z, age, sex)
    assert assess(measure, value, age, sex).z == pytest.approx(z, abs=1e-9)


@given(measures, common, common, ages, sexes)
def test_the_higher_the_z_the_larger_the_measure(measure, lower, higher, age, sex):
    assume(higher - lower > 1e-6)
    assert measure_at(measure, lower, age, sex) < measure_at(measure, higher, age, sex)


@given(st.floats(60, 200), st.floats(60, 200), ages, sexes)
def test_the_taller_the_child_the_higher_the_z_and_the_centile(shorter, taller, age, sex):
    assume(taller - shorter > 1e-6)
    low, high = assess("height", shorter, age, sex), assess("height", taller, age, sex)
    assert low.z < high.z
    assert 0 <= low.centile <= high.centile <= 100


@given(ages, sexes, measures)
def test_the_median_is_the_50th_centile(age, sex, measure):
    assert assess(measure, measure_at(measure, 0, age, sex), age, sex).centile == pytest.approx(50)


def test_with_l_of_zero_the_logarithm_is_normal(monkeypatch):
    monkeypatch.setattr(type(STATURE), "at", lambda *_: (0.0, 100.0, 0.1))
    assert assess("height", 110, 100, "M").z == pytest.approx(log(1.1) / 0.1)
    assert measure_at("height", 2, 100, "M") == pytest.approx(100 * exp(0.2))


def test_near_l_of_zero_nothing_is_lost(monkeypatch):
    monkeypatch.setattr(type(STATURE), "at", lambda *_: (1e-13, 100.0, 0.1))
    assert assess("height", 110, 100, "M").z == pytest.approx(log(1.1) / 0.1, rel=1e-9)


@pytest.mark.parametrize(
    ("measure", "value", "age", "reason"),
    [
        ("height", 150, 240.1, "The CDC 2000 stature-for-age table ends at 20 y 0 m for girls."),
        ("weight", 50, 241, "The CDC 2000 weight-for-age table ends at 20 y 0 m for girls."),
        ("bmi", 16, 23, "The CDC 2000 BMI-for-age table begins at 2 y 0 m for girls."),
    ],
)
def test_outside_its_ages_a_table_gives_the_reason_and_no_number(measure, value, age, reason):
    girl = assess(measure, value, age, "F")
    assert (girl.z, girl.centile, girl.reason) == (None, None, reason)
    with pytest.raises(LookupError, match=reason):
        measure_at(measure, 0, age, "F")


@pytest.mark.parametrize(
    ("measure", "value", "message"),
    [
        ("height", 1.42, "A height is given in cm, from 20 to 250"),
        ("height", 1420, "A height is given in cm"),
        ("weight", 35_000, "A weight is given in kg, from 0.3 to 400"),
        ("weight", 0, "A weight is given in kg"),
        ("bmi", float("nan"), "A BMI is given in kg/m²"),
        ("head", 50, "The measure is one of: height, weight, bmi"),
    ],
)
def test_implausible_input_is_refused(measure, value, message):
    with pytest.raises(ValueError, match=message):
        assess(measure, value, 120, "M")


@pytest.mark.parametrize("z", [6, float("inf"), float("nan")])
def test_a_z_that_no_bmi_reaches_is_refused(z):
    # Girls of 240 months: L S is about -2.34 x 0.153 = -0.36, so that z stays below 1 / 0.36 = 2.8.
    with pytest.raises(ValueError, match="No measure lies that far from the median"):
        measure_at("bmi", z, 240, "F")


@pytest.mark.parametrize("measure", PLAUSIBLE)
def test_the_curve_for_a_chart_is_the_measure_at_each_row(measure):
    points = curve(measure, 1, "F")
    assert [age for age, _ in points] == sorted({age for age, _ in points})
    assert points[0][0] == (24 if measure == "bmi" else 0)
    assert points[-1][0] == (240.5 if measure == "bmi" else 240)
    assert all(value == measure_at(measure, 1, age, "F") for age, value in points)


def test_the_curve_of_bmi_covers_every_row_of_its_table():
    assert len(curve("bmi", 0, "M")) == len(BMI.rows("M"))


def test_the_body_mass_index():
    assert bmi(150, 45) == pytest.approx(45 / 1.5**2) == 20
    with pytest.raises(ValueError, match="A height is given in cm"):
        bmi(1.5, 45)
    with pytest.raises(ValueError, match="A weight is given in kg"):
        bmi(150, 45_000)
