"""The same radiographs in worse copies: what a reading must not depend on."""

from collections.abc import Callable

import cv2
import numpy as np


def _levels(image: np.ndarray, change: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    table = np.clip(change(np.linspace(0, 1, 256)) * 255, 0, 255).astype(np.uint8)
    return cv2.LUT(image, table)


def _rotated(image: np.ndarray) -> np.ndarray:
    height, width = image.shape
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), 15, 1)
    return cv2.warpAffine(image, turn, (width, height), borderMode=cv2.BORDER_REPLICATE)


def _halved(image: np.ndarray) -> np.ndarray:
    return cv2.resize(image, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)


def _at_one_side(image: np.ndarray) -> np.ndarray:
    beside = np.full((image.shape[0], image.shape[1] // 2), np.percentile(image, 2), np.uint8)
    return np.hstack([image, beside])


COPIES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "rotated 15 degrees": _rotated,
    "mirrored": lambda image: image[:, ::-1],
    "inverted": lambda image: 255 - image,
    "darker": lambda image: _levels(image, lambda grey: grey**1.6 * 0.7),
    "brighter": lambda image: _levels(image, lambda grey: 0.25 + 0.75 * grey**0.7),
    "flat": lambda image: _levels(image, lambda grey: 0.45 + 0.2 * (grey - 0.5)),
    "half resolution": _halved,
    "on its side": lambda image: np.rot90(image),
    "upside down": lambda image: image[::-1, ::-1],
    "at one side of the film": _at_one_side,
}
"""Each takes and gives (H, W) uint8."""
