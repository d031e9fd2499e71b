import numpy as np
import pytest

from inference.training import metrics

TRUTH = np.array([10.0, 50.0, 100.0, 150.0])
READ = np.array([13.0, 46.0, 112.0, 125.0])  # errors +3, -4, +12, -25


def test_errors_are_summed_up_as_by_hand():
    figures = metrics.error_metrics(TRUTH, READ)
    assert figures["mae_months"] == 11.0
    assert figures["bias_months"] == -3.5
    assert figures["mse"] == pytest.approx((9 + 16 + 144 + 625) / 4, abs=1e-3)
    assert figures["rmse_months"] == pytest.approx(figures["mse"] ** 0.5, abs=1e-3)
    assert (figures["within_6"], figures["within_12"], figures["within_24"]) == (50.0, 75.0, 75.0)
    spread = ((TRUTH - TRUTH.mean()) ** 2).sum()
    assert figures["r2"] == pytest.approx(1 - 794 / spread, abs=1e-4)


def test_the_bootstrap_interval_holds_the_mean_and_repeats():
    errors = np.random.default_rng(0).normal(0, 10, 500)
    low, high = metrics.bootstrap_mae(errors)
    assert low < np.abs(errors).mean() < high
    assert high - low < 2.5
    assert metrics.bootstrap_mae(errors) == [low, high]


def test_groups_come_in_the_order_of_age():
    bands = metrics.age_bands(TRUTH[::-1])
    assert list(metrics.by_group(bands, TRUTH[::-1], READ[::-1])) == ["0-2 y", "4-6 y", "8-10 y", "12-14 y"]


def test_classes_are_counted_as_by_hand():
    # Two-year classes: truth 0, 2, 4, 6; read 0, 1, 4, 5.
    figures = metrics.class_metrics(TRUTH, READ)
    assert figures == {"accuracy": 0.5, "precision": 0.5, "recall": 0.5, "f1": 0.5}


def test_coverage_counts_the_truths_inside():
    figures = metrics.interval_metrics(TRUTH, READ - 10, READ + 10)
    assert (figures["n"], figures["coverage"], figures["mean_width_months"]) == (4, 0.5, 20.0)
    # Wilson's interval of 2 in 4, worked out by hand: (2 + 1.92 -+ 1.96 sqrt(1 + 0.96)) / 7.84.
    assert figures["coverage_ci95"] == pytest.approx([0.15, 0.85], abs=1e-3)


def test_bands_with_few_radiographs_join_their_neighbours():
    ages = np.repeat([10.0, 30.0, 60.0, 100.0, 220.0], [5, 60, 70, 20, 4])
    bands = metrics.filled_age_bands(ages)
    assert sorted(set(bands)) == ["0-4 y", "4-20 y"]
    assert metrics.filled_age_bands(np.array([30.0, 40.0])) == ["2-4 y", "2-4 y"]


def test_coverage_is_given_by_sex_and_by_age_band():
    truth = np.repeat([30.0, 100.0], 60)
    figures = metrics.interval_by_group(["F", "M"] * 60, truth, truth - 1, truth + np.repeat([1.0, -0.5], 60))
    assert figures["coverage"] == figures["by_sex"]["F"]["coverage"] == 0.5
    assert {name: band["coverage"] for name, band in figures["by_age_band"].items()} == {"2-4 y": 1.0, "4-10 y": 0.0}
