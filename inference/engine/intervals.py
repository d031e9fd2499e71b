"""The 90 % interval: conformal prediction, conditional on the age, scaled to how difficult the image looks.

The difficulty is a linear model of what the networks say about the image, fitted on absolute errors (Lei et al.,
"Distribution-Free Predictive Inference for Regression", JASA 2018, section 5.2). The quantiles of error / difficulty
are those of hands *of the age in question* (Vovk, "Conditional Validity of Inductive Conformal Predictors", 2012): an
age is inside the interval where a hand of that age would be read so with no rarer an error than one in twenty on that
side. So the few very young and grown hands, which networks read towards the mean, are covered as the others are.
Those quantiles are smooth in the age; one factor for each band of ages makes them hold in it (Romano, Patterson and
Candès, "Conformalized Quantile Regression", NeurIPS 2019, within the groups of Vovk's).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

AGE_KNOTS = (36.0, 84.0, 132.0, 180.0)
"""Bone ages read, in months, between which the difficulty varies linearly."""
AGES = np.arange(0.0, 241.0)
"""The ages that an interval may hold: a hand is grown before 20 years."""
TENTHS = np.arange(1, 10) / 10
"""Beside them, of the month above the age read: where hands are read too old, the interval ends there, and of a
reading of 0 months it would have no width."""


@dataclass(frozen=True)
class Interval:
    """The fitted interval; its figures are kept in a model's card."""

    coefficients: Sequence[float]
    floor_months: float
    low: Sequence[float]
    """5 % quantile of (read - truth) / difficulty at each of `knots`."""
    high: Sequence[float]
    """95 % quantile of the same."""
    knots: Sequence[float] = (12.0, 36.0, 60.0, 84.0, 108.0, 132.0, 156.0, 180.0, 204.0)
    """True bone ages, in months, between which the quantiles vary linearly. Cards that name none have these."""
    band_starts: Sequence[float] = (0.0,)
    """True bone ages, in months, at which bands of ages start. Cards that name none have one band."""
    band_factors: Sequence[float] = (1.0,)
    """What the distance of the two quantiles is multiplied by in each band."""

    def difficulty(self, months: np.ndarray, disagreement: np.ndarray, mirrored: np.ndarray) -> np.ndarray:
        """Months, (N,). The arguments are those of `bounds`."""
        difficulty = difficulty_features(months, disagreement, mirrored) @ np.asarray(self.coefficients)
        return np.maximum(difficulty, self.floor_months)

    def oddness(self, score: np.ndarray, ages: np.ndarray) -> np.ndarray:
        """How far a score, error / difficulty, lies from the middle of the quantiles of hands that old: 1 on either."""
        low, high = (np.interp(ages, self.knots, quantiles) for quantiles in (self.low, self.high))
        return np.abs(2 * score - low - high) / np.maximum(high - low, 1e-9)

    def bounds(
        self, months: np.ndarray, disagreement: np.ndarray, mirrored: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """The lowest and the highest age inside the interval, in months, (N,) each; the age read is always inside.

        months is the bone age read, disagreement its distance from what stage 1 read, mirrored the distance between
        the readings of the hand and of its mirror image, all in months, (N,).
        """
        read = months[:, np.newaxis]
        ages = np.hstack([np.tile(AGES, (len(months), 1)), np.minimum(read + TENTHS, AGES[-1])])
        error = read - ages
        score = error / self.difficulty(months, disagreement, mirrored)[:, np.newaxis]
        factors = np.asarray(self.band_factors)[np.searchsorted(self.band_starts, ages, side="right") - 1]
        inside = (self.oddness(score, ages) <= factors) | (np.abs(error) <= 0.5)
        low, high = np.where(inside, ages, np.inf).min(1), np.where(inside, ages, -np.inf).max(1)
        return np.minimum(low, months), np.maximum(high, months)


def difficulty_features(months: np.ndarray, disagreement: np.ndarray, mirrored: np.ndarray) -> np.ndarray:
    """(N, F): a hat function of the age per knot, and the two disagreements, capped where they stop telling."""
    ages = np.clip(months, AGE_KNOTS[0], AGE_KNOTS[-1])
    hats = [np.interp(ages, AGE_KNOTS, row) for row in np.eye(len(AGE_KNOTS))]
    return np.column_stack([*hats, np.minimum(disagreement, 40.0), np.minimum(mirrored, 20.0)])
