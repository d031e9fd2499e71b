"""From the attention network's heat map to the two regions of the hand that the age network reads."""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from inference.engine.preprocessing import network_input
from inference.engine.presets import AttentionStage, RegionRule


@dataclass(frozen=True)
class Region:
    """A box in fractions of the image's width and height."""

    x0: float
    y0: float
    x1: float
    y1: float

    @property
    def box(self) -> tuple[float, float, float, float]:
        return (self.x0, self.y0, self.x1, self.y1)


CENTRE = Region(0.0, 0.0, 1.0, 1.0)
FINE = 96
"""Side, in cells, of the grid that regions are placed on."""


@dataclass(frozen=True)
class Attention:
    """What the attention network found in one image; a region is None where it saw nothing."""

    scaled_age: float
    heat: np.ndarray
    """(h, w) float32, 0..1."""
    embedding: np.ndarray
    """(C,) float32."""
    carpal: Region | None
    metacarpal: Region | None

    @property
    def regions(self) -> dict[str, Region]:
        """Those found, by name."""
        both = {"carpal": self.carpal, "metacarpal": self.metacarpal}
        return {name: region for name, region in both.items() if region}


def find_regions(
    attention: Callable[[np.ndarray], dict[str, np.ndarray]], views: np.ndarray, stage: AttentionStage
) -> list[Attention]:
    """Both passes of the attention network over (B, size, size) uint8 views of whole hands.

    The first pass finds the carpal region; with that blacked out, the second finds the metacarpal region.
    """
    first = attention(network_input(views))
    carpals = [region_of(heat, stage.carpal) for heat in first["heat"]]
    masked = np.stack([blacked_out(image, region) for image, region in zip(views, carpals, strict=True)])
    second = attention(network_input(masked))
    metacarpals = [
        region_of(heat, stage.metacarpal, near=carpal) if carpal else None
        for heat, carpal in zip(second["heat"], carpals, strict=True)
    ]
    return [
        Attention(float(first["age"][row, 0]), scaled(first["heat"][row]), first["embedding"][row], *regions)
        for row, regions in enumerate(zip(carpals, metacarpals, strict=True))
    ]


def scaled(heat: np.ndarray) -> np.ndarray:
    """The heat map with its smallest value at 0 and its largest at 1; zeros where it is flat."""
    low, high = float(heat.min()), float(heat.max())
    return ((heat - low) / (high - low) if high > low else np.zeros_like(heat)).astype(np.float32)


def region_of(heat: np.ndarray, rule: RegionRule, near: Region = CENTRE) -> Region | None:
    """The region that the rule reads off a heat map (h, w), or None where the map is flat."""
    if rule.smoothing:
        heat = cv2.GaussianBlur(heat, (0, 0), rule.smoothing, borderType=cv2.BORDER_REPLICATE)
    heat = scaled(heat)
    if not heat.any():
        return None
    # Cells are coarse: between their centres the edge of a region is interpolated.
    heat = np.clip(cv2.resize(heat, (FINE, FINE), interpolation=cv2.INTER_CUBIC), 0, 1)
    if rule.window is None:
        return _box_above(heat, rule.threshold)
    return _hottest_window(np.clip(heat - np.median(heat), 0, None), rule.window, rule, near)


def _box_above(heat: np.ndarray, threshold: float) -> Region:
    x, y, width, height = cv2.boundingRect((heat >= threshold).astype(np.uint8))
    return Region(x / FINE, y / FINE, (x + width) / FINE, (y + height) / FINE)


def _hottest_window(heat: np.ndarray, side: float, rule: RegionRule, near: Region) -> Region:
    heat = (heat / heat.max()) ** rule.contrast
    if rule.reach:
        cells = (np.arange(FINE) + 0.5) / FINE
        across, down = cells - (near.x0 + near.x1) / 2, cells - (near.y0 + near.y1) / 2
        near_column, near_row = (np.exp(-(offset**2) / (2 * rule.reach**2)) for offset in (across, down))
        heat = heat * np.outer(near_row, near_column).astype(np.float32)
    # A Gaussian, not the window itself: a peak then lies in the middle of its window, not anywhere inside it.
    nearby = cv2.GaussianBlur(heat, (0, 0), rule.spread * FINE, borderType=cv2.BORDER_CONSTANT)
    y, x = np.unravel_index(nearby.argmax(), nearby.shape)
    half = side / 2
    centre_x, centre_y = (min(max(float(cell + 0.5) / FINE, half), 1 - half) for cell in (x, y))
    return Region(centre_x - half, centre_y - half, centre_x + half, centre_y + half)


def blacked_out(image: np.ndarray, region: Region | None) -> np.ndarray:
    """A copy of (H, W) with the region set to 0."""
    copy = image.copy()
    if region:
        height, width = image.shape
        copy[
            round(region.y0 * height) : round(region.y1 * height), round(region.x0 * width) : round(region.x1 * width)
        ] = 0
    return copy
