import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from clinical.growth.adult_height import TABLES, maturity_class, predict, target_height

sexes = st.sampled_from(["M", "F"])
bone_ages = st.floats(0, 240)
ages = st.floats(0, 240)
heights = st.floats(60, 200)
parents = st.floats(130, 210)


def test_an_average_boy_of_eleven():
    # Boys, average, bone age 132 months: 80.4 per cent.
    boy = predict(144, 132, 130, "M")
    assert (boy.maturity, boy.percentage, boy.reason) == ("average", 80.4, "")
    assert boy.height_cm == pytest.approx(144 / 0.804)
    assert boy.height_cm == pytest.approx(179.1, abs=0.05)
    assert boy.reference.name == "Bayley-Pinneau average-maturity"


def test_a_delayed_boy_has_more_growth_left_than_an_average_one_of_the_same_bones():
    # Boys, bone age 120 months: delayed 81.2, average 78.4 per cent; he has reached more of a smaller height.
    assert predict(130, 120, 132, "M").height_cm == pytest.approx(130 / 0.812)
    assert predict(130, 120, 131.9, "M").height_cm == pytest.approx(130 / 0.784)


def test_an_accelerated_girl_between_two_rows():
    # Girls, accelerated, bone age 121 months: a third of the way from 120 (82.8) to 123 (84.1).
    girl = predict(140, 121, 100, "F")
    percentage = 82.8 + (84.1 - 82.8) / 3
    assert girl.maturity == "accelerated"
    assert girl.percentage == pytest.approx(percentage)
    assert girl.height_cm == pytest.approx(140 / (percentage / 100))


def test_a_girl_with_closed_plates_is_as_tall_as_she_will_be():
    assert predict(163, 216, 210, "F").height_cm == 163


@pytest.mark.parametrize(
    ("difference", "maturity"),
    [(-12.01, "delayed"), (-12, "delayed"), (-11.99, "average"), (11.99, "average"), (12, "accelerated")],
)
def test_twelve_months_are_no_longer_average(difference, maturity):
    assert maturity_class(100 + difference, 100) == maturity


@pytest.mark.parametrize(
    ("bone_age", "age", "sex", "reason"),
    [
        (157, 180, "M", "The Bayley-Pinneau delayed-maturity table ends at a bone age of 13 y 0 m for boys."),
        (83, 84, "M", "The Bayley-Pinneau average-maturity table begins at a bone age of 7 y 0 m for boys."),
        (80, 60, "F", "The Bayley-Pinneau accelerated-maturity table begins at a bone age of 7 y 0 m for girls."),
        (217, 210, "F", "The Bayley-Pinneau average-maturity table ends at a bone age of 18 y 0 m for girls."),
    ],
)
def test_outside_its_bone_ages_a_table_gives_the_reason_and_no_height(bone_age, age, sex, reason):
    child = predict(150, bone_age, age, sex)
    assert (child.percentage, child.height_cm, child.reason) == (None, None, reason)
    assert child.reference is TABLES[child.maturity]


def test_a_child_born_preterm_is_as_far_ahead_as_beside_the_corrected_age():
    # Born at 27+0, 13 weeks (3.0 months) before 40.
    assert maturity_class(44, 33) == "average"
    assert maturity_class(44, 33, "27+0") == "accelerated"
    assert maturity_class(44, 36, "27+0") == "average"  # no longer corrected


@given(heights, bone_ages, ages, sexes)
def test_there_is_either_a_height_or_a_reason_and_nobody_shrinks(height, bone_age, age, sex):
    child = predict(height, bone_age, age, sex)
    covered = TABLES[child.maturity].rows(sex)
    if min(covered) <= bone_age <= max(covered):
        assert child.reason == ""
        assert child.height_cm >= height * (1 - 1e-12)
        assert child.height_cm * child.percentage / 100 == pytest.approx(height)
    else:
        assert (child.height_cm, child.percentage) == (None, None)
        assert child.reason


@given(sexes, st.sampled_from([-20, 0, 20]), st.floats(84, 156), st.floats(84, 156))
def test_the_older_the_bones_the_more_of_the_height_is_reached(sex, ahead, younger, older):
    assume(older - younger > 1e-6)
    low, high = predict(140, younger, younger - ahead, sex), predict(140, older, older - ahead, sex)
    assert low.percentage < high.percentage
    assert low.height_cm > high.height_cm


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((1.4, 120, 120, "M"), "A height is given in cm"),
        ((140, -1, 120, "M"), "An age in months"),
        ((140, 120, float("nan"), "M"), "An age in months"),
        ((140, 120, 120, "boy"), "The sex is"),
    ],
)
def test_wrong_input_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        predict(*arguments)


def test_the_target_height_of_a_boy_and_his_sister():
    # (178 + 164 + 13) / 2 = 177.5; (178 + 164 - 13) / 2 = 164.5; +- 8.5.
    boy, girl = target_height(178, 164, "M"), target_height(178, 164, "F")
    assert (boy.low_cm, boy.height_cm, boy.high_cm) == (169, 177.5, 186)
    assert (girl.low_cm, girl.height_cm, girl.high_cm) == (156, 164.5, 173)


@given(parents, parents)
def test_a_brother_is_expected_13_cm_taller_than_his_sister(father, mother):
    brother, sister = target_height(father, mother, "M"), target_height(father, mother, "F")
    assert brother.height_cm - sister.height_cm == pytest.approx(13)
    assert (brother.height_cm + sister.height_cm) / 2 == pytest.approx((father + mother) / 2)


@pytest.mark.parametrize(("father", "mother"), [(1.78, 164), (178, 1.64), (178, 300), (float("nan"), 164)])
def test_an_implausible_parent_is_refused(father, mother):
    with pytest.raises(ValueError, match="A parent's height is given in cm, from 100 to 250"):
        target_height(father, mother, "F")


def test_a_target_height_needs_a_sex():
    with pytest.raises(ValueError, match="The sex is"):
        target_height(178, 164, "girl")
