"""Attenuation of a drawn hand along the beam, pixel by pixel: soft tissue, cortex and spongy bone."""

from dataclasses import dataclass

import cv2
import numpy as np

from inference.training.phantom.anatomy import Hand
from inference.training.phantom.bones import OUTLINE_ANGLES, Nodule, Tube, direction

# Attenuation per mm at hand exposures (about 50 kV); spongy bone is what it adds to the soft tissue it replaces.
SOFT, CORTEX, SPONGY = 0.027, 0.12, 0.021
TILE = 512

# Half width of the soft tissue at each joint, mm, base to tip, and how stout each finger is.
THUMB_GIRTH = (10.5, 12.6, 10.6, 7.2)
FINGER_GIRTH = (10.0, 11.5, 9.6, 8.7, 6.6)
STOUTNESS = (1.06, 1.0, 1.03, 0.97, 0.86)


@dataclass(frozen=True)
class View:
    """How the hand falls on the film: `matrix` (2, 3) takes mm to pixels (x, y), `scale` is pixels per mm."""

    matrix: np.ndarray
    scale: float
    shape: tuple[int, int]

    def pixels(self, points: np.ndarray) -> np.ndarray:
        return np.asarray(points) @ self.matrix[:, :2].T + self.matrix[:, 2]


def bone_attenuation(hand: Hand, view: View, rng: np.random.Generator) -> np.ndarray:
    """Attenuation that bone adds to the soft tissue, (H, W) float32."""
    bones, carpus = np.zeros((2, *view.shape), np.float32)
    millimetre, depth = hand.growth.scale * view.scale, 0.35 + 0.65 * hand.growth.youth  # an infant's bone is solid
    streaks, mesh = (depth * _spongiosa(millimetre, *grain, rng) for grain in ((0.7, 0.13), (0.3, 0.3)))
    for tube in hand.tubes:
        _lay(bones, _tube(tube, streaks if tube.streaked else mesh, view.scale, rng), tube.origin, tube.angle, view)
    for nodule in hand.nodules:
        _lay(carpus, _nodule(nodule, mesh, view.scale, rng), nodule.origin, 0.0, view, shared=0.7)
    return bones + carpus


def _lay(canvas: np.ndarray, piece: tuple[np.ndarray, float, float], origin: np.ndarray, angle: float, view: View,
         shared: float = 0.0) -> None:  # fmt: skip
    """Add a patch drawn in a bone's own frame (rows along it from u0, columns across from v0).

    `shared` is the part of an overlap counted once: neighbours that abut obliquely, not one behind the other.
    """
    patch, u0, v0 = piece
    axis = direction(angle)
    across = np.array([axis[1], -axis[0]])
    turn = view.matrix[:, :2] / view.scale
    affine = np.column_stack([turn @ across, turn @ axis, view.pixels(origin + u0 * axis + v0 * across)])
    rows, columns = patch.shape
    corners = affine @ np.array([[0, columns, 0, columns], [0, 0, rows, rows], [1, 1, 1, 1]])
    x0, y0 = np.maximum(np.floor(corners.min(1)).astype(int), 0)
    x1, y1 = np.minimum(np.ceil(corners.max(1)).astype(int) + 1, view.shape[::-1])
    if x0 >= x1 or y0 >= y1:
        return
    affine[:, 2] -= x0, y0
    drawn = cv2.warpAffine(patch, affine, (int(x1 - x0), int(y1 - y0)), flags=cv2.INTER_LINEAR)
    area = canvas[y0:y1, x0:x1]
    area += drawn - shared * np.minimum(area, drawn)


def _spongiosa(scale: float, along: float, across: float, rng: np.random.Generator) -> np.ndarray:
    """A wrapping tile of trabeculae, `along` by `across` mm; fainter where the pixels cannot resolve them."""
    noise = rng.standard_normal((TILE, TILE), dtype=np.float32)
    tile = cv2.GaussianBlur(noise, (0, 0), max(across * scale, 0.4), None, max(along * scale, 0.4))
    fine = cv2.GaussianBlur(noise.T, (0, 0), max(0.16 * scale, 0.4))
    return (tile / tile.std() + 0.6 * fine / fine.std()) * min(1.0, scale / 2.5)


def _mineral(outer: np.ndarray, inner: np.ndarray, tile: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Attenuation from the path lengths (mm) through a piece and its spongy inside, as wide as the cortex lets it be:
    front and back are thinner than the sides.
    """
    start = rng.integers(TILE, size=2)
    rows, columns = ((first + np.arange(count)) % TILE for first, count in zip(start, outer.shape, strict=True))
    inner, texture = np.minimum(1.25 * inner, outer), tile[np.ix_(rows, columns)]
    compact = (outer - inner) * ((CORTEX - SOFT) * (1 + 0.07 * texture))
    return (compact + inner * (SPONGY * (1 + 0.19 * texture))).astype(np.float32)


def _tube(tube: Tube, tile: np.ndarray, scale: float, rng: np.random.Generator) -> tuple[np.ndarray, float, float]:
    width = float(tube.half.max())
    bent = max(abs(tilt) + abs(curve) for tilt, curve in (tube.lo, tube.hi))
    reach = width + float(np.abs(tube.middle).max()) + 1.5 / scale
    u0 = tube.u[0] - bent - 1.5 / scale
    u = np.arange(u0, tube.u[-1] + bent + 1.5 / scale, 1 / scale)[:, None]
    v = np.arange(-reach, reach, 1 / scale)[None, :]
    x = np.clip(v / width, -1, 1)
    share = np.clip((u - tube.u[0]) / (tube.u[-1] - tube.u[0]), 0, 1)
    for (tilt, curve), weight in ((tube.lo, 1 - share), (tube.hi, share)):
        if tilt or curve:
            u = u - (tilt * x + curve * x * x) * weight**2
    middle, half, inside = (np.interp(u, tube.u, values) for values in (tube.middle, tube.half, tube.inside))
    off_axis = (v - middle) ** 2
    outer, inner = (2 * tube.depth * np.sqrt(np.maximum(h * h - off_axis, 0)) for h in (half, inside))
    return tube.opacity * _mineral(outer, inner, tile, rng), float(u0), -reach


def _nodule(
    nodule: Nodule, tile: np.ndarray, scale: float, rng: np.random.Generator
) -> tuple[np.ndarray, float, float]:
    reach = float(nodule.radius.max()) + 1.5 / scale
    grid = np.arange(-reach, reach, 1 / scale)
    x, y = grid[None, :], grid[:, None]
    radius = np.interp(np.arctan2(y, x), OUTLINE_ANGLES, nodule.radius)
    distance = np.hypot(x, y)
    thickness = 2 * nodule.depth * nodule.radius.mean()
    outer, inner = (
        thickness * share * np.sqrt(np.maximum(1 - (distance / np.maximum(radius - inset, 1e-3)) ** 3.2, 0))
        for inset, share in ((0.0, 1.0), (nodule.cortex, 0.93))
    )
    return _mineral(outer, inner, tile, rng), -reach, -reach


def soft_attenuation(hand: Hand, view: View, rng: np.random.Generator) -> np.ndarray:
    """Attenuation of skin, fat and muscle, (H, W) float32: thin at the rim, thickest over palm and forearm."""
    size, millimetre = hand.growth.scale, hand.growth.scale * view.scale  # one mm of an adult hand, in pixels
    plump = size * rng.normal(1.03, 0.05) * (1 + 0.24 * hand.growth.infancy)
    muscle = cv2.resize(
        rng.normal(1, 0.03, (24, 20)).astype(np.float32), view.shape[::-1], interpolation=cv2.INTER_CUBIC
    )
    mask = cv2.GaussianBlur(_silhouette(hand, view, plump), (0, 0), 1.3 * millimetre)
    depth = cv2.distanceTransform((mask > 127).astype(np.uint8), cv2.DIST_L2, 5) / millimetre
    depth = np.minimum(depth, 11)
    thickness = 1.5 * np.sqrt(depth * (22 - depth))
    thickness += (_bulges(hand, view) * np.clip(thickness / 14, 0, 1) ** 2) * muscle
    thickness += 1.2 * np.clip(depth / 0.7, 0, 1)  # skin, seen edge on
    return SOFT * size * cv2.GaussianBlur(thickness, (0, 0), max(0.3 * millimetre, 0.5))


def _silhouette(hand: Hand, view: View, plump: float) -> np.ndarray:
    """Outline of the hand and forearm as a mask, 0 or 255. `plump` is the size of the soft tissue, 1 in a man."""
    size, mask = hand.growth.scale, np.zeros(view.shape, np.uint8)

    def fill(points: list[np.ndarray] | np.ndarray) -> None:
        cv2.fillPoly(mask, [np.round(view.pixels(np.array(points)) * 16).astype(np.int32)], 255, cv2.LINE_8, 4)

    def limb(points: np.ndarray, radii: np.ndarray) -> None:
        for a, b, ra, rb in zip(points[:-1], points[1:], radii[:-1], radii[1:], strict=True):
            side = np.array([(b - a)[1], -(b - a)[0]]) / np.hypot(*(b - a))
            fill([a - ra * side, a + ra * side, b + rb * side, b - rb * side])
            centre = np.round(view.pixels(b) * 16).astype(int)
            cv2.circle(mask, centre.tolist(), round(rb * view.scale * 16), 255, -1, cv2.LINE_8, 4)

    for finger, joints in hand.joints.items():
        girth = np.array(THUMB_GIRTH if finger == 1 else FINGER_GIRTH) * plump * STOUTNESS[finger - 1]
        points = np.vstack([joints[:-1], joints[-1] - 0.13 * (joints[-1] - joints[-2])])
        knots = np.arange(len(points))
        stations = np.linspace(0, len(points) - 1, 6 * (len(points) - 1) + 1)
        path = np.column_stack([np.interp(stations, knots, axis) for axis in points.T])
        creases = 0.5 * hand.growth.infancy  # a baby's fingers swell between the joints, not at them
        swell = 1 + 0.035 * (1 + 2.4 * creases) * np.cos(2 * np.pi * (stations + creases))
        limb(path, np.interp(stations, knots, girth) * swell)

    wrist, elbow = hand.forearm
    across = np.array([wrist[1] - elbow[1], elbow[0] - wrist[0]]) / np.hypot(*(elbow - wrist))
    bulk = plump * (1 + 0.36 * hand.growth.infancy)
    steps = np.linspace(0, 1, 41)[:, None]
    axis = wrist + (elbow - wrist) * steps
    side = across * bulk * (33.5 - 5.5 * (1 - np.clip(steps / 0.45, 0, 1)) ** 2 + 8 * steps**2)
    fill(np.vstack([axis - side, (axis + side)[::-1]]))

    knuckle = {finger: joints[1] for finger, joints in hand.joints.items()}
    third = {finger: joints[1] + 0.42 * (joints[2] - joints[1]) for finger, joints in hand.joints.items()}
    thumb = hand.joints[1][0]
    fill([
        wrist - 28 * bulk * across,
        np.array([-30.5, -14]) * plump,
        knuckle[5] + np.array([-10.8, -6]) * size,
        knuckle[5] + np.array([-8, 8]) * size,
        *((third[a] + third[b]) / 2 for a, b in ((5, 4), (4, 3), (3, 2))),
        knuckle[2] + np.array([11, 8]) * size,
        knuckle[2] + np.array([11.5, -6]) * size,
        (knuckle[2] + knuckle[1]) / 2 + np.array([-2, -9]) * size,
        0.6 * knuckle[1] + 0.4 * thumb + np.array([6, 0]) * size,
        thumb + np.array([8.5, -7]) * size,
        wrist + 28 * bulk * across,
    ])  # fmt: skip
    return mask


def _bulges(hand: Hand, view: View) -> np.ndarray:
    """Thickness that muscle adds over palm, wrist and forearm, in mm of an adult hand: (H, W) float32."""
    wrist, elbow = hand.forearm
    (thumb, thumb_knuckle), (little, little_knuckle) = hand.joints[1][:2], hand.joints[5][:2]
    blobs = (
        (0.45 * thumb + 0.55 * thumb_knuckle + np.array([-9, 2]) * hand.growth.scale, 17, 10),
        ((little + little_knuckle) / 2, 17, 4),
        (wrist + np.array([0, 18]) * hand.growth.scale, 26, 9),
        (wrist + 0.45 * (elbow - wrist), 48, 20),
    )
    rows = np.arange(view.shape[0], dtype=np.float32)[:, None]
    columns = np.arange(view.shape[1], dtype=np.float32)[None, :]
    total = np.zeros(view.shape, np.float32)
    for centre, radius, height in blobs:
        x, y = view.pixels(centre)
        spread = 2 * (radius * hand.growth.scale * view.scale) ** 2
        total += height * np.exp(-((rows - y) ** 2) / spread) * np.exp(-((columns - x) ** 2) / spread)
    return total
