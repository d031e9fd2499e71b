import subprocess
import sys
from math import inf, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clinical.growth import tables
from clinical.growth.adult_height import TABLES as ADULT_HEIGHT
from clinical.growth.bone_age import PLATES, REFERENCES
from clinical.growth.centiles import BMI, LENGTH, STATURE, WEIGHT
from clinical.growth.tables import OutsideTable, Table

SEXES = ("M", "F")
INTERPOLATED = [*REFERENCES.values(), *ADULT_HEIGHT.values(), LENGTH, STATURE, WEIGHT, BMI]
EVERY_TABLE = [*INTERPOLATED, PLATES]

interpolated = st.sampled_from(INTERPOLATED)
sexes = st.sampled_from(SEXES)
shares = st.floats(0, 1)


def named(table):
    return table.name


@pytest.mark.parametrize("sex", SEXES)
@pytest.mark.parametrize("table", EVERY_TABLE, ids=named)
def test_the_rows_of_a_table_rise_in_age_and_come_with_their_source(table, sex):
    ages = list(table.rows(sex))
    assert len(ages) >= 20
    assert ages == sorted(ages)
    assert len(table.source) > 20


@pytest.mark.parametrize("file", sorted(tables.DATA.iterdir()), ids=lambda path: path.name)
def test_every_row_of_every_file_is_reached_by_one_table(file):
    rows = [line for line in file.read_text().splitlines() if not line.startswith("#")][1:]
    assert len(rows) == sum(len(table.rows(sex)) for table in EVERY_TABLE if table.file == file.name for sex in SEXES)


@pytest.mark.parametrize("sex", SEXES)
@pytest.mark.parametrize("table", INTERPOLATED, ids=named)
def test_interpolation_hits_every_row_of_the_table_exactly(table, sex):
    assert [table.at(age, sex) for age in table.rows(sex)] == list(table.rows(sex).values())


@given(interpolated, sexes, st.data(), shares)
def test_between_two_rows_the_values_lie_on_the_straight_line_between_them(table, sex, data, share):
    rows = table.rows(sex)
    ages = list(rows)
    before = data.draw(st.integers(0, len(ages) - 2))
    low, high = ages[before], ages[before + 1]
    between = table.at(low + share * (high - low), sex)
    for value, first, last in zip(between, rows[low], rows[high], strict=True):
        assert value == pytest.approx((1 - share) * first + share * last, rel=1e-9, abs=1e-9)


@given(interpolated, sexes, st.floats(-5, 1e4))
def test_a_table_has_values_within_its_ages_and_none_outside(table, sex, age):
    ages = list(table.rows(sex))
    if ages[0] <= age <= ages[-1]:
        assert len(table.at(age, sex)) == len(table.columns)
    else:
        with pytest.raises(OutsideTable, match="begins at" if age < ages[0] else "ends at"):
            table.at(age, sex)


def test_the_reason_names_the_table_its_limit_and_the_children():
    with pytest.raises(OutsideTable) as outside:
        REFERENCES["brush"].at(193, "F")
    assert str(outside.value) == "The Brush Foundation table ends at 16 y 0 m for girls."


@pytest.mark.parametrize("age", [-inf, nan, inf])
def test_what_is_no_age_is_refused(age):
    with pytest.raises(ValueError, match="An age in months is a finite number"):
        WEIGHT.at(age, "F")


@pytest.mark.parametrize("sex", ["male", "f", "", None])
def test_any_other_word_for_a_sex_is_refused(sex):
    with pytest.raises(ValueError, match='The sex is "M" or "F"'):
        WEIGHT.at(100, sex)


def test_a_table_cannot_be_changed_by_who_reads_it():
    with pytest.raises(TypeError):
        WEIGHT.rows("F")[100.0] = (1.0, 1.0, 1.0)


def test_the_library_needs_no_django():
    library = "adult_height, ages, bone_age, centiles, preterm, tables, velocity"
    check = f"import sys; from clinical.growth import {library}; sys.exit('django' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", check], timeout=60).returncode == 0


def test_a_file_without_a_source_is_not_read(tmp_path, monkeypatch):
    (tmp_path / "heights.csv").write_text("sex,age_months,height\nM,12,76\n")
    monkeypatch.setattr(tables, "DATA", tmp_path)
    with pytest.raises(ValueError, match=r"heights\.csv does not begin with its source"):
        Table("Heights", "heights.csv", "age_months", ("height",)).at(12, "M")
