from datetime import date, timedelta

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from clinical.growth.ages import age_in_months, completed, difference_shown, in_full, in_words
from clinical.studies.templatetags.ages import signed_months

births = st.dates(date(1900, 1, 1), date(2100, 12, 31))
days = st.integers(0, 30_000)


@given(births, days)
def test_every_day_makes_a_child_older(born, lived):
    today = born + timedelta(days=lived)
    assert age_in_months(born, today) < age_in_months(born, today + timedelta(days=1))


@given(births, st.integers(0, 110))
def test_a_birthday_is_a_whole_number_of_years(born, years):
    assume((born.month, born.day) != (2, 29))
    assert age_in_months(born, born.replace(year=born.year + years)) == 12 * years


@given(births, st.integers(0, 1200))
def test_the_same_day_of_a_later_month_is_a_whole_number_of_months(born, months):
    assume(born.day <= 28)
    year, month = divmod(born.month - 1 + months, 12)
    assert age_in_months(born, date(born.year + year, month + 1, born.day)) == months


@given(births, days)
def test_calendar_months_and_mean_months_stay_within_four_days_of_each_other(born, lived):
    mean = lived / (365.25 / 12)
    assert age_in_months(born, born + timedelta(days=lived)) == pytest.approx(mean, abs=4 / 30)


@given(births, st.integers(1, 30_000))
def test_nobody_has_an_age_before_the_birth(born, early):
    with pytest.raises(ValueError, match="before the birth"):
        age_in_months(born, born - timedelta(days=early))


@pytest.mark.parametrize(
    ("born", "on", "months"),
    [
        (date(2012, 2, 29), date(2013, 2, 28), 11 + 30 / 30.4375),  # the birthday is the day after
        (date(2012, 2, 29), date(2016, 2, 29), 48),
        (date(2014, 1, 31), date(2014, 2, 28), 28 / 30.4375),
        (date(2014, 1, 31), date(2014, 3, 31), 2),
        (date(2013, 12, 31), date(2014, 1, 1), 1 / 30.4375),
        (date(2014, 3, 9), date(2014, 3, 9), 0),
    ],
)
def test_months_of_unequal_length(born, on, months):
    assert age_in_months(born, on) == pytest.approx(months)


@pytest.mark.parametrize(
    ("months", "words"),
    [(0, "0 y 0 m"), (11.6, "1 y 0 m"), (148.3, "12 y 4 m"), (143.49, "11 y 11 m"), (228, "19 y 0 m")],
)
def test_an_age_is_said_in_years_and_months(months, words):
    assert in_words(months) == words


@pytest.mark.parametrize(
    ("born", "on", "words"),
    [
        (date(2016, 3, 5), date(2026, 11, 26), "10 y 8 m"),
        (date(2016, 3, 5), date(2026, 12, 4), "10 y 8 m"),
        (date(2016, 3, 5), date(2026, 12, 5), "10 y 9 m"),
        (date(2014, 12, 10), date(2026, 11, 26), "11 y 11 m"),  # two weeks before the birthday
        (date(2026, 11, 20), date(2026, 11, 26), "0 y 0 m"),
    ],
)
def test_a_chronological_age_is_shown_in_completed_months(born, on, words):
    assert in_words(completed(age_in_months(born, on))) == words


@pytest.mark.parametrize(("months", "words"), [(-2.4, "0 y 2 m before term"), (-0.9, "0 y 0 m")])
def test_so_is_a_corrected_age_before_the_expected_birth(months, words):
    assert in_words(completed(months)) == words


@pytest.mark.parametrize(
    ("months", "words"),
    [
        (0.2, "less than a month"),
        (1, "1 month"),
        (11.2, "11 months"),
        (12.4, "1 year"),
        (13, "1 year and 1 month"),
        (126.2, "10 years and 6 months"),
        (143.6, "12 years"),
    ],
)
def test_an_age_is_said_in_full_for_families(months, words):
    assert in_full(months) == words


@pytest.mark.parametrize(
    ("bone_age", "age", "shown"), [(109.4, 110.9, -1), (109.4, 110.0, -1), (110.5, 109.9, 1), (126.0, 126.9, 0)]
)
def test_a_difference_is_that_of_the_ages_as_they_are_shown(bone_age, age, shown):
    assert difference_shown(bone_age, age) == shown


def test_a_difference_of_less_than_a_year_names_no_years():
    assert [signed_months(months) for months in (-2, 0, 14)] == ["−2 m", "±0 m", "+1 y 2 m"]
