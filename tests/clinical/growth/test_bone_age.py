from dataclasses import FrozenInstanceError

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from clinical.growth.ages import DAYS_PER_MONTH
from clinical.growth.bone_age import REFERENCES, Norm, assess, band, plates

sexes = st.sampled_from(["M", "F"])
references = st.sampled_from(list(REFERENCES))
bone_ages = st.floats(0, 240)
covered_ages = st.floats(12, 180)  # in both tables, for both sexes
ages = st.floats(0, 300)


def test_a_delayed_boy_of_eight_years_by_the_brush_table():
    # Boys, 96 months: mean 101.38, SD 9.10.
    boy = assess(78, 96, "M")
    assert boy.sds == pytest.approx((78 - 101.38) / 9.10)
    assert boy.sds == pytest.approx(-2.569, abs=0.001)
    assert (boy.mean, boy.sd, boy.determination, boy.reason) == (101.38, 9.1, "delayed", "")


def test_the_same_boy_is_delayed_by_the_greulich_pyle_table_against_his_own_age():
    # Boys, 96 months: SD 10.8; the mean is the chronological age.
    boy = assess(74, 96, "M", "greulich_pyle")
    assert boy.sds == pytest.approx((74 - 96) / 10.8)
    assert (boy.mean, boy.sd, boy.determination) == (96, 10.8, "delayed")


def test_a_girl_between_two_rows_of_the_table():
    # Girls, 66 months: half way from 60 (66.21, 11.65) to 72 (78.50, 10.23).
    girl = assess(72.355, 66, "F")
    assert girl.mean == pytest.approx((66.21 + 78.50) / 2)
    assert girl.sd == pytest.approx((11.65 + 10.23) / 2)
    assert girl.sds == pytest.approx(0, abs=1e-9)
    assert girl.determination == "normal"


def test_two_sd_of_a_girl_of_five_differ_between_the_tables():
    assert 2 * assess(60, 60, "F", "brush").sd == pytest.approx(23.3)
    assert 2 * assess(60, 60, "F", "greulich_pyle").sd == pytest.approx(17.2)


def test_an_advanced_girl_by_one_table_is_normal_by_the_other():
    # Girls, 60 months: Brush 66.21 + 2 x 11.65 = 89.51; Greulich-Pyle 60 + 2 x 8.6 = 77.2.
    assert assess(80, 60, "F", "brush").determination == "normal"
    assert assess(80, 60, "F", "greulich_pyle").determination == "advanced"


@pytest.mark.parametrize("reference", REFERENCES)
@pytest.mark.parametrize(("age", "is_said"), [(0, True), (35.9, True), (36, False), (240, False)])
def test_under_three_years_it_says_that_the_age_is_not_corrected_for_a_preterm_birth(reference, age, is_said):
    assert ("preterm" in assess(24, age, "F", reference).caution) is is_said
    assert assess(24, age, "F", reference, "38+4").caution == ""


@pytest.mark.parametrize("reference", REFERENCES)
def test_a_young_child_born_preterm_is_judged_by_the_corrected_age(reference):
    # Born at 30+0, 10 weeks (2.3 months) before 40.
    girl, term = assess(20, 24, "F", reference, "30+0"), assess(20, 24 - 70 / DAYS_PER_MONTH, "F", reference, "40+0")
    assert (girl.age_months, girl.sds, girl.determination) == (term.age_months, term.sds, term.determination)
    assert girl.sds > assess(20, 24, "F", reference).sds
    assert (girl.gestation, term.gestation) == ("30+0", "")
    assert girl.caution == "Judged by the age corrected for birth at 30+0 weeks, 1 y 9 m."
    assert assess(20, 36, "F", reference, "30+0") == assess(20, 36, "F", reference)


def test_before_the_expected_date_of_birth_nothing_is_judged():
    newborn = assess(0, 1, "M", gestation="28")
    assert (newborn.determination, newborn.sds) == ("indeterminate", None)
    assert newborn.reason == "The Brush Foundation table begins at 0 y 3 m for boys."
    assert newborn.caution == "Judged by the age corrected for birth at 28 weeks, 0 y 1 m before term."


def test_an_assessment_names_its_table_and_source():
    assert assess(96, 96, "M").reference.name == "Brush Foundation"
    assert assess(96, 96, "M", "greulich_pyle").reference.name == "Greulich-Pyle"
    assert "Greulich WW, Pyle SI" in assess(96, 96, "M", "greulich_pyle").reference.source


@pytest.mark.parametrize(
    ("age", "sex", "reference", "reason"),
    [
        (193, "F", "brush", "The Brush Foundation table ends at 16 y 0 m for girls."),
        (205, "M", "brush", "The Brush Foundation table ends at 17 y 0 m for boys."),
        (2, "M", "brush", "The Brush Foundation table begins at 0 y 3 m for boys."),
        (181, "F", "greulich_pyle", "The Greulich-Pyle table ends at 15 y 0 m for girls."),
        (204.1, "M", "greulich_pyle", "The Greulich-Pyle table ends at 17 y 0 m for boys."),
        (11, "F", "greulich_pyle", "The Greulich-Pyle table begins at 1 y 0 m for girls."),
    ],
)
def test_outside_its_ages_a_table_gives_the_reason_and_no_number(age, sex, reference, reason):
    child = assess(age, age, sex, reference)
    assert (child.determination, child.sds, child.mean, child.sd) == ("indeterminate", None, None, None)
    assert child.reason == reason
    assert child.reference is REFERENCES[reference]


@given(bone_ages, ages, sexes, references)
def test_there_is_either_a_value_or_a_reason(bone_age, age, sex, reference):
    child = assess(bone_age, age, sex, reference)
    covered = band(sex, reference)[0].age_months <= age <= band(sex, reference)[-1].age_months
    assert (child.sds is not None) == (child.reason == "") == covered
    assert (child.determination == "indeterminate") == (not covered)


@given(bone_ages, bone_ages, covered_ages, sexes, references)
def test_the_older_the_bones_the_higher_the_sds(younger, older, age, sex, reference):
    assume(older - younger > 1e-6)
    assert assess(younger, age, sex, reference).sds < assess(older, age, sex, reference).sds


@given(covered_ages, covered_ages, sexes, references)
def test_the_older_the_child_the_higher_the_mean(younger, older, sex, reference):
    assume(older - younger > 1e-6)
    assert assess(0, younger, sex, reference).mean < assess(0, older, sex, reference).mean


@given(st.floats(-4, 4), covered_ages, sexes, references)
def test_a_bone_age_made_from_an_sds_gives_it_back(sds, age, sex, reference):
    norm = assess(0, age, sex, reference)
    bone_age = norm.mean + sds * norm.sd
    assume(bone_age >= 0)
    assert assess(bone_age, age, sex, reference).sds == pytest.approx(sds, abs=1e-9)


@given(bone_ages, covered_ages, sexes, references)
def test_the_determination_follows_the_sds(bone_age, age, sex, reference):
    child = assess(bone_age, age, sex, reference)
    assume(abs(abs(child.sds) - 2) > 1e-9)
    expected = "delayed" if child.sds < -2 else "advanced" if child.sds > 2 else "normal"
    assert child.determination == expected


@pytest.mark.parametrize("reference", REFERENCES)
@pytest.mark.parametrize("sex", ["M", "F"])
def test_the_edges_of_the_band_are_normal_and_a_day_beyond_is_not(sex, reference):
    for norm in band(sex, reference):
        assert assess(norm.low, norm.age_months, sex, reference).determination == "normal"
        assert assess(norm.high, norm.age_months, sex, reference).determination == "normal"
        assert assess(norm.low - 1 / 30, norm.age_months, sex, reference).determination == "delayed"
        assert assess(norm.high + 1 / 30, norm.age_months, sex, reference).determination == "advanced"


def test_the_band_for_a_chart_is_the_table():
    # Boys, 3 months: 3.01 -+ 2 x 0.69; 204 months: 206.21 -+ 2 x 13.05.
    first, *_, last = band("M")
    assert (first, last) == (Norm(3, 3.01, 0.69), Norm(204, 206.21, 13.05))
    assert (first.low, first.high) == (pytest.approx(1.63), pytest.approx(4.39))
    assert (last.low, last.high) == (pytest.approx(180.11), pytest.approx(232.31))
    assert len(band("M")) == 24
    assert len(band("F")) == 23


def test_the_greulich_pyle_band_lies_about_the_childs_age():
    assert all(norm.mean == norm.age_months for norm in band("F", "greulich_pyle"))
    assert [band(sex, "greulich_pyle")[-1].age_months for sex in ("M", "F")] == [204, 180]


def test_the_atlas_has_31_plates_of_boys_and_27_of_girls():
    assert (len(plates("M")), plates("M")[0], plates("M")[-1]) == (31, 0, 228)
    assert (len(plates("F")), plates("F")[0], plates("F")[-1]) == (27, 0, 216)
    assert 138 in plates("M")
    assert 138 not in plates("F")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((-1, 96, "M"), "An age in months"),
        ((float("nan"), 96, "M"), "An age in months"),
        ((96, -1, "M"), "An age in months"),
        ((96, float("nan"), "M"), "An age in months"),
        ((96, 96, "male"), "The sex is"),
        ((96, 96, "M", "tanner_whitehouse"), "The reference is one of: brush, greulich_pyle"),
        ((24, 24, "M", "brush", "30 weeks"), "Give the gestational age"),
    ],
)
def test_wrong_input_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        assess(*arguments)


@pytest.mark.parametrize(
    ("sex", "reference", "message"), [("X", "brush", "The sex is"), ("M", "Brush", "The reference is one of")]
)
def test_a_band_of_nobody_is_refused(sex, reference, message):
    with pytest.raises(ValueError, match=message):
        band(sex, reference)


def test_an_assessment_does_not_change():
    with pytest.raises(FrozenInstanceError):
        assess(96, 96, "M").sds = 0
