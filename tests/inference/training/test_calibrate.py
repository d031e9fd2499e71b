from dataclasses import replace

import numpy as np
import pytest

from inference.engine.model import Reading
from inference.engine.presets import SCALED_AGE_MONTHS
from inference.engine.regions import Attention
from inference.training.calibrate import (
    COVERAGE,
    CUT_TOGETHER,
    cut_hands,
    fit_difficulty,
    fit_hands,
    fit_interval,
    left_out_bounds,
    signals,
    version,
)
from inference.training.metrics import interval_by_group, interval_metrics
from inference.training.non_hands import CUT_OFF


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
    return signals(readings), ages


@pytest.fixture(scope="module")
def fitted():
    read, ages = simulated(2000, seed=2)
    return fit_interval(read, ages)


def test_the_interval_covers_nine_in_ten_of_every_age_on_data_that_fitted_nothing(fitted):
    read, ages = simulated(6000, seed=3)
    figures = interval_by_group(["F"] * len(ages), ages, *fitted.bounds(*read))
    assert figures["coverage"] == pytest.approx(COVERAGE, abs=0.02)
    assert len(figures["by_age_band"]) > 8
    for name, band in figures["by_age_band"].items():
        assert band["coverage"] == pytest.approx(COVERAGE, abs=0.05), name


def test_easy_and_hard_images_are_covered_alike():
    read, ages = simulated(2000, seed=1, pull=0.0)
    fitted = fit_interval(read, ages)
    read, ages = simulated(6000, seed=4, pull=0.0)
    low, high = fitted.bounds(*read)
    chosen = (read[1] < 10, read[1] > 20)
    of_easy, of_hard = (interval_metrics(ages[these], low[these], high[these]) for these in chosen)
    assert of_easy["coverage"] == pytest.approx(of_hard["coverage"], abs=0.05)
    assert of_hard["mean_width_months"] > 1.4 * of_easy["mean_width_months"]


def test_leaving_one_out_measures_what_fresh_data_would():
    read, ages = simulated(500, seed=2)
    left_out = interval_metrics(ages, *left_out_bounds(read, ages))
    fresh, fresh_ages = simulated(6000, seed=6)
    expected = interval_metrics(fresh_ages, *fit_interval(read, ages).bounds(*fresh))
    assert left_out["coverage"] == pytest.approx(expected["coverage"], abs=0.025)
    assert left_out["mean_width_months"] == pytest.approx(expected["mean_width_months"], rel=0.05)


def test_a_band_of_ages_that_is_read_worse_than_its_neighbours_is_covered_as_they_are():
    def read_worse(count, seed):
        read, ages = simulated(count, seed)
        hard = (ages >= 96) & (ages < 120)
        read[0, hard] += np.random.default_rng(100 + seed).normal(0, 30, hard.sum())
        return read, ages, hard

    read, ages, _ = read_worse(2000, seed=7)
    banded = fit_interval(read, ages)
    read, ages, hard = read_worse(6000, seed=8)

    def coverage(interval):
        low, high = interval.bounds(*read)
        return ((low <= ages) & (ages <= high))[hard].mean()

    assert coverage(banded) == pytest.approx(COVERAGE, abs=0.03)
    assert coverage(replace(banded, band_starts=[0], band_factors=[1.0])) < COVERAGE - 0.05


@pytest.mark.parametrize("name", ["age.npz", "hands.npz", "age.onnx", "age.int8.onnx"])
def test_another_serving_file_is_another_version(tmp_path, name):
    for each in ("age.npz", "hands.npz", "age.onnx", "card.json", "MODEL_CARD.md"):
        (tmp_path / each).write_text(each)
    before = version(tmp_path, {"low": [1.0]})
    (tmp_path / "card.json").write_text("another")
    (tmp_path / "MODEL_CARD.md").write_text("another")
    assert version(tmp_path, {"low": [1.0]}) == before
    assert version(tmp_path, {"low": [1.1]}) != before
    (tmp_path / name).write_text("another")
    assert version(tmp_path, {"low": [1.0]}) != before


def test_no_weight_of_the_difficulty_is_negative():
    assert min(fit_difficulty(*simulated(200, seed=5))) >= 0


def test_the_gate_takes_almost_every_good_hand_and_no_part_of_one():
    rng = np.random.default_rng(0)
    known, good = (rng.gamma(4.0, 1.0, size=(1500, 8)) for _ in range(2))
    shapes = [0.3, 0.3, *[4.0] * 6], [*[4.0] * 6, 16.0, 16.0]
    cut, fresh = ([rng.gamma(shape, 1.0, size=(300, 8)) for shape in shapes] for _ in range(2))
    hands = fit_hands(known, cut, good)

    def refused(embeddings):
        return np.mean([hands.distance(one) > hands.limit or hands.cut_off(one) for one in embeddings])

    assert 0 < refused(good) <= 0.004
    assert min(map(refused, fresh)) > 0.9
    assert hands.distance(np.full(8, 60.0)) > hands.limit


def test_hands_are_cut_off_in_every_way(drawn):
    kinds = list(cut_hands(drawn))
    assert [len(cut) for cut in kinds] == [len(names) * len(drawn) for names in CUT_TOGETHER]
    for image, hand in zip(kinds[0].images, drawn.images * 2, strict=True):
        assert image.shape[0] < 0.8 * hand.shape[0]
    assert all(image.shape[1] == 2 * hand.shape[1] for image, hand in zip(kinds[2].images, drawn.images, strict=True))


def test_every_way_of_cutting_is_told():
    assert {name for names in CUT_TOGETHER for name in names} == set(CUT_OFF)
