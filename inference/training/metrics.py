"""Figures about bone ages read against the truth. Ages and errors in months; error = read - truth."""

from collections.abc import Sequence

import numpy as np

BAND_MONTHS = 24
BOOTSTRAPS = 2000
FEWEST_OF_A_BAND = 50
"""Of fewer radiographs the coverage of an interval cannot be told from chance."""


def error_metrics(truth: np.ndarray, read: np.ndarray) -> dict[str, object]:
    """MAE with its bootstrap 95 % interval, RMSE, MSE, R2, bias, and percentages within some months, of (N,) ages."""
    error = read - truth
    spread = float(((truth - truth.mean()) ** 2).sum())
    return {
        "n": len(truth),
        "mae_months": _rounded(np.abs(error).mean()),
        "mae_ci95": bootstrap_mae(error),
        "rmse_months": _rounded(np.sqrt((error**2).mean())),
        "mse": _rounded((error**2).mean()),
        "r2": round(1 - float((error**2).sum()) / spread, 4) if spread else None,
        "bias_months": _rounded(error.mean()),
        **{f"within_{months}": _rounded(100 * (np.abs(error) <= months).mean()) for months in (6, 12, 18, 24)},
    }


def bootstrap_mae(error: np.ndarray, seed: int = 0) -> list[float]:
    """Percentile 95 % interval of the mean absolute error over resampled cases."""
    rng = np.random.default_rng(seed)
    means = np.abs(error)[rng.integers(0, len(error), (BOOTSTRAPS, len(error)))].mean(1)
    return [_rounded(bound) for bound in np.percentile(means, (2.5, 97.5))]


def by_group(groups: Sequence[str], truth: np.ndarray, read: np.ndarray) -> dict[str, dict[str, object]]:
    """`error_metrics` of the cases of each group, the groups in the order of their mean age."""
    names = np.asarray(groups)
    ordered = sorted(set(groups), key=lambda name: truth[names == name].mean())
    return {name: error_metrics(truth[names == name], read[names == name]) for name in ordered}


def age_bands(ages: np.ndarray) -> list[str]:
    """The two-year band of each age: "0-2 y", "2-4 y", ..."""
    starts = (np.maximum(ages, 0) // BAND_MONTHS).astype(int) * 2
    return [f"{start}-{start + 2} y" for start in starts]


def filled_band_starts(ages: np.ndarray) -> list[int]:
    """Where two-year bands of at least FEWEST_OF_A_BAND ages start, in months; smaller ones join their neighbour."""
    counts = np.bincount((np.maximum(ages, 0) // BAND_MONTHS).astype(int))
    starts, filled = [int(counts.nonzero()[0][0])], 0
    for band, count in enumerate(counts):
        if filled >= FEWEST_OF_A_BAND and counts[band:].sum() >= FEWEST_OF_A_BAND:
            starts.append(band)
            filled = 0
        filled += count
    return [start * BAND_MONTHS for start in starts]


def filled_age_bands(ages: np.ndarray) -> list[str]:
    """The band of each age, the bands those of `filled_band_starts`: "0-4 y"."""
    starts = filled_band_starts(ages)
    ends = [*starts[1:], (int(ages.max()) // BAND_MONTHS + 1) * BAND_MONTHS]
    bands = np.searchsorted(starts, np.maximum(ages, 0), side="right") - 1
    return [f"{starts[band] // 12}-{ends[band] // 12} y" for band in bands]


def class_metrics(truth: np.ndarray, read: np.ndarray) -> dict[str, float]:
    """Accuracy, and precision, recall and F1 averaged over the two-year classes that occur in the truth."""
    true_class = (np.maximum(truth, 0) // BAND_MONTHS).astype(int)
    read_class = (np.maximum(read, 0) // BAND_MONTHS).astype(int)
    precision, recall, f1 = [], [], []
    for one in np.unique(true_class):
        hits = ((true_class == one) & (read_class == one)).sum()
        precision.append(hits / max(1, (read_class == one).sum()))
        recall.append(hits / (true_class == one).sum())
        f1.append(2 * precision[-1] * recall[-1] / max(1e-9, precision[-1] + recall[-1]))
    return {
        "accuracy": round(float((true_class == read_class).mean()), 4),
        "precision": round(float(np.mean(precision)), 4),
        "recall": round(float(np.mean(recall)), 4),
        "f1": round(float(np.mean(f1)), 4),
    }


def interval_metrics(truth: np.ndarray, low: np.ndarray, high: np.ndarray) -> dict[str, object]:
    """Share of the truths inside their interval with its binomial 95 % interval, and the mean width."""
    inside = (low <= truth) & (truth <= high)
    return {
        "n": len(truth),
        "coverage": round(float(inside.mean()), 4),
        "coverage_ci95": wilson(int(inside.sum()), len(truth)),
        "mean_width_months": _rounded((high - low).mean()),
    }


def interval_by_group(sexes: Sequence[str], truth: np.ndarray, low: np.ndarray, high: np.ndarray) -> dict[str, object]:
    """`interval_metrics` of all, by sex, and by age band, the bands wide enough to say something."""

    def each(groups: Sequence[str]) -> dict[str, dict[str, object]]:
        names = np.asarray(groups)
        ordered = sorted(set(groups), key=lambda name: truth[names == name].mean())
        return {name: interval_metrics(*(column[names == name] for column in (truth, low, high))) for name in ordered}

    return {
        **interval_metrics(truth, low, high),
        "by_sex": each(sexes),
        "by_age_band": each(filled_age_bands(truth)),
    }


def wilson(hits: int, n: int) -> list[float]:
    """The 95 % interval of a share (Wilson 1927)."""
    z = 1.96
    centre, spread = (hits + z * z / 2) / (n + z * z), z / (n + z * z) * np.sqrt(hits * (n - hits) / n + z * z / 4)
    return [round(float(bound), 4) for bound in (centre - spread, centre + spread)]


def significant(value: float) -> float:
    """Rounded to four digits."""
    return float(f"{value:.4g}")


def _rounded(value) -> float:
    return round(float(value), 3)
