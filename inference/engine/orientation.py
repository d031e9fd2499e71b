"""Which way up a hand lies in its picture, on which side its thumb is, and how much film beside it is left out.

A left hand seen from its back, fingers up, has its thumb on the right. Of the eight ways in which a picture can be
turned by quarters and mirrored, the one that looks most like that wins: a linear model of the directions of the edges
(histograms of oriented gradients, Dalal and Triggs, CVPR 2005), fitted by `inference.training.orientation`.
"""

from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import cv2
import numpy as np

from inference.engine.margins import ALL, cut_to, kept_columns
from inference.engine.preprocessing import normalise_contrast
from inference.engine.regions import Region

WEIGHTS = Path(__file__).with_name("orientation.npy")
SIDE, CELLS, DIRECTIONS = 64, 8, 8
CONFIDENT = 0.7
"""Probability below which a picture is left as it lies."""


@dataclass(frozen=True)
class Orientation:
    """What brings a picture upright: cut off the film beside the hand, mirror where it is to be mirrored, then turn."""

    mirrored: bool = False
    """The thumb is where that of a right hand would be."""
    quarters: int = 0
    """Turns of 90 degrees, counter-clockwise."""
    kept: tuple[float, float] = ALL
    """From where to where, in shares of the width as stored, it is read."""

    def upright(self, image: np.ndarray) -> np.ndarray:
        """(H, W) as stored -> fingers up, thumb on the right."""
        kept = cut_to(image, self.kept)
        return np.ascontiguousarray(np.rot90(kept[:, ::-1] if self.mirrored else kept, self.quarters))

    def stored(self, image: np.ndarray) -> np.ndarray:
        """The way back: a map over the upright picture -> over the picture as stored, 0 where it was not read."""
        turned = np.rot90(image, -self.quarters)
        kept = turned[:, ::-1] if self.mirrored else turned
        first, after = self.kept
        width = kept.shape[1] / (after - first)
        return np.pad(kept, ((0, 0), (round(first * width), round((1 - after) * width))))

    def stored_region(self, region: Region) -> Region:
        """A region of the upright picture -> of the picture as stored."""
        x0, y0, x1, y1 = region.box
        for _ in range(self.quarters):
            x0, y0, x1, y1 = 1 - y1, x0, 1 - y0, x1
        if self.mirrored:
            x0, x1 = 1 - x1, 1 - x0
        first, after = self.kept
        return Region(first + (after - first) * x0, y0, first + (after - first) * x1, y1)


AS_STORED = Orientation()
EIGHT = [Orientation(mirrored, quarters) for mirrored in (False, True) for quarters in range(4)]


def notes(mirrored: bool, degrees: int) -> list[str]:
    """What whoever reads the result must know of how the picture was read, in sentences."""
    sentences = []
    if mirrored:
        sentences.append(
            "This looks like a right hand; it was read mirrored. Check that it is the hand that was meant."
        )
    if degrees:
        sentences.append(
            f"The hand does not point upwards; it was read after turning the picture by {degrees} degrees."
        )
    return sentences


def orientation(image: np.ndarray) -> Orientation:
    """How the hand in (H, W) uint8, bone bright, lies; turned and mirrored only where that is in no doubt."""
    kept = kept_columns(image)
    whole = _way(image)
    cut = whole if kept == ALL else _way(cut_to(image, kept))
    if whole.quarters % 2 or cut.quarters % 2:  # what a hand on its side has there is the film beyond its fingers
        return whole
    return replace(cut, kept=kept)


def _way(image: np.ndarray) -> Orientation:
    shares = probabilities(thumbnail(image)[np.newaxis])[0]
    best = int(shares.argmax())
    return EIGHT[best] if shares[best] >= CONFIDENT else AS_STORED


def thumbnail(image: np.ndarray) -> np.ndarray:
    """(SIDE, SIDE) uint8, squashed, contrast normalised."""
    step = max(1, min(image.shape) // (4 * SIDE))  # of a large picture some pixels say as much as all
    small = np.ascontiguousarray(image[::step, ::step])
    return normalise_contrast(cv2.resize(small, (SIDE, SIDE), interpolation=cv2.INTER_AREA))


def probabilities(thumbnails: np.ndarray) -> np.ndarray:
    """(B, SIDE, SIDE) -> (B, 8): of each of EIGHT, that it brings the picture upright."""
    scores = eight_features(thumbnails) @ _weights()
    odds = np.exp(scores - scores.max(axis=1, keepdims=True))
    return odds / odds.sum(axis=1, keepdims=True)


def eight_features(thumbnails: np.ndarray) -> np.ndarray:
    """(B, SIDE, SIDE) -> (B, 8, F): features of the picture brought upright in each of the EIGHT ways."""
    cells = edge_directions(thumbnails).reshape(-1, DIRECTIONS, CELLS, CELLS)
    return np.stack([_brought_upright(cells, way).reshape(len(cells), -1) for way in EIGHT], axis=1)


def _brought_upright(cells: np.ndarray, way: Orientation) -> np.ndarray:
    """What the cells (B, DIRECTIONS, CELLS, CELLS) become when the picture is turned: they move, their edges turn."""
    if way.mirrored:
        cells = cells[:, -np.arange(DIRECTIONS) % DIRECTIONS, :, ::-1]
    return np.rot90(np.roll(cells, way.quarters * DIRECTIONS // 2, axis=1), way.quarters, axes=(2, 3))


def edge_directions(images: np.ndarray) -> np.ndarray:
    """(B, SIDE, SIDE) -> (B, F) float32 of length 1: how strong the edges of each direction are in each cell."""
    down, across = np.gradient(images.astype(np.float32), axis=(1, 2))
    strength = np.hypot(down, across)
    direction = np.arctan2(down, across) / np.pi * DIRECTIONS % DIRECTIONS
    # Each edge counts for the two directions it lies between.
    planes = np.stack(
        [strength * np.clip(1 - _circular_distance(direction, bin), 0, None) for bin in range(DIRECTIONS)], axis=1
    )
    size = SIDE // CELLS
    cells = planes.reshape(len(images), DIRECTIONS, CELLS, size, CELLS, size).sum(axis=(3, 5))
    features = np.sqrt(cells).reshape(len(images), -1)
    return features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-6)


def _circular_distance(direction: np.ndarray, bin: int) -> np.ndarray:
    distance = np.abs(direction - bin)
    return np.minimum(distance, DIRECTIONS - distance)


@cache
def _weights() -> np.ndarray:
    return np.load(WEIGHTS)
