"""Fits which way up a hand lies: python -m inference.training.orientation --data DIR

Training radiographs show left hands, fingers up, all but a few; so of the eight ways to turn and mirror one, its own
is taken to be right (conditional logit, McFadden 1973). Writes the weights into the engine and prints, as JSON, how
often validation radiographs and their turned and mirrored copies are told right.
"""

import argparse
import json
import os
from pathlib import Path

import cv2
import numpy as np

from inference.engine import orientation
from inference.engine.imaging import is_inverted
from inference.engine.orientation import CONFIDENT, EIGHT, SIDE, eight_features
from inference.training.command_line import in_a_sentence
from inference.training.datasets import read_dataset, require_data

STEPS, BATCH, RATE, DECAY = 800, 2048, 0.5, 1e-5


def fit(features: np.ndarray, seed: int = 0) -> np.ndarray:
    """(N, 8, F) -> (F,) weights that give the first of the eight the highest score, by Adam on its likelihood."""
    rng = np.random.default_rng(seed)
    weights = np.zeros(features.shape[2], np.float32)
    mean, square = np.zeros_like(weights), np.zeros_like(weights)
    for step in range(1, STEPS + 1):
        batch = features[rng.integers(0, len(features), BATCH)]
        scores = batch @ weights
        odds = np.exp(scores - scores.max(axis=1, keepdims=True))
        excess = odds / odds.sum(axis=1, keepdims=True) - np.eye(len(EIGHT))[0]
        gradient = np.einsum("ng,ngf->f", excess, batch) / len(batch) + DECAY * weights
        mean, square = 0.9 * mean + 0.1 * gradient, 0.99 * square + 0.01 * gradient**2
        rate = RATE * (1 - step / STEPS)
        weights = weights - rate * (mean / (1 - 0.9**step)) / (np.sqrt(square / (1 - 0.99**step)) + 1e-8)
    return weights.astype(np.float32)


def moved(thumbnail: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The picture turned by up to 30 degrees, scaled and shifted."""
    matrix = cv2.getRotationMatrix2D((SIDE / 2, SIDE / 2), rng.uniform(-30, 30), np.exp(rng.uniform(-0.2, 0.1)))
    shift = np.array([[0, 0, rng.uniform(-4, 4)], [0, 0, rng.uniform(-4, 4)]])
    return cv2.warpAffine(thumbnail, matrix + shift, (SIDE, SIDE), borderMode=cv2.BORDER_REPLICATE)


def thumbnails(folder: Path, split: str) -> np.ndarray:
    """(N, SIDE, SIDE) uint8 of every radiograph of the split."""

    def prepare(image: np.ndarray) -> np.ndarray:
        return orientation.thumbnail(255 - image if is_inverted(image) else image)

    return np.stack(read_dataset(folder, split, prepare).images)


def measure(pictures: np.ndarray) -> dict[str, float]:
    """Shares of pictures that are taken to be upright left hands, as almost all are, and of their copies told right."""
    shares = orientation.probabilities(pictures)
    told = np.where(shares.max(axis=1) >= CONFIDENT, shares.argmax(axis=1), 0)
    figures = {"n": len(pictures), "left_as_they_are": float((told == 0).mean())}
    for way, right in (("mirrored", 4), ("on_their_side", 1), ("upside_down", 2)):
        copies = orientation.probabilities(np.stack([EIGHT[right].stored(picture) for picture in pictures]))
        sure = copies.max(axis=1) >= CONFIDENT
        figures[way] = float((sure & (copies.argmax(axis=1) == right)).mean())
    return {name: round(value, 4) for name, value in figures.items()}


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m inference.training.orientation", description=__doc__)
    parser.add_argument("--data", type=Path, default=os.environ.get("BONEAGE_DATA"), help="default: $BONEAGE_DATA")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    require_data(parser, options.data)
    with in_a_sentence(parser):
        train, val = (thumbnails(options.data, split) for split in ("train", "val"))
    rng = np.random.default_rng(options.seed)
    pictures = np.concatenate([train, np.stack([moved(picture, rng) for picture in train])])
    np.save(orientation.WEIGHTS, fit(eight_features(pictures), options.seed))
    print(json.dumps(measure(val)))


if __name__ == "__main__":
    main()
