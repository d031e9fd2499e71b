"""Augmented views made on the accelerator, for a network that would wait for those that the CPU's cores make.

The radiographs lie in its memory. What happens to each is drawn at random on the host, some twenty numbers a
radiograph; the pixels are moved and changed by keras.ops. The changes are those of `augmentation`, but for two that
are made beforehand: every radiograph has a few other exposures (their contrast is evened out on the CPU), and the
markers come from a stock.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace

import keras
import numpy as np
from keras import ops

from inference.engine.preprocessing import WHOLE, view_matrix
from inference.training.augmentation import (
    Augmentation,
    add_marker,
    erased_rectangle,
    jittered,
    random_levels,
    random_warps,
    reexposed,
)
from inference.training.datasets import in_threads

EXPOSURES = 3
"""Other exposures of each radiograph."""
MARKERS = 256
SHARPENING_RADIUS = 3


class AcceleratedViews:
    """(chosen, rng) -> {view: (B, size, size, 1) float32 in -1..1 on the accelerator}.

    exposures: (image, contrast normalised) of every radiograph, all of one shape, (H, W) uint8
    sizes: side of each view in pixels
    boxes: where a view does not show the whole image, its box in every radiograph, (N, 4) fractions
    erased: whether rectangles are blacked out

    Raises ValueError for radiographs of several shapes: a preset with a working size makes them alike.
    """

    def __init__(
        self,
        exposures: list[tuple[np.ndarray, np.ndarray]],
        sizes: Mapping[str, int],
        boxes: Mapping[str, np.ndarray],
        ranges: Augmentation,
        seed: int,
        erased: bool = False,
    ) -> None:
        if len({raw.shape for raw, _ in exposures}) > 1:
            raise ValueError("The accelerator makes views of radiographs of one shape: choose a preset with one size.")
        self.sizes, self.boxes, self.ranges, self.erased = sizes, boxes, ranges, erased
        self.shape = exposures[0][0].shape

        def another(number: int, row: int) -> np.ndarray:
            return reexposed(exposures[row][0], np.random.default_rng((seed, number, row)), ranges)

        # One array each, not one for all: an index into more than 2 ** 31 values would not fit 32 bits.
        pools = [np.stack([normalised for _, normalised in exposures])]
        for number in range(EXPOSURES):
            pools.append(np.stack(in_threads(lambda row, number=number: another(number, row), range(len(exposures)))))
        self.pools = [ops.convert_to_tensor(pool) for pool in pools]
        self.markers = {size: _marker_stock(size, ranges, seed) for size in set(sizes.values())}
        self._exposed = _compiled(_exposed)
        self._seen = {name: _compiled(_seen(size, self.oversampling(name))) for name, size in sizes.items()}

    def oversampling(self, name: str) -> int:
        """By how much finer a view is sampled before pixels are averaged: reading single pixels of an image that
        is shrunk would lose fine bone edges.
        """
        box = self.boxes[name].mean(axis=0) if name in self.boxes else WHOLE
        shrink = max((box[2] - box[0]) * self.shape[1], (box[3] - box[1]) * self.shape[0]) / self.sizes[name]
        return max(1, int(np.ceil(shrink / 1.25)))

    def __call__(self, chosen: np.ndarray, rng: np.random.Generator) -> dict:
        ranges, count = self.ranges, len(chosen)
        other = np.where(rng.random(count) < ranges.reexposed_share, rng.integers(1, 1 + EXPOSURES, count), 0)
        sharpening = np.where(rng.random(count) < ranges.sharpened_share, rng.uniform(0, 0.8, count), 0)
        levels = random_levels(rng, ranges, count)
        images = self._exposed(
            self.pools, chosen.astype(np.int32), other.astype(np.int32), sharpening.astype(np.float32),
            levels.astype(np.float32),
        )  # fmt: skip
        # All views of one hand turn and mirror together, each about its own centre.
        warps = random_warps(rng, ranges, count)
        views = {}
        for name, size in self.sizes.items():
            fine = size * self.oversampling(name)
            boxes = jittered(self.boxes[name][chosen], rng) if name in self.boxes else np.array([WHOLE])
            matrices = view_matrix(self.shape, fine, boxes, warps)[:, :2].astype(np.float32)
            marker = np.where(rng.random(count) < ranges.marker_share, rng.integers(1, 1 + MARKERS, count), 0)
            holes = np.zeros((count, 4), np.float32)
            if self.erased:
                holes = np.array([erased_rectangle((size, size), rng, ranges) for _ in range(count)], np.float32)
            views[name] = self._seen[name](images, matrices, *self.markers[size], marker.astype(np.int32), holes)
        return views


def _compiled(function: Callable) -> Callable:
    if keras.backend.backend() == "jax":
        import jax

        return jax.jit(function)
    if keras.backend.backend() == "tensorflow":
        import tensorflow

        return tensorflow.function(function)
    return function


def _marker_stock(size: int, ranges: Augmentation, seed: int) -> list:
    """[what each marker adds, what it lets through], (1 + MARKERS, size, size) uint8 each; the first is none at all.

    Drawing a marker is linear in the grey below it: what it makes of a black and of a white view says all.
    """
    always = replace(ranges, marker_share=1.0)
    added, let_through = [np.zeros((size, size), np.uint8)], [np.full((size, size), 255, np.uint8)]
    for number in range(MARKERS):
        black, white = (
            add_marker(np.full((size, size), grey, np.uint8), np.random.default_rng((seed, number)), always)
            for grey in (0, 255)
        )
        added.append(black)
        let_through.append(white - black)
    return [ops.convert_to_tensor(np.stack(stock)) for stock in (added, let_through)]


def _exposed(pools, chosen, other, sharpening, levels):
    """The radiographs chosen, after another exposure: (B, H, W) in 0..1.

    other (B,): which exposure; sharpening (B,); levels (B, 4): gamma, gain, offset, and 1 where it is inverted.
    """
    sharpening, levels = ops.convert_to_tensor(sharpening), ops.convert_to_tensor(levels)  # PyTorch takes no arrays
    images = ops.take(pools[0], chosen, axis=0)
    for number, pool in enumerate(pools[1:], 1):
        images = ops.where((other == number)[:, None, None], ops.take(pool, chosen, axis=0), images)
    images = ops.cast(images, "float32")[..., None] / 255
    amount = sharpening[:, None, None, None]
    images = ops.clip(images * (1 + amount) - _blurred(images) * amount, 0, 1)[..., 0]
    gamma, gain, offset, inverted = (levels[:, column, None, None] for column in range(4))
    images = (ops.power(images, gamma) - 0.5) * gain + 0.5 + offset
    return ops.clip(images * (1 - 2 * inverted) + inverted, 0, 1)


def _blurred(images):
    """By a Gaussian with a standard deviation of 1 pixel: (B, H, W, 1)."""
    kernel = np.exp(-0.5 * np.arange(-SHARPENING_RADIUS, SHARPENING_RADIUS + 1) ** 2).astype(np.float32)
    kernel /= kernel.sum()
    padding = [SHARPENING_RADIUS, SHARPENING_RADIUS]
    images = ops.pad(images, [[0, 0], padding, padding, [0, 0]], mode="reflect")
    return ops.conv(ops.conv(images, kernel.reshape(-1, 1, 1, 1)), kernel.reshape(1, -1, 1, 1))


def _seen(size: int, oversampling: int) -> Callable:
    """What makes one view: (images (B, H, W), matrices (B, 2, 3) to their pixels, markers' stock, marker (B,), holes
    (B, 4) in pixels) -> (B, size, size, 1) in -1..1.
    """
    fine = size * oversampling
    down, across = np.divmod(np.arange(fine * fine), fine)
    grid = np.stack([across, down, np.ones_like(down)]).astype(np.float32)
    rows, columns = np.arange(size)[None, :, None], np.arange(size)[None, None, :]

    def seen(images, matrices, added, let_through, marker, holes):
        height, width = images.shape[1:]
        places = ops.matmul(matrices, grid)
        x, y = ops.clip(places[:, 0], 0, width - 1), ops.clip(places[:, 1], 0, height - 1)
        left, top = ops.floor(x), ops.floor(y)
        to_right, to_bottom = x - left, y - top
        right, bottom = ops.minimum(left + 1, width - 1), ops.minimum(top + 1, height - 1)
        flat = ops.reshape(images, (-1, height * width))

        def pixels(row, column):
            return ops.take_along_axis(flat, ops.cast(row * width + column, "int32"), axis=1)

        above = pixels(top, left) * (1 - to_right) + pixels(top, right) * to_right
        below = pixels(bottom, left) * (1 - to_right) + pixels(bottom, right) * to_right
        view = above * (1 - to_bottom) + below * to_bottom
        view = ops.mean(ops.reshape(view, (-1, size, oversampling, size, oversampling)), axis=(2, 4))
        add, through = (ops.cast(ops.take(stock, marker, axis=0), "float32") / 255 for stock in (added, let_through))
        view = add + through * view
        x0, y0, x1, y1 = (holes[:, column, None, None] for column in range(4))
        hole = (columns >= x0) & (columns < x1) & (rows >= y0) & (rows < y1)
        return ops.where(hole, 0.0, view)[..., None] * 2 - 1

    return seen
