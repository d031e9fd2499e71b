from datetime import date

import pytest

from clinical.patients.family_chart import SIDE, chart
from tests.factories import PatientFactory, ReviewFactory

pytestmark = pytest.mark.usefixtures("unscoped")


@pytest.fixture
def study(db):
    """A study of one boy, born on the first of May 2014, at an age in whole years."""
    boy = PatientFactory(sex="M", date_of_birth=date(2014, 5, 1))

    def create(years, bone_age):
        review = ReviewFactory(
            study__patient=boy, study__acquired_on=date(2014 + years, 5, 1), bone_age_months=bone_age
        )
        return review.study

    return create


def test_without_a_study_there_is_no_chart():
    assert chart([]) is None


def test_age_goes_to_the_right_and_bone_age_up_on_one_scale(study):
    shapes = chart([study(8, 84.0), study(10, 108.0)])
    # Bone ages 7 and 9 at ages 8 and 10: the axes go from 6 to 11.
    unit = SIDE / 5
    assert shapes.dots == [(2 * unit, SIDE - unit), (4 * unit, SIDE - 3 * unit)]
    assert [tick.years for tick in shapes.ticks] == [6, 7, 8, 9, 10, 11]
    assert (shapes.ticks[0].x, shapes.ticks[0].y) == (0, SIDE)


def test_a_young_child_born_preterm_stands_at_the_corrected_age(preterm):
    [(x, _)] = chart([ReviewFactory(study__patient=preterm, bone_age_months=20.0).study]).dots
    assert x == pytest.approx(SIDE / 4 * (23 - 70 / 30.4375) / 12, abs=0.1)  # the axis goes from 0 to 4


def test_a_film_from_before_the_expected_birth_lies_in_the_plot(preterm):
    review = ReviewFactory(study__patient=preterm, study__acquired_on=preterm.date_of_birth, bone_age_months=0.0)
    [(x, y)] = chart([review.study]).dots
    assert 0 < x < SIDE
    assert 0 < y < SIDE


def test_the_line_runs_from_the_first_to_the_last_study_in_whatever_order_they_come(study):
    early, late = study(8, 84.0), study(10, 108.0)
    assert chart([late, early]) == chart([early, late])


def test_all_points_lie_in_the_plot_and_ticks_stay_few(study):
    shapes = chart([study(0, 3.0), study(9, 100.0), study(18, 227.0)])
    assert all(0 <= x <= SIDE and 0 <= y <= SIDE for x, y in shapes.dots)
    assert len(shapes.ticks) <= 11


def test_a_normal_bone_age_lies_between_the_edges_of_what_is_usual(study):
    shapes = chart([study(10, 120.0)])
    corners = [tuple(map(float, corner.split(","))) for corner in shapes.usual.split()]
    [(x, y)] = shapes.dots
    upper, lower = [corner for corner in corners if corner[0] == x]
    assert upper[1] < y < lower[1]
