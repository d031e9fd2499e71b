import numpy as np
import pytest

from inference.engine.model import Reading
from inference.engine.presets import SCALED_AGE_MONTHS
from inference.engine.regions import Attention
from inference.training.calibrate import COVERAGE, coverage, fit_difficulty, fit_hands, fit_interval


def simulated(count, seed):
    """Readings whose error is Gaussian, and larger where the two stages disagree."""
    rng = np.random.default_rng(seed)
    ages = rng.uniform(12, 220, count)
    disagreement = rng.uniform(0, 30, count)
    months = ages + rng.normal(0, 4 + 0.4 * disagreement)
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
    coefficients = fit_difficulty(*simulated(2000, seed=1))
    return fit_interval(coefficients, *simulated(2000, seed=2))


def test_the_interval_covers_nine_in_ten_on_data_that_fitted_nothing(fitted):
    figures = coverage(fitted, *simulated(4000, seed=3))
    assert figures["coverage"] == pytest.approx(COVERAGE, abs=0.02)


def test_easy_and_hard_images_are_covered_alike(fitted):
    readings, ages = simulated(6000, seed=4)
    hard = np.array([reading.disagreement > 20 for reading in readings])
    easy = [reading for reading in readings if reading.disagreement < 10]
    easy_ages = ages[[reading.disagreement < 10 for reading in readings]]
    hard_readings = [reading for reading, chosen in zip(readings, hard, strict=True) if chosen]
    of_easy, of_hard = coverage(fitted, easy, easy_ages), coverage(fitted, hard_readings, ages[hard])
    assert of_easy["coverage"] == pytest.approx(of_hard["coverage"], abs=0.04)
    assert of_hard["mean_width_months"] > 1.5 * of_easy["mean_width_months"]


def test_no_weight_of_the_difficulty_is_negative():
    assert min(fit_difficulty(*simulated(200, seed=5))) >= 0


def test_the_gate_takes_almost_every_good_hand():
    rng = np.random.default_rng(0)
    known, good = (rng.gamma(4.0, 1.0, size=(1500, 8)) for _ in range(2))
    hands = fit_hands(known, good)
    assert (hands.distance(good) > hands.limit).mean() <= 0.004
    assert hands.distance(np.full(8, 60.0)) > hands.limit
