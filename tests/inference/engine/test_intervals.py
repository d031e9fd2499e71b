import numpy as np

from inference.engine.intervals import Interval

PLAIN = Interval(coefficients=[2.0, 4.0, 6.0, 4.0, 0.5, 1.0], floor_months=3.0, quantile=2.0)


def half_width(months, disagreement=0.0, mirrored=0.0):
    [half] = PLAIN.half_width(np.array([months]), np.array([disagreement]), np.array([mirrored]))
    return half


def test_the_width_varies_linearly_between_the_ages_it_was_fitted_at():
    assert half_width(84.0) == 2 * 4
    assert half_width(108.0) == 2 * 5
    assert half_width(132.0) == 2 * 6


def test_beyond_the_last_age_the_width_stays():
    assert half_width(228.0) == half_width(180.0)


def test_stages_that_disagree_widen_the_interval():
    assert half_width(84.0, disagreement=10.0) == 2 * (4 + 5)
    assert half_width(84.0, mirrored=3.0) == 2 * (4 + 3)


def test_no_interval_is_narrower_than_the_floor():
    assert half_width(10.0) == 2 * 3
