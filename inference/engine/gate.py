"""Refuses what is not a usable radiograph of a hand, with a reason for the technician."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from inference.engine.regions import Attention

MIN_SIDE = 100
MAX_ASPECT = 3.0
"""A longer strip cannot show a whole hand, and would be squashed beyond recognition."""
MIN_CONTRAST = 4
"""Grey levels between the 1st and the 99th percentile; the flattest real radiographs have about 15."""
SAMPLED_ROWS = 256
"""Of the image, at least, that its contrast is told by."""

REASONS = {
    "too-small": f"The image is smaller than {MIN_SIDE} pixels on a side. Upload the radiograph in its full size.",
    "blank": "The image is blank: it has next to no contrast. Check the exposure, or the file that was exported.",
    "no-attention": "No part of the image looks like the bones of a hand. Check that this is a radiograph of a hand.",
    "not-a-hand": "This does not look like a radiograph of one whole hand. Check the file, that it shows the left hand "
    "alone with nothing cut off, and turn the picture so that the fingers point up.",
    "cut-off": "This does not show one whole hand alone: part of it is cut off, or both hands are on the film. Upload "
    "the left hand alone, from the fingertips to the wrist.",
}


@dataclass(frozen=True)
class Hands:
    """What the attention network's embeddings of real hands look like: a Gaussian, and the farthest still taken.

    The Mahalanobis distance to it tells unfamiliar images (Lee et al., NeurIPS 2018). Parts of a hand, and two hands,
    lie among the hands by that: linear discriminants tell them.
    """

    mean: np.ndarray
    """(C,)"""
    whitening: np.ndarray
    """(C, C): its product with an embedding less the mean has unit covariance over real hands."""
    limit: float
    whole: np.ndarray | None = None
    """(C, K): where whole hands lie, after whitening, from K kinds of what is none. None: fitted before it told any."""
    least: np.ndarray | None = None
    """(K,): of the wholeness that is still taken."""

    @classmethod
    def load(cls, path: Path) -> "Hands":
        with np.load(path) as kept:
            return cls(**{name: kept[name].astype(np.float32)[()] for name in kept})

    def save(self, path: Path) -> None:
        kept: dict[str, Any] = {
            name: np.asarray(value, np.float32) for name, value in vars(self).items() if value is not None
        }
        np.savez(path, **kept)

    @classmethod
    def fitted(cls, embeddings: np.ndarray, limit: float = np.inf) -> "Hands":
        """From embeddings (N, C) of training hands; a little is added to the variances, so that none is zero."""
        values, vectors = np.linalg.eigh(np.cov(np.sqrt(embeddings), rowvar=False))
        values = values + 0.003 * values.mean()
        return cls(np.sqrt(embeddings).mean(0), (vectors / np.sqrt(values)) @ vectors.T, limit)

    def whitened(self, embeddings: np.ndarray) -> np.ndarray:
        """(..., C) -> (..., C)"""
        # Embeddings are means of ReLUs: their square roots are closer to a Gaussian.
        return (np.sqrt(np.maximum(embeddings, 0)) - self.mean) @ self.whitening

    def distance(self, embeddings: np.ndarray) -> np.ndarray:
        """(..., C) -> (...): root mean square of the whitened embedding, about 1 for a hand."""
        return np.sqrt(np.mean(self.whitened(embeddings) ** 2, axis=-1))

    def wholeness(self, embeddings: np.ndarray) -> np.ndarray:
        """(..., C) -> (..., K): larger for one whole hand than for a part of it, or for two."""
        return self.whitened(embeddings) @ self.whole

    def cut_off(self, embedding: np.ndarray) -> bool:
        """Whether (C,) is not of one whole hand alone."""
        return self.whole is not None and bool((self.wholeness(embedding) < self.least).any())


def refuse_pixels(pixels: np.ndarray) -> str | None:
    """The code of a refusal that needs no network, or None."""
    if min(pixels.shape) < MIN_SIDE:
        return "too-small"
    if max(pixels.shape) > MAX_ASPECT * min(pixels.shape):
        return "not-a-hand"
    rows = pixels[:: max(1, len(pixels) // SAMPLED_ROWS)]
    counts = cv2.calcHist([rows], [0], None, [256], [0, 256]).ravel()
    low, high = np.searchsorted(np.cumsum(counts), (0.01 * rows.size, 0.99 * rows.size))
    return "blank" if high - low < MIN_CONTRAST else None


def refuse_attention(attention: Attention, hands: Hands) -> str | None:
    """The code of a refusal after the attention network, or None."""
    if attention.carpal is None or attention.metacarpal is None:
        return "no-attention"
    if hands.distance(attention.embedding) > hands.limit:
        return "not-a-hand"
    return "cut-off" if hands.cut_off(attention.embedding) else None
