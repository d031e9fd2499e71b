"""Even film beside a hand that lies at one side of a wide picture.

The networks see every picture as a square: such a hand is narrower there than any that they were trained on.
"""

import numpy as np
from PIL import Image

SIDE = 64
EVEN = 0.04
"""Share of the picture's contrast that a margin may span, in a thumbnail of SIDE x SIDE pixels, where noise is
averaged out. Of grey levels as many hold half a hand where the film is flat."""
FEWEST = 2
"""Grey levels that it may span however flat the film is: whole numbers jump by one."""
CONTRAST = (1, 99)
"""Percentiles between which the picture's contrast is told."""
WIDER = 12 / SIDE
"""Share of the width by which one margin must be wider than the other: 6 of 1,254 validation radiographs have that."""
ALL = (0.0, 1.0)


def kept_columns(pixels: np.ndarray) -> tuple[float, float]:
    """From where to where, in shares of the width of (H, W) uint8, the hand has even margins of one width; ALL where
    they are about that already. It is the same for the negative.
    """
    thumbnail = np.asarray(Image.fromarray(pixels).resize((SIDE, SIDE), Image.Resampling.BOX)).astype(int)
    low, high = np.percentile(thumbnail, CONTRAST)
    even = max(FEWEST, EVEN * (high - low))
    left, right = _margin(thumbnail, even), _margin(thumbnail[:, ::-1], even)
    if abs(left - right) < WIDER:
        return ALL
    return (left - right, 1.0) if left > right else (0.0, 1 - (right - left))


def cut_to(pixels: np.ndarray, kept: tuple[float, float]) -> np.ndarray:
    """The columns of (H, W) that `kept_columns` tells."""
    first, after = (round(share * pixels.shape[1]) for share in kept)
    return pixels[:, first:after]


def _margin(thumbnail: np.ndarray, even: float) -> float:
    """Share of the columns from the left over which (SIDE, SIDE) spans no more grey levels than that."""
    darkest = np.minimum.accumulate(thumbnail.min(axis=0))
    brightest = np.maximum.accumulate(thumbnail.max(axis=0))
    return float(np.mean(brightest - darkest <= even))
