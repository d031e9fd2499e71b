from dataclasses import replace

import numpy as np
import pytest

from inference.engine.intervals import AGES, Interval

EVEN = Interval(
    coefficients=[2.0, 4.0, 6.0, 4.0, 0.5, 1.0],
    floor_months=3.0,
    low=[-2.0] * len(Interval.knots),
    high=[2.0] * len(Interval.knots),
)


def bounds(interval, months, disagreement=0.0, mirrored=0.0):
    [low], [high] = interval.bounds(np.array([months]), np.array([disagreement]), np.array([mirrored]))
    return low, high


def test_the_width_varies_linearly_between_the_ages_it_was_fitted_at():
    assert bounds(EVEN, 84.0) == (84 - 2 * 4, 84 + 2 * 4)
    assert bounds(EVEN, 108.0) == (108 - 2 * 5, 108 + 2 * 5)
    assert bounds(EVEN, 132.0) == (132 - 2 * 6, 132 + 2 * 6)


def test_stages_that_disagree_widen_the_interval():
    assert bounds(EVEN, 84.0, disagreement=10.0) == (84 - 2 * 9, 84 + 2 * 9)
    assert bounds(EVEN, 84.0, mirrored=3.0) == (84 - 2 * 7, 84 + 2 * 7)


def test_no_interval_is_narrower_than_the_floor():
    narrow = Interval([0.0] * 6, 3.0, EVEN.low, EVEN.high)
    assert bounds(narrow, 50.0) == (50 - 2 * 3, 50 + 2 * 3)


def test_ages_that_are_read_too_young_reach_further_up():
    """Hands of 204 months are read up to six difficulties too young: 188 may well be such a hand, 100 may not."""
    towards_the_mean = Interval(EVEN.coefficients, 3.0, low=[-2.0] * 8 + [-6.0], high=EVEN.high)
    assert bounds(towards_the_mean, 188.0)[1] > bounds(EVEN, 188.0)[1] + 6
    assert bounds(towards_the_mean, 100.0) == bounds(EVEN, 100.0)


@pytest.mark.parametrize("months", [0.0, 0.3, 2.0, 100.0])
def test_where_hands_are_read_too_old_the_interval_ends_in_the_month_above_the_reading(months):
    too_old = Interval([0.0] * 6, 3.0, low=[-0.25] * len(Interval.knots), high=EVEN.high)
    low, high = bounds(too_old, months)
    assert months < high <= months + 0.75
    assert low == max(0, np.ceil(months - 6))


@pytest.mark.parametrize("months", [0.0, 0.4, 1.5, 100.3, 228.0, 240.0, 251.0])
def test_the_age_read_is_always_inside(months):
    impossible = Interval(EVEN.coefficients, 3.0, low=[5.0] * len(Interval.knots), high=[6.0] * len(Interval.knots))
    for interval in (EVEN, impossible):
        low, high = bounds(interval, months)
        assert AGES[0] <= low <= months <= high


def test_quantiles_stand_at_the_knots_that_were_fitted():
    every_age = Interval(EVEN.coefficients, 3.0, low=[-6.0, -2.0], high=[2.0, 2.0], knots=[100.0, 140.0])
    low, high = every_age.bounds(np.array([100.0, 140.0]), np.zeros(2), np.zeros(2))
    even_low, even_high = EVEN.bounds(np.array([100.0, 140.0]), np.zeros(2), np.zeros(2))
    assert low == pytest.approx(even_low)
    assert high[0] > even_high[0] + 1
    assert high[1] == pytest.approx(even_high[1])


def test_a_band_of_ages_has_a_width_of_its_own():
    banded = replace(EVEN, band_starts=[0.0, 120.0], band_factors=[1.0, 1.5])
    assert bounds(banded, 84.0) == bounds(EVEN, 84.0)
    assert bounds(banded, 180.0) == (180 - 3 * 4, 180 + 3 * 4)
    low, high = bounds(banded, 108.0)  # 120 is of the next band
    assert (low, high) == (108 - 2 * 5, 108 + 3 * 5)
