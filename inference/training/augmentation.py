"""Random changes to a radiograph that leave its bone age as it is."""

from dataclasses import dataclass

import cv2
import numpy as np

from inference.engine.preprocessing import normalise_contrast


@dataclass(frozen=True)
class Augmentation:
    """Ranges of the random changes; shares are probabilities."""

    rotation_degrees: float = 25.0
    shift: float = 0.1
    zoom: float = 0.2
    shear: float = 0.08
    flip_share: float = 0.5
    reexposed_share: float = 0.4
    """Changed before contrast normalisation, as another exposure or another archive would."""
    blur_share: float = 0.1
    sharpened_share: float = 0.4
    """An upload shrunk once is a tenth to a third sharper than the training set, which was shrunk and compressed."""
    erased_share: float = 0.3
    inverted_share: float = 0.02
    marker_share: float = 0.4
    """Gets a side marker at a random place near the border, so that no marker tells the hospital, nor the age."""


def random_warp(rng: np.random.Generator, ranges: Augmentation) -> np.ndarray:
    """A 3 x 3 matrix for `preprocessing.view`: rotation, zoom per axis, shear, shift and mirror."""
    return random_warps(rng, ranges, 1)[0]


def random_warps(rng: np.random.Generator, ranges: Augmentation, count: int) -> np.ndarray:
    """Such a matrix for each of several radiographs: (count, 3, 3)."""
    angle = np.deg2rad(rng.uniform(-1, 1, count) * ranges.rotation_degrees)
    zoom = rng.uniform(-1, 1, count) * ranges.zoom
    zoom_x, zoom_y = np.exp(zoom + rng.uniform(-0.3, 0.3, (2, count)) * ranges.zoom)
    mirror = np.where(rng.random(count) < ranges.flip_share, -1.0, 1.0)
    turn, zoomed = np.tile(np.eye(3), (2, count, 1, 1))
    turn[:, 0, 0] = turn[:, 1, 1] = np.cos(angle)
    turn[:, 1, 0] = np.sin(angle)
    turn[:, 0, 1] = -turn[:, 1, 0]
    turn[:, :2, 2] = rng.uniform(-2, 2, (count, 2)) * ranges.shift
    zoomed[:, 0, 0], zoomed[:, 1, 1] = zoom_x * mirror, zoom_y
    zoomed[:, 0, 1] = rng.uniform(-1, 1, count) * ranges.shear
    return turn @ zoomed


def random_exposure(
    raw: np.ndarray, normalised: np.ndarray, rng: np.random.Generator, ranges: Augmentation
) -> np.ndarray:
    """The image after another exposure, film or archive; (H, W) uint8, contrast normalised.

    raw is the image before contrast normalisation, normalised the same after it.
    """
    image = normalised
    if rng.random() < ranges.reexposed_share:
        image = reexposed(raw, rng, ranges)
    if rng.random() < ranges.sharpened_share:
        amount = rng.uniform(0, 0.8)
        image = cv2.addWeighted(image, 1 + amount, cv2.GaussianBlur(image, (0, 0), 1.0), -amount, 0)
    gamma, gain, offset, inverted = random_levels(rng, ranges)[0]
    levels = (np.linspace(0, 1, 256) ** gamma - 0.5) * gain + 0.5 + offset
    if inverted:
        levels = 1 - levels
    return cv2.LUT(image, np.clip(levels * 255, 0, 255).astype(np.uint8))


def random_levels(rng: np.random.Generator, ranges: Augmentation, count: int = 1) -> np.ndarray:
    """Gamma, gain about the middle grey, offset, and 1 where black and white change places: (count, 4)."""
    gamma, gain = np.exp(rng.uniform(-0.35, 0.35, count)), rng.uniform(0.75, 1.25, count)
    offset, inverted = rng.uniform(-0.1, 0.1, count), rng.random(count) < ranges.inverted_share
    return np.column_stack([gamma, gain, offset, inverted])


def reexposed(raw: np.ndarray, rng: np.random.Generator, ranges: Augmentation) -> np.ndarray:
    """The image with another gamma, contrast and noise, sometimes blurred, and only then its contrast normalised."""
    changed = raw
    if rng.random() < ranges.blur_share * 2:
        changed = cv2.GaussianBlur(changed, (0, 0), rng.uniform(0.5, 1.3))
    levels = np.linspace(0, 1, 256) ** np.exp(rng.uniform(-0.6, 0.6))
    contrast = np.exp(rng.uniform(np.log(0.12), 0.1))
    offset = rng.uniform(0, max(0.0, 1 - contrast))
    table = np.clip((levels * contrast + offset) * 255, 0, 255).astype(np.uint8)
    changed = cv2.LUT(changed, table)
    if rng.random() < 0.3:
        noise = rng.integers(-2, 3, changed.shape, dtype=np.int16)
        changed = np.clip(changed + noise, 0, 255).astype(np.uint8)
    return normalise_contrast(changed)


def add_marker(view: np.ndarray, rng: np.random.Generator, ranges: Augmentation) -> np.ndarray:
    """Sometimes draws letters, on a plate or bare, somewhere in the outer part of the view."""
    if rng.random() >= ranges.marker_share:
        return view
    size = view.shape[0]
    letters = "".join(rng.choice(list("LLLRABDJKPSX"), rng.integers(1, 4)))
    scale, thickness = size / 192 * rng.uniform(0.4, 1.1), int(rng.integers(1, 4))
    (width, height), _ = cv2.getTextSize(letters, cv2.FONT_HERSHEY_SIMPLEX, scale, thickness)
    angle, radius = rng.uniform(0, 2 * np.pi), rng.uniform(0.36, 0.48) * size
    centre = size / 2 + radius * np.clip(1.4 * np.array([np.cos(angle), np.sin(angle)]), -1, 1)
    x, y = int(centre[0] - width / 2), int(centre[1] + height / 2)
    view = view.copy()
    if rng.random() < 0.4:
        plate = int(rng.integers(60, 256))
        cv2.rectangle(view, (x - 4, y + 4), (x + width + 4, y - height - 4), plate, -1)
        ink = 0 if plate > 150 else 255
    else:
        ink = int(rng.integers(150, 256))
    cv2.putText(view, letters, (x, y), cv2.FONT_HERSHEY_SIMPLEX, scale, ink, thickness, cv2.LINE_AA)
    return view


def erase(view: np.ndarray, rng: np.random.Generator, ranges: Augmentation) -> np.ndarray:
    """Sometimes blacks out a rectangle, as the second pass of the attention network does with the carpal region."""
    x0, y0, x1, y1 = erased_rectangle(view.shape, rng, ranges)
    if x0 == x1:
        return view
    view = view.copy()
    view[y0:y1, x0:x1] = 0
    return view


def erased_rectangle(
    shape: tuple[int, ...], rng: np.random.Generator, ranges: Augmentation
) -> tuple[int, int, int, int]:
    """x0, y0, x1, y1 in pixels of an image of that shape; empty where nothing is blacked out."""
    if rng.random() >= ranges.erased_share:
        return (0, 0, 0, 0)
    height, width = shape
    sides = rng.uniform(0.2, 0.45, 2) * (width, height)
    x, y = rng.uniform(0.1, 0.9, 2) * (width, height) - sides / 2
    return max(0, int(x)), max(0, int(y)), max(0, int(x + sides[0])), max(0, int(y + sides[1]))


def jittered(boxes: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The boxes (N, 4) moved by up to a twelfth of their sides, and up to a tenth larger or smaller."""
    sides = boxes[:, 2:] - boxes[:, :2]
    centres = boxes[:, :2] + sides * (0.5 + rng.uniform(-1, 1, sides.shape) / 12)
    halves = sides * 0.5 * np.exp(rng.uniform(-0.1, 0.1, (len(boxes), 1)))
    return np.hstack([centres - halves, centres + halves])
