"""The 90 % interval: split conformal prediction, scaled to how difficult the image looks.

Lei et al., "Distribution-Free Predictive Inference for Regression", JASA 2018, section 5.2 (locally weighted). The
difficulty is a linear model of what the networks say about the image, fitted on absolute errors; the quantile of
error / difficulty on calibration data makes the interval hold.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

AGE_KNOTS = (36.0, 84.0, 132.0, 180.0)
"""Bone ages in months between which the difficulty varies linearly."""


@dataclass(frozen=True)
class Interval:
    """The fitted interval; its figures are kept in a model's card."""

    coefficients: Sequence[float]
    floor_months: float
    quantile: float

    def half_width(self, months: np.ndarray, disagreement: np.ndarray, mirrored: np.ndarray) -> np.ndarray:
        """Half the width in months, (N,).

        months is the bone age read, disagreement its distance from what stage 1 read, mirrored the distance between
        the readings of the hand and of its mirror image, all in months, (N,).
        """
        difficulty = difficulty_features(months, disagreement, mirrored) @ np.asarray(self.coefficients)
        return self.quantile * np.maximum(difficulty, self.floor_months)


def difficulty_features(months: np.ndarray, disagreement: np.ndarray, mirrored: np.ndarray) -> np.ndarray:
    """(N, F): a hat function of the age per knot, and the two disagreements, capped where they stop telling."""
    ages = np.clip(months, AGE_KNOTS[0], AGE_KNOTS[-1])
    hats = [np.interp(ages, AGE_KNOTS, row) for row in np.eye(len(AGE_KNOTS))]
    return np.column_stack([*hats, np.minimum(disagreement, 40.0), np.minimum(mirrored, 20.0)])
