import numpy as np
import pytest

from inference.engine.model import Reading
from inference.engine.presets import SCALED_AGE_MONTHS
from inference.engine.regions import Attention
from inference.training.calibrate import (
    COVERAGE,
    cross_fitted_bounds,
    fit_difficulty,
    fit_hands,
    fit_interval,
    signals,
)
from inference.training.metrics import interval_by_group, interval_metrics


def simulated(count, seed, pull=0.15):
    """Readings drawn towards the mean age, whose error is larger where the two stages disagree."""
    rng = np.random.default_rng(seed)
    ages = rng.uniform(12, 220, count)
    disagreement = rng.uniform(0, 30, count)
    months = 130 + (1 - pull) * (ages - 130) + rng.normal(0, 4 + 0.4 * disagreement)
    readings = [
        Reading(
            float(read),
            mirrored_difference=float(rng.uniform(0, 5)),
            attention=Attention((read + gap) / SCALED_AGE_MONTHS, np.zeros((2, 2)), np.zeros(2), None, None),
        )
        for read, gap in zip(months, disagreement, strict=True)
    ]
    return readings, ages


@pytest.fixture(scope="module")
def fitted():
    readings, ages = simulated(2000, seed=2)
    return fit_interval(fit_difficulty(readings, ages), readings, ages)


def test_the_interval_covers_nine_in_ten_of_every_age_on_data_that_fitted_nothing(fitted):
    readings, ages = simulated(6000, seed=3)
    figures = interval_by_group(["F"] * len(ages), ages, *fitted.bounds(*signals(readings)))
    assert figures["coverage"] == pytest.approx(COVERAGE, abs=0.02)
    assert len(figures["by_age_band"]) > 8
    for name, band in figures["by_age_band"].items():
        assert band["coverage"] == pytest.approx(COVERAGE, abs=0.05), name


def test_easy_and_hard_images_are_covered_alike():
    readings, ages = simulated(2000, seed=1, pull=0.0)
    fitted = fit_interval(fit_difficulty(readings, ages), readings, ages)
    readings, ages = simulated(6000, seed=4, pull=0.0)
    low, high = fitted.bounds(*signals(readings))
    disagreement = np.array([reading.disagreement for reading in readings])
    chosen = (disagreement < 10, disagreement > 20)
    of_easy, of_hard = (interval_metrics(ages[these], low[these], high[these]) for these in chosen)
    assert of_easy["coverage"] == pytest.approx(of_hard["coverage"], abs=0.05)
    assert of_hard["mean_width_months"] > 1.4 * of_easy["mean_width_months"]


def test_cross_fitting_measures_what_fresh_data_would(fitted):
    fresh, fresh_ages = simulated(6000, seed=6)
    readings, ages = simulated(2000, seed=2)
    crossed = interval_metrics(ages, *cross_fitted_bounds(readings, ages))
    expected = interval_metrics(fresh_ages, *fitted.bounds(*signals(fresh)))
    assert crossed["coverage"] == pytest.approx(expected["coverage"], abs=0.025)
    assert crossed["mean_width_months"] == pytest.approx(expected["mean_width_months"], rel=0.05)


def test_no_weight_of_the_difficulty_is_negative():
    assert min(fit_difficulty(*simulated(200, seed=5))) >= 0


def test_the_gate_takes_almost_every_good_hand():
    rng = np.random.default_rng(0)
    known, good = (rng.gamma(4.0, 1.0, size=(1500, 8)) for _ in range(2))
    hands = fit_hands(known, good)
    assert (hands.distance(good) > hands.limit).mean() <= 0.004
    assert hands.distance(np.full(8, 60.0)) > hands.limit
