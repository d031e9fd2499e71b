from datetime import date, timedelta
from functools import partial
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clinical.growth.ages import DAYS_PER_MONTH
from clinical.growth.centiles import curve
from clinical.growth.velocity import bone_age_velocity, growth_velocity, most_growth

days = st.dates(date(2000, 1, 1), date(2040, 12, 31))
apart = st.integers(93, 5000)
heights = st.floats(50, 200)
bone_ages = st.floats(0, 228)
BORN = date(1997, 3, 9)


def test_a_child_grows_three_centimetres_in_half_a_year():
    velocity = growth_velocity(BORN, date(2024, 1, 10), 120.0, date(2024, 7, 10), 123.0)
    assert (velocity.months, velocity.reason) == (6, "")
    assert velocity.value == pytest.approx((123 - 120) / (6 / 12)) == 6


def test_a_childs_bones_mature_half_as_fast_as_time_goes():
    # 96 to 105 months of bone age in 18 months: 9 / 18.
    assert bone_age_velocity(date(2023, 3, 1), 96, date(2024, 9, 1), 105).value == pytest.approx(0.5)


def test_three_calendar_months_are_enough_even_over_february():
    velocity = growth_velocity(BORN, date(2023, 12, 10), 120, date(2024, 3, 10), 121)
    assert velocity.months == 3
    assert velocity.value == pytest.approx(4)


@pytest.mark.parametrize(
    ("born", "cm_per_year"),
    [
        (date(2022, 4, 1), (86.0 + 0.8 - 84.0) / 0.25),  # 21 months lying, 24 standing
        (date(2022, 4, 2), (86.0 - 84.0) / 0.25),  # the day before, still lying
        (date(2022, 1, 1), (86.0 - 84.0) / 0.25),  # 24 months already, standing both times
    ],
)
def test_who_stands_for_the_first_time_at_two_years_has_not_shrunk_by_that(born, cm_per_year):
    assert growth_velocity(born, date(2024, 1, 1), 84.0, date(2024, 4, 1), 86.0).value == pytest.approx(cm_per_year)


def test_who_was_born_preterm_is_measured_lying_until_two_years_of_corrected_age():
    grown = partial(growth_velocity, date(2022, 1, 1), date(2023, 12, 1), 84.0, date(2024, 3, 1), 86.0)
    assert grown("").value == pytest.approx((86.0 + 0.8 - 84.0) / 0.25)
    assert grown("40+0").value == grown("").value
    assert grown("28+0").value == pytest.approx((86.0 - 84.0) / 0.25)


@pytest.mark.parametrize("velocity_of", [partial(growth_velocity, BORN), bone_age_velocity])
@pytest.mark.parametrize("later", [date(2024, 1, 10), date(2024, 1, 11), date(2024, 4, 9)])
def test_less_than_three_months_give_the_reason_and_no_number(velocity_of, later):
    velocity = velocity_of(date(2024, 1, 10), 120, later, 121)
    assert velocity.value is None
    assert velocity.reason == "The two days are less than 3 months apart."
    assert velocity.months < 3


@pytest.mark.parametrize("velocity_of", [partial(growth_velocity, BORN), bone_age_velocity])
def test_days_in_the_wrong_order_are_refused(velocity_of):
    with pytest.raises(ValueError, match="The later day lies before the earlier one"):
        velocity_of(date(2024, 4, 9), 120, date(2024, 1, 10), 121)


@given(days, apart, heights, st.floats(0.5, 30))
def test_growth_at_a_velocity_is_found_again(earlier, lived, height, cm_per_year):
    years = lived / 365.25
    taller = min(height + cm_per_year * years, 250)
    velocity = growth_velocity(BORN, earlier, height, earlier + timedelta(lived), taller)
    expected = (taller - height) / years
    # Calendar months differ from mean months by up to two days in a quarter, three over a February.
    assert velocity.value == pytest.approx(expected, rel=0.04)


@given(days, apart, bone_ages, bone_ages)
def test_exchanging_two_readings_turns_the_sign(earlier, lived, first, second):
    later = earlier + timedelta(lived)
    there = bone_age_velocity(earlier, first, later, second).value
    assert there == pytest.approx(-bone_age_velocity(earlier, second, later, first).value)


@pytest.mark.parametrize("cm", [1.2, 1200, float("nan")])
def test_an_implausible_height_is_refused(cm):
    with pytest.raises(ValueError, match="A height is given in cm"):
        growth_velocity(BORN, date(2023, 1, 1), cm, date(2024, 1, 1), 120)
    with pytest.raises(ValueError, match="A height is given in cm"):
        growth_velocity(BORN, date(2023, 1, 1), 120, date(2024, 1, 1), cm)


@pytest.mark.parametrize("bone_age", [-1, float("nan")])
def test_what_is_no_bone_age_is_refused(bone_age):
    with pytest.raises(ValueError, match="An age in months"):
        bone_age_velocity(date(2023, 1, 1), bone_age, date(2024, 1, 1), 120)


@pytest.mark.parametrize(
    ("earlier", "later", "most"),
    [
        (date(2020, 1, 1), date(2020, 3, 1), 12),
        (date(2020, 1, 1), date(2021, 1, 1), 18 + 27),
        (date(2020, 12, 1), date(2021, 2, 1), 3 + 1.6),
        (date(2030, 1, 1), date(2031, 1, 1), 15),
        (date(2030, 1, 1), date(2030, 1, 1), 0),
    ],
)
def test_the_most_that_a_child_grows_depends_on_the_age(earlier, later, most):
    assert most_growth(date(2020, 1, 1), earlier, later) == pytest.approx(most)


def test_who_was_born_preterm_grows_as_fast_as_before_the_expected_birth():
    born = date(2020, 1, 1)  # 12 weeks (2.76 months) before 40 weeks
    assert most_growth(born, born, date(2020, 3, 1), "28+0") == pytest.approx(12)
    assert most_growth(born, date(2020, 4, 1), date(2020, 5, 1), "28+0") == pytest.approx(6)  # 0.2 to 1.2 months
    assert most_growth(born, date(2022, 12, 1), date(2023, 2, 1), "28+0") == pytest.approx(2 * 1.25)


@pytest.mark.parametrize("sex", ["F", "M"])
@pytest.mark.parametrize("z", [-3, 0, 3])
def test_no_child_on_a_line_of_the_charts_grows_more_than_the_most(sex, z):
    born = date(2000, 1, 1)
    for (age, height), (next_age, taller) in pairwise(curve("height", z, sex)):
        earlier, later = (born + timedelta(days=at * DAYS_PER_MONTH) for at in (age, next_age))
        assert taller - height < most_growth(born, earlier, later) + 1  # the charts' first days are steeper
