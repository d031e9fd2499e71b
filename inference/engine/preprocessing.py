"""From a radiograph to what the networks see. Training and serving call these same functions."""

import cv2
import numpy as np
from PIL import Image

from inference.engine.presets import Preset, WholeHand

PREPROCESSING = 2
"""Raise it with any change, here or in what reads, turns and cuts uploads, that moves readings. Exports keep it in
their card, which their SHA-256 is over; the shipped ones then need it, and a revision, anew. 1: shrunk by means,
with the film beside the hand."""
CLAHE_CLIP = 2.0
CLAHE_TILES = (8, 8)
STRETCH_PERCENTILES = (1.0, 99.5)
WHOLE = (0.0, 0.0, 1.0, 1.0)


def working_image(pixels: np.ndarray, preset: Preset | WholeHand) -> np.ndarray:
    """The radiograph (H, W) uint8 at the size the preset works on, contrast not yet normalised.

    It is shrunk as the 299-pixel training set was, to judge by its spectrum: by a triangle as wide as the step.
    """
    if preset.working_size is None or pixels.shape == (preset.working_size,) * 2:
        return pixels
    side = (preset.working_size, preset.working_size)
    if max(pixels.shape) > preset.working_size:
        return np.asarray(Image.fromarray(pixels).resize(side, Image.Resampling.BILINEAR))
    return cv2.resize(pixels, side, interpolation=cv2.INTER_CUBIC)


def normalise_contrast(image: np.ndarray) -> np.ndarray:
    """Percentile stretch to the full range, then CLAHE: (H, W) uint8 in and out."""
    low, high = percentiles(image, STRETCH_PERCENTILES)
    grey = np.arange(256, dtype=np.float32)
    table = np.clip((grey - low) * (255.0 / max(high - low, 1.0)), 0, 255).astype(np.uint8)
    return cv2.createCLAHE(CLAHE_CLIP, CLAHE_TILES).apply(cv2.LUT(image, table))


def percentiles(image: np.ndarray, percents: tuple[float, ...]) -> np.ndarray:
    """np.percentile of a uint8 image, from its histogram, which takes a fraction of the time that sorting does."""
    up_to = np.cumsum(cv2.calcHist([image], [0], None, [256], [0, 256]).astype(np.int64))
    ranks = np.array(percents) / 100 * (image.size - 1)
    low, high = (np.searchsorted(up_to, rank, side="right") for rank in (np.floor(ranks), np.ceil(ranks)))
    return low + (ranks - np.floor(ranks)) * (high - low)


def view(image: np.ndarray, size: int, box: tuple[float, ...] = WHOLE, warp: np.ndarray | None = None) -> np.ndarray:
    """What one network sees of the image: the box, in fractions x0, y0, x1, y1, as (size, size) uint8.

    warp (3 x 3) moves the view in coordinates where the box spans -1..1: the augmentation of training. What lies
    outside the image repeats its border.
    """
    height, width = image.shape
    shrink = max((box[2] - box[0]) * width, (box[3] - box[1]) * height) / size
    if shrink > 1.25:  # warpAffine skips pixels when it shrinks; averaging first keeps fine bone edges
        width, height = max(1, round(width / shrink)), max(1, round(height / shrink))
        image = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    matrix = view_matrix((height, width), size, box, warp)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(image, matrix[:2], (size, size), flags=flags, borderMode=cv2.BORDER_REPLICATE)


def view_matrix(
    shape: tuple[int, int], size: int, box: tuple[float, ...] | np.ndarray, warp: np.ndarray | None = None
) -> np.ndarray:
    """3 x 3: from the pixels (x, y, 1) of a view to those of an image of that height and width; see `view`.

    Of boxes (N, 4) and warps (N, 3, 3), or of one of each for all, N such matrices.
    """
    height, width = shape
    corners = np.asarray(box).reshape(*np.shape(box)[:-1], 2, 2) * (width, height)
    to_image = np.zeros((*corners.shape[:-2], 3, 3))
    to_image[..., [0, 1], [0, 1]] = (corners[..., 1, :] - corners[..., 0, :]) / 2
    to_image[..., :2, 2] = corners.mean(axis=-2) - 0.5
    to_image[..., 2, 2] = 1
    to_unit = np.array([[2 / size, 0, 1 / size - 1], [0, 2 / size, 1 / size - 1], [0, 0, 1]])
    return to_image @ (np.eye(3) if warp is None else warp) @ to_unit


def network_input(views: np.ndarray) -> np.ndarray:
    """(B, size, size) uint8 -> (B, size, size, 1) float32 in -1..1."""
    return views[..., np.newaxis].astype(np.float32) / 127.5 - 1.0
