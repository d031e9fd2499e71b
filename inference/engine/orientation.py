"""Which way up a hand lies in its picture, and on which side its thumb is.

A left hand seen from its back, fingers up, has its thumb on the right. Of the eight ways in which a picture can be
turned by quarters and mirrored, the one that looks most like that wins: a linear model of the directions of the edges
(histograms of oriented gradients, Dalal and Triggs, CVPR 2005), fitted by `inference.training.orientation`.
"""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import cv2
import numpy as np

from inference.engine.preprocessing import normalise_contrast
from inference.engine.regions import Region

WEIGHTS = Path(__file__).with_name("orientation.npy")
SIDE, CELLS, DIRECTIONS = 64, 8, 8
CONFIDENT = 0.7
"""Probability below which a picture is left as it lies."""


@dataclass(frozen=True)
class Orientation:
    """What brings a picture upright: mirror it first, where it is to be mirrored, then turn it."""

    mirrored: bool = False
    """The thumb is where that of a right hand would be."""
    quarters: int = 0
    """Turns of 90 degrees, counter-clockwise."""

    def upright(self, image: np.ndarray) -> np.ndarray:
        """(H, W) as stored -> fingers up, thumb on the right."""
        return np.ascontiguousarray(np.rot90(image[:, ::-1] if self.mirrored else image, self.quarters))

    def stored(self, image: np.ndarray) -> np.ndarray:
        """The way back: a map over the upright picture -> over the picture as stored."""
        turned = np.rot90(image, -self.quarters)
        return np.ascontiguousarray(turned[:, ::-1] if self.mirrored else turned)

    def stored_region(self, region: Region) -> Region:
        """A region of the upright picture -> of the picture as stored."""
        x0, y0, x1, y1 = region.box
        for _ in range(self.quarters):
            x0, y0, x1, y1 = 1 - y1, x0, 1 - y0, x1
        return Region(1 - x1, y0, 1 - x0, y1) if self.mirrored else Region(x0, y0, x1, y1)


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
    """How the hand in (H, W) uint8, bone bright, lies; AS_STORED where that is in doubt."""
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
