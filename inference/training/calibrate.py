"""Fits what the engine needs beside the networks: the gate against images of no hand, and the 90 % interval.

    python -m inference.training.calibrate --weights DIR --data DIR

does it anew for weights that were exported before, and writes it into their card; for weights without ONNX files with
--runtime tensorflow. The gate is fitted on training
radiographs and some drawn hands, whole and cut off, its limits and the interval on validation radiographs; whether
the interval holds is checked on each of these by an interval fitted on the others.
"""

import argparse
import hashlib
import json
import math
import os
from collections.abc import Iterable, Iterator
from dataclasses import asdict, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import numpy as np

from inference.engine import presets
from inference.engine.gate import Hands
from inference.engine.intervals import Interval, difficulty_features
from inference.engine.model import BATCH, BoneAgeModel, Reading
from inference.engine.orientation import orientation
from inference.engine.preprocessing import PREPROCESSING, network_input, normalise_contrast, view, working_image
from inference.engine.presets import Preset, WholeHand
from inference.engine.runtimes import RUNTIMES, Runtime
from inference.engine.two_stage import TwoStageModel
from inference.engine.weights import read_card, serving_files
from inference.engine.whole_hand import WholeHandModel
from inference.training import metrics
from inference.training.card import write_card
from inference.training.command_line import in_a_sentence
from inference.training.datasets import Dataset, read_dataset, require_data
from inference.training.non_hands import CUT_OFF
from inference.training.phantom_set import draw_phantoms

COVERAGE = 0.9
FLOOR_MONTHS = 3.0
KNOTS = tuple(map(float, range(12, 217, 12)))
"""True bone ages, in months, at which the interval's quantiles are fitted."""
NEARBY_MONTHS = 12.0
"""Standard deviation of the Gaussian that says how much a hand of one age tells of another age."""
FOLDS = 10
"""Quantiles hold on the hands that they were fitted on: what makes them hold on others is found in so many parts, each
judged by quantiles of the rest."""
FEWEST = 100
"""Radiographs that gate and interval are fitted on, and that they are checked on: of fewer, not even five lie beyond
either end of an interval that holds nine in ten."""
GOOD_HANDS_TAKEN = 0.997
"""Share of validation radiographs that the gate lets through."""
GATE_SAMPLE = 4000
"""Training radiographs that the gate is fitted on."""
GATE_PHANTOMS, GATE_PHANTOM_SEED = 400, 25_000
"""Drawn hands beside them. Without these the gate of a sharper network tells them from radiographs, and the
demonstration's studies are refused."""
CUT_SEED = 26_000
"""All of these and those are cut off, in every way of CUT_OFF: with 300 of them six times as many parts pass."""
CUT_TOGETHER = (("wrist alone", "fingers cut off"), ("side cut off",), ("both hands",))
"""What one discriminant each tells from whole hands: one for all of them let several times as many pass."""
RIDGE = 10.0
"""Penalty on the squared coefficients of such a discriminant, the hands and parts counting one each."""
NEWTON_STEPS = 20
PHANTOMS, PHANTOM_SEED = 200, 20_000


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
        upright = [orientation(image).upright(image) for image in images]
        views = np.stack([view(normalise_contrast(working_image(image, preset)), size) for image in upright])
        batches.append(runtime.attention(network_input(views))["embedding"])
    return np.concatenate(batches)


def cut_hands(known: Dataset) -> Iterator[Dataset]:
    """All of them, cut off in the ways of each of CUT_TOGETHER, one after the other: they take much memory."""
    rng = np.random.default_rng(CUT_SEED)
    for names in CUT_TOGETHER:
        images = [CUT_OFF[name](image, rng) for name in names for image in known.images]
        yield Dataset(known.labels * len(names), images)


def fit_hands(known: np.ndarray, cut: Iterable[np.ndarray], good: np.ndarray) -> Hands:
    """The gate: fitted on embeddings (N, C) of training hands, whole and cut off in several ways, its limits set on
    those of validation hands.

    All limits leave as many of these out, and together let GOOD_HANDS_TAKEN through.
    """
    hands = Hands.fitted(known)
    whole = [_discriminant(hands.whitened(known), hands.whitened(parts)) for parts in cut]
    hands = replace(hands, whole=np.stack(whole, axis=1))
    odd = np.column_stack([hands.distance(good), -hands.wholeness(good)])
    few = round((1 - GOOD_HANDS_TAKEN) * len(good))
    limits = next(at for at in np.sort(odd, axis=0)[-few - 1 :] if (odd > at).any(axis=1).sum() <= few)
    limits = limits + 0.001 * odd.std(axis=0)  # single precision must not refuse the hands that they stand on
    return replace(hands, limit=float(limits[0]), least=-limits[1:])


def _discriminant(whole: np.ndarray, parts: np.ndarray) -> np.ndarray:
    """(C,): where `whole` (N, C) lies from `parts` (M, C), by logistic regression in which both weigh alike."""
    x = np.hstack([np.vstack([whole, parts]), np.ones((len(whole) + len(parts), 1))])
    y = np.repeat([1.0, 0.0], [len(whole), len(parts)])
    weights = len(x) / 2 / np.where(y, len(whole), len(parts))
    penalty = np.diag([RIDGE] * whole.shape[1] + [0.0])
    w = np.zeros(x.shape[1])
    for _ in range(NEWTON_STEPS):
        p = 1 / (1 + np.exp(-x @ w))
        slope = x.T @ (weights * (p - y)) + penalty @ w
        curvature = (x * (weights * p * (1 - p))[:, np.newaxis]).T @ x + penalty
        w = w - np.linalg.solve(curvature, slope)
    return w[:-1]


def signals(readings: list[Reading]) -> np.ndarray:
    """(3, N), what `Interval.bounds` takes: months, disagreement of the stages, difference to the mirror image."""
    return np.array([[each.months, each.disagreement, each.mirrored_difference] for each in readings]).T


def fit_difficulty(read: np.ndarray, ages: np.ndarray) -> list[float]:
    """Non-negative weights of the difficulty's features, by least squares on the absolute errors of `signals`."""
    features = difficulty_features(*read)
    errors = np.abs(read[0] - ages)
    used = np.arange(features.shape[1])
    while True:
        weights = np.linalg.lstsq(features[:, used], errors, rcond=None)[0]
        if (weights >= 0).all():
            break
        used = used[weights >= 0]
    coefficients = np.zeros(features.shape[1])
    coefficients[used] = weights
    return [float(weight) for weight in coefficients]


def fit_interval(read: np.ndarray, ages: np.ndarray) -> Interval:
    """Of `signals` and (N,) true ages: the quantiles of error / difficulty at each age, those of the hands about that
    old, and what makes them hold in each band of ages, by hands that had no part in the quantiles.
    """
    folds = np.arange(len(ages)) % FOLDS
    oddness = np.empty(len(ages))
    for fold in range(FOLDS):
        held_out = folds == fold
        others = _smooth_interval(read[:, ~held_out], ages[~held_out])
        scores = (read[0] - ages)[held_out] / others.difficulty(*read[:, held_out])
        oddness[held_out] = others.oddness(scores, ages[held_out])
    starts = [0, *metrics.filled_band_starts(ages)[1:]]
    bands = np.searchsorted(starts, ages, side="right") - 1
    factors = [_conformal_quantile(oddness[bands == band]) for band in range(len(starts))]
    return replace(_smooth_interval(read, ages), band_starts=starts, band_factors=factors)


def _smooth_interval(read: np.ndarray, ages: np.ndarray) -> Interval:
    """The quantiles alone."""
    unit = Interval(fit_difficulty(read, ages), FLOOR_MONTHS, [], [])
    scores = (read[0] - ages) / unit.difficulty(*read)
    knots = np.array(KNOTS)[:, np.newaxis]
    nearness = np.exp(-0.5 * ((np.clip(ages, knots.min(), knots.max()) - knots) / NEARBY_MONTHS) ** 2)
    return replace(
        unit,
        low=[-_upper_quantile(-scores, weights) for weights in nearness],
        high=[_upper_quantile(scores, weights) for weights in nearness],
        knots=KNOTS,
    )


def _upper_quantile(scores: np.ndarray, weights: np.ndarray) -> float:
    """The weighted quantile that one in twenty lies above.

    The case to come counts as half a one, for the likeliest coverage; what makes up for few is left to the bands.
    """
    order = np.argsort(scores)
    below = np.cumsum(weights[order])
    return float(np.interp((1 + COVERAGE) / 2, below / (below[-1] + 0.5 * weights.max()), scores[order]))


def _conformal_quantile(scores: np.ndarray) -> float:
    """What the next score is no greater than with the probability COVERAGE, were nothing else fitted on these."""
    rank = math.ceil(COVERAGE * (len(scores) + 1))
    return float(np.sort(scores)[min(rank, len(scores)) - 1])


def left_out_bounds(read: np.ndarray, ages: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(low, high) of every radiograph, (N,) months each, by an interval fitted on all others."""
    bounds = np.empty((2, len(ages)))
    for one in range(len(ages)):
        interval = fit_interval(np.delete(read, one, axis=1), np.delete(ages, one))
        bounds[:, [one]] = interval.bounds(*read[:, [one]])
    return bounds[0], bounds[1]


def require_enough(train: Dataset | None, val: Dataset) -> None:
    """Raises ValueError where gate and interval cannot be fitted on so few radiographs."""
    for data, split in ((train, "train"), (val, "val")):
        if data is not None and len(data) < FEWEST:
            raise ValueError(
                f"There are {len(data)} radiographs of the split {split!r}: gate and interval need {FEWEST} of "
                "training and of validation at least. Label more of them."
            )


def calibrate(preset: Preset | WholeHand, folder: Path, train: Dataset | None, val: Dataset, on: str = "onnx") -> dict:
    """Fits interval and gate for the networks of a weights folder: writes hands.npz, gives its part of the card.

    on: the runtime that reads the radiographs.

    A model without an attention network has no gate; with `train` None the gate in the folder stays.
    """
    unfitted = Interval([], FLOOR_MONTHS, [], [])
    model: BoneAgeModel
    if isinstance(preset, WholeHand):
        model = WholeHandModel.from_folder(preset, {"version": "", "interval": asdict(unfitted)}, folder, on)
    else:
        runtime = RUNTIMES[on](folder, preset)
        if train is None:
            hands = Hands.load(folder / "hands.npz")
        else:
            known = train + draw_phantoms(GATE_PHANTOMS, GATE_PHANTOM_SEED, partial(working_image, preset=preset))
            embedded = partial(embeddings, runtime, preset)
            hands = fit_hands(embedded(known), map(embedded, cut_hands(known)), embedded(val))
            hands.save(folder / "hands.npz")
        model = TwoStageModel(preset, {"version": ""}, runtime, hands, unfitted)
    readings, ages = read_all(model, val), val.ages
    read = signals(readings)
    interval = asdict(fit_interval(read, ages))
    phantoms = draw_phantoms(PHANTOMS, seed=PHANTOM_SEED)
    return {
        "name": preset.name,
        "version": version(folder, interval),
        "preprocessing": PREPROCESSING,
        "interval": interval,
        "interval_check": metrics.interval_by_group(
            [label.sex for label in val.labels], ages, *left_out_bounds(read, ages)
        ),
        "validation": {"n": len(val), "mae_months": _mae(readings, val)},
        "phantoms": {"n": len(phantoms), "mae_months": _mae(read_all(model, phantoms), phantoms)},
    }


def _mae(readings: list[Reading], data: Dataset) -> float:
    errors = np.array([reading.months for reading in readings]) - data.ages
    return round(float(np.abs(errors).mean()), 2)


def version(folder: Path, interval: dict) -> str:
    """The day, and the SHA-256 of all that decides what the model answers: other files are never of the same version,
    which a portal that has it would refuse.
    """
    digest = hashlib.sha256(json.dumps(interval).encode())
    for path in serving_files(folder):
        if path.name != "card.json":
            digest.update(f"{path.name} {hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return f"{datetime.now(UTC):%Y.%m.%d}-{digest.hexdigest()[:8]}"


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m inference.training.calibrate", description=__doc__)
    parser.add_argument("--data", type=Path, default=os.environ.get("BONEAGE_DATA"), help="default: $BONEAGE_DATA")
    parser.add_argument("--weights", type=Path, required=True, help="the folder of the model, with its card.json")
    parser.add_argument("--keep-gate", action="store_true", help="fit the interval alone")
    parser.add_argument("--runtime", choices=("onnx", "tensorflow"), default="onnx", help="what reads the radiographs")
    options = parser.parse_args(arguments)
    require_data(parser, options.data)
    with in_a_sentence(parser):
        card = read_card(options.weights)
        preset = presets.trainable(card["name"])
        BoneAgeModel.load(card["name"], options.runtime, options.weights)  # before minutes go into reading
        prepare = partial(working_image, preset=preset)
        train = None if options.keep_gate else read_dataset(options.data, "train", prepare, limit=GATE_SAMPLE)
        val = read_dataset(options.data, "val", prepare)
        require_enough(train, val)
    card |= calibrate(preset, options.weights, train, val, options.runtime)
    write_card(options.weights, card)
    print(json.dumps({name: card[name] for name in ("version", "validation", "interval_check")}))


if __name__ == "__main__":
    main()
