"""Fits what the engine needs beside the networks: the gate against images of no hand, and the 90 % interval."""

import numpy as np

from inference.engine.gate import Hands
from inference.engine.intervals import Interval, difficulty_features
from inference.engine.model import BATCH, BoneAgeModel, Reading
from inference.engine.preprocessing import network_input, normalise_contrast, view, working_image
from inference.engine.presets import Preset
from inference.engine.runtimes import Runtime
from inference.training.datasets import Dataset

COVERAGE = 0.9
FLOOR_MONTHS = 3.0
GOOD_HANDS_TAKEN = 0.997
"""Share of validation radiographs that the gate lets through."""


def read_all(model: BoneAgeModel, data: Dataset) -> list[Reading]:
    """Every radiograph read by both stages, none refused by the gate. Raises ValueError for one that cannot be."""
    readings: list[Reading] = []
    for start in range(0, len(data), BATCH):
        labels = data.labels[start : start + BATCH]
        outcomes = model.read(data.images[start : start + BATCH], [label.sex for label in labels], gate=False)
        for label, outcome in zip(labels, outcomes, strict=True):
            if isinstance(outcome, str):
                raise ValueError(f"Radiograph {label.id} cannot be read: {outcome}.")
            readings.append(outcome)
    return readings


def embeddings(runtime: Runtime, preset: Preset, data: Dataset) -> np.ndarray:
    """(N, C) embeddings of whole hands by the attention network."""
    size = preset.attention.backbone.size
    batches = []
    for start in range(0, len(data), BATCH):
        images = data.images[start : start + BATCH]
        views = np.stack([view(normalise_contrast(working_image(image, preset)), size) for image in images])
        batches.append(runtime.attention(network_input(views))["embedding"])
    return np.concatenate(batches)


def fit_hands(known: np.ndarray, good: np.ndarray) -> Hands:
    """The gate: fitted on embeddings of training hands, its limit set on those of validation hands."""
    hands = Hands.fitted(known)
    limit = float(np.quantile(hands.distance(good), GOOD_HANDS_TAKEN))
    return Hands(hands.mean, hands.whitening, limit)


def signals(readings: list[Reading]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What `Interval.half_width` takes: months, disagreement of the stages, difference to the mirror image."""
    return (
        np.array([reading.months for reading in readings]),
        np.array([reading.disagreement for reading in readings]),
        np.array([reading.mirrored_difference for reading in readings]),
    )


def fit_difficulty(readings: list[Reading], ages: np.ndarray) -> list[float]:
    """Non-negative weights of the difficulty's features, by least squares on the absolute errors."""
    features = difficulty_features(*signals(readings))
    errors = np.abs(np.array([reading.months for reading in readings]) - ages)
    used = np.arange(features.shape[1])
    while True:
        weights = np.linalg.lstsq(features[:, used], errors, rcond=None)[0]
        if (weights >= 0).all():
            break
        used = used[weights >= 0]
    coefficients = np.zeros(features.shape[1])
    coefficients[used] = weights
    return [float(weight) for weight in coefficients]


def fit_interval(coefficients: list[float], readings: list[Reading], ages: np.ndarray) -> Interval:
    """The conformal quantile of error / difficulty over calibration data that fitted neither."""
    unit = Interval(coefficients, FLOOR_MONTHS, 1.0)
    months, *rest = signals(readings)
    scores = np.sort(np.abs(months - ages) / unit.half_width(months, *rest))
    rank = min(len(scores), int(np.ceil((len(scores) + 1) * COVERAGE)))
    return Interval(coefficients, FLOOR_MONTHS, float(scores[rank - 1]))


def coverage(interval: Interval, readings: list[Reading], ages: np.ndarray) -> dict[str, float]:
    """Share of the truths inside the interval, and its mean width in months."""
    months, *rest = signals(readings)
    half = interval.half_width(months, *rest)
    return {
        "n": len(readings),
        "coverage": round(float((np.abs(months - ages) <= half).mean()), 4),
        "mean_width_months": round(float(2 * half.mean()), 2),
    }
