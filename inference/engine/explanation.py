"""Which places of a hand a reading rests on, on demand: occlusion maps and Grad-CAM.

Occlusion (Zeiler and Fergus, ECCV 2014) hides one place after the other and reads again: it needs no more than the
network's answers, so it works on any runtime. Grad-CAM (Selvaraju et al., ICCV 2017) weighs the last feature maps by
their gradients: it needs the network in Keras, on any of its backends.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import cv2
import numpy as np

from inference.engine.preprocessing import WHOLE

if TYPE_CHECKING:
    import keras

Method = Literal["occlusion", "gradcam"]
GRID = 14
"""Places along a side that are hidden in turn; each is two places wide, so that neighbours overlap."""
SIDE = 96
"""Cells along a side of a Grad-CAM map."""


@dataclass(frozen=True)
class Explanation:
    """Where the reading of one image comes from."""

    method: Method
    map: np.ndarray
    """(h, w) float32 in 0..1, over the whole image as given."""
    months: float | None
    """The farthest that hiding one place moves the reading; None for Grad-CAM."""


def occlusion_rows(
    read: Callable[[np.ndarray], np.ndarray], image: np.ndarray, rows: Iterable[int], grid: int = GRID
) -> Iterator[np.ndarray]:
    """Row after row of an occlusion map, (grid,) float32 each: by how many months the reading moves when a place of
    the image (H, W) uint8 is hidden.

    read takes (B, H, W) uint8 and gives (B,) months. What is hidden keeps its average grey and loses its detail: a
    black patch would be an edge of its own.
    """
    blurred = cv2.GaussianBlur(image, (0, 0), max(image.shape) / grid, borderType=cv2.BORDER_REPLICATE)
    for row in rows:
        hidden = [_hidden(image, blurred, row, column, grid) for column in range(grid)]
        plain, *moved = read(np.stack([image, *hidden]))
        yield np.abs(np.array(moved, np.float32) - plain)


def shrunk(image: np.ndarray, side: int) -> np.ndarray:
    """The image (H, W) uint8, its longer side no longer than that, in pixels; the boxes of its regions stay true."""
    share = side / max(image.shape)
    if share >= 1:
        return image
    height, width = image.shape
    return cv2.resize(image, (round(width * share), round(height * share)), interpolation=cv2.INTER_AREA)


def _hidden(image: np.ndarray, blurred: np.ndarray, row: int, column: int, grid: int) -> np.ndarray:
    """A copy with the square of two places' side around that place blurred."""
    height, width = image.shape
    rows = slice(max(0, round((row - 0.5) / grid * height)), round((row + 1.5) / grid * height))
    columns = slice(max(0, round((column - 0.5) / grid * width)), round((column + 1.5) / grid * width))
    copy = image.copy()
    copy[rows, columns] = blurred[rows, columns]
    return copy


def grad_cam(network: "keras.Model", inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """For each image input of the network its maps, (B, h, w) float32: how much each cell adds to the output.

    inputs are the network's, by name; the output's sum is what is explained. A bone age rests as much on what makes
    a hand young as on what makes it old, so unlike for a class, where only what speaks for it counts, the sign is
    dropped. Raises ValueError for a network without feature maps.
    """
    import keras
    from keras import ops

    maps, rest = _last_maps(network.outputs)
    if any(tensor is given for tensor in maps for given in network.inputs):
        raise ValueError(f"The network {network.name!r} has no feature maps that its output is computed from.")
    given = [inputs[tensor.name] for tensor in network.inputs]
    # Both parts share their layers with the network.
    features = keras.tree.flatten(keras.Model(network.inputs, maps)(given, training=False))
    head = keras.Model([*maps, *rest], network.outputs)
    others = [ops.convert_to_tensor(inputs[tensor.name]) for tensor in rest]

    def output(features):
        return sum(ops.sum(tensor) for tensor in keras.tree.flatten(head([*features, *others], training=False)))

    found: dict[str, np.ndarray] = {}
    for tensor, feature, gradient in zip(maps, features, _gradients(output, features), strict=True):
        weights = ops.mean(gradient, axis=(1, 2), keepdims=True)
        cam = ops.convert_to_numpy(ops.abs(ops.sum(feature * weights, axis=-1))).astype(np.float32)
        [name] = {image.name for image in _ancestors([tensor]) if any(image is given for given in network.inputs)}
        found[name] = found[name] + cam if name in found else cam
    return found


def _gradients(output: Callable, features: list) -> list:
    """d output(features) / d each of features, on the backend that Keras runs on."""
    import keras

    match keras.backend.backend():
        case "tensorflow":
            import tensorflow

            with tensorflow.GradientTape() as tape:
                tape.watch(features)
                total = output(features)
            return tape.gradient(total, features, unconnected_gradients=tensorflow.UnconnectedGradients.ZERO)
        case "torch":
            import torch

            leaves = [feature.detach().requires_grad_() for feature in features]
            return list(torch.autograd.grad(output(leaves), leaves))
        case "jax":
            import jax

            return jax.grad(output)(features)
        case other:
            raise ValueError(f"Grad-CAM runs on TensorFlow, PyTorch and JAX, not on {other!r}.")


def _last_maps(outputs: list) -> tuple[list, list]:
    """The feature maps (B, h, w, C) nearest to the outputs, and the inputs that reach them by another way."""
    maps, rest = [], []
    for tensor in _ancestors(outputs, stop=lambda tensor: len(tensor.shape) == 4):
        if len(tensor.shape) == 4:
            maps.append(tensor)
        elif not _computed_from(tensor):
            rest.append(tensor)
    return maps, rest


def _ancestors(tensors: list, stop: Callable = lambda tensor: False) -> list:
    """The tensors and all that they are computed from, each once; not what those are at which it is to stop."""
    seen, waiting = {}, list(tensors)
    while waiting:
        tensor = waiting.pop()
        if id(tensor) not in seen:
            seen[id(tensor)] = tensor
            if not stop(tensor):
                waiting += _computed_from(tensor)
    return list(seen.values())


def _computed_from(tensor) -> list:
    operation, node, _ = tensor._keras_history
    return operation._inbound_nodes[node].input_tensors


def laid_together(maps: Mapping[str, np.ndarray], boxes: Mapping[str, tuple[float, ...]]) -> np.ndarray:
    """Maps (h, w) of several views of one image, each at its box, as one: (SIDE, SIDE) float32.

    A view that looks closer has more cells on the same bone, so each counts by its density.
    """
    together = np.zeros((SIDE, SIDE), np.float32)
    for name, values in maps.items():
        x0, y0, x1, y1 = boxes.get(name, WHOLE)
        height, width = values.shape
        # Cell centres of the view, in cells of the whole image.
        to_whole = np.array(
            [
                [(x1 - x0) * SIDE / width, 0, ((x0 + (x1 - x0) / 2 / width) * SIDE) - 0.5],
                [0, (y1 - y0) * SIDE / height, ((y0 + (y1 - y0) / 2 / height) * SIDE) - 0.5],
            ]
        )
        spread = cv2.warpAffine(values, to_whole, (SIDE, SIDE), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
        together += spread * (width * height) / ((x1 - x0) * (y1 - y0))
    return together


def drawn_over(image: np.ndarray, values: np.ndarray) -> np.ndarray:
    """The image (H, W) uint8 with a map in 0..1 in colour over it, (H, W, 3) uint8, blue first as OpenCV has it."""
    height, width = image.shape
    level = np.clip(cv2.resize(values, (width, height), interpolation=cv2.INTER_CUBIC), 0, 1)
    colour = cv2.applyColorMap(np.round(level * 255).astype(np.uint8), cv2.COLORMAP_TURBO)
    share = 0.6 * level[..., np.newaxis]
    return np.round(colour * share + image[..., np.newaxis] * (1 - share)).astype(np.uint8)
