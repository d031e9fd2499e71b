import pytest
from hypothesis import given
from hypothesis import strategies as st

from clinical.growth.ages import DAYS_PER_MONTH
from clinical.growth.preterm import caution, completed_weeks, corrected_age, gestation_days, months_early, reference_age

ages = st.floats(0, 240)
gestations = st.builds("{}+{}".format, st.integers(21, 44), st.integers(0, 6))


@pytest.mark.parametrize(("written", "days"), [("34+2", 240), ("34", 238), ("21", 147), ("21+0", 147), ("44+6", 314)])
def test_a_gestational_age_is_written_in_weeks_and_days(written, days):
    assert gestation_days(written) == days


@pytest.mark.parametrize(
    "written",
    [
        "",
        "20+6",
        "45",
        "45+0",
        "34+7",
        "34+",
        "+2",
        "34+2 ",
        "34.2",
        "34 weeks",
        "240",
        "-34",
        "\N{FULLWIDTH DIGIT THREE}4",
        "34+2\n",
    ],
)
def test_anything_else_is_refused_in_a_sentence_that_says_how_it_is_written(written):
    with pytest.raises(ValueError, match=r"^Give the gestational age in completed weeks, 21 to 44.*: 34 or 34\+2\.$"):
        gestation_days(written)


def test_without_its_days_it_is_in_completed_weeks():
    assert [completed_weeks(each) for each in ("34+6", "34", "")] == ["34", "34", ""]


@pytest.mark.parametrize(
    ("gestation", "weeks"),
    [("30+0", 10), ("30", 10), ("36+6", 3 + 1 / 7), ("37+0", 0), ("37", 0), ("40+0", 0), ("42+1", 0), ("", 0)],
)
def test_only_a_birth_before_37_weeks_is_preterm_and_it_counts_from_40(gestation, weeks):
    assert months_early(gestation) == pytest.approx(weeks * 7 / DAYS_PER_MONTH)


def test_a_child_born_at_30_weeks_is_ten_weeks_younger_by_the_corrected_age():
    assert corrected_age(12, "30+0") == pytest.approx(12 - 70 / (365.25 / 12))
    assert corrected_age(12, "30+0") == pytest.approx(9.70, abs=0.005)
    assert corrected_age(1, "30+0") == pytest.approx(-1.30, abs=0.005)


@pytest.mark.parametrize(("age", "is_corrected"), [(0, True), (35.99, True), (36, False), (120, False)])
def test_until_three_years_it_is_corrected(age, is_corrected):
    assert (corrected_age(age, "30+0") is not None) is is_corrected
    assert (reference_age(age, "30+0") < age) is is_corrected


@given(ages, gestations)
def test_either_the_age_is_corrected_and_that_is_said_or_the_chronological_one_counts(age, gestation):
    corrected = corrected_age(age, gestation)
    assert reference_age(age, gestation) == (age if corrected is None else corrected)
    assert (f"corrected for birth at {gestation} weeks" in caution(age, gestation)) == (corrected is not None)
    assert (caution(age, gestation) == "") == (corrected is None)


@given(ages)
def test_what_is_not_known_is_not_corrected_and_under_three_years_that_is_said(age):
    assert corrected_age(age, "") is None
    assert ("not corrected" in caution(age, "")) == (age < 36)
