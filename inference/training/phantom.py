"""A drawn radiograph of a child's left hand: the anatomy of phantom_anatomy.py, seen through a simulated X-ray.

Attenuation of soft tissue, cortex and spongy bone is summed along the beam, blurred by scatter, exposed with noise
and developed to grey levels, with the collimator and the side marker that a real film has. No patient's image is used.
"""

import argparse
from pathlib import Path

import cv2
import numpy as np

from inference.training.phantom_anatomy import (
    OLDEST,
    OUTLINE_ANGLES,
    YOUNGEST,
    Hand,
    Nodule,
    Pose,
    Tube,
    build_hand,
    direction,
)

# Linear attenuation per mm at hand exposures (about 50 kV, filtered); spongy bone is bone and marrow together.
SOFT, CORTEX, SPONGY = 0.027, 0.12, 0.015


def draw_phantom(
    bone_age_months: float, sex: str, seed: int, size: int = 1024, subject: int | None = None
) -> np.ndarray:
    """Draw the left hand of a child, PA view, bone bright: uint8 (size, about 0.8 * size).

    `seed` draws pose, exposure, collimation, marker and noise; `subject` draws the child's own proportions (the same
    child at several ages has one subject), by default from the seed. The signs of maturity depend on bone age (months,
    3 to 228) and sex ("M" or "F") alone. Raises ValueError outside these.
    """
    if sex not in ("M", "F"):
        raise ValueError(f"sex must be 'M' or 'F', not {sex!r}")
    if not YOUNGEST <= bone_age_months <= OLDEST:
        raise ValueError(f"bone age must be {YOUNGEST:g} to {OLDEST:g} months, not {bone_age_months!r}")
    if not 128 <= size <= 4096:
        raise ValueError(f"size must be 128 to 4096 pixels, not {size!r}")
    rng = np.random.default_rng([seed, 1])
    child = np.random.default_rng([seed if subject is None else subject, 2])
    hand = build_hand(bone_age_months, sex, _draw_pose(rng), child)
    shape = size, round(size * rng.uniform(0.76, 0.84))
    view, scale, frame = _place(hand, shape, rng)
    attenuation = _soft_tissue(hand, view, scale, shape, child) + _bones(hand, view, scale, shape, child)
    return _expose(attenuation, scale, frame, rng)


def _draw_pose(rng: np.random.Generator) -> Pose:
    return Pose(
        spread=float(np.clip(rng.normal(0.9, 0.45), 0.0, 1.8)),
        thumb=rng.uniform(-8, 10),
        thumb_bend=rng.uniform(-14, 6),
        wrist=float(np.clip(rng.normal(0, 7), -16, 16)),
        bends=tuple(rng.normal(0, 1.5, 5)),
    )


def _place(
    hand: Hand, shape: tuple[int, int], rng: np.random.Generator
) -> tuple[np.ndarray, float, np.ndarray]:
    """View (2, 3) from mm to pixels, pixels per mm, and the bounding box (x0, y0, x1, y1) of hand and wrist."""
    height, width = shape
    turn = np.radians(np.clip(rng.normal(0, 6), -15, 15))
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [-np.sin(turn), -np.cos(turn)]])
    visible = hand.forearm[0] + (hand.forearm[1] - hand.forearm[0]) * rng.uniform(0.2, 0.42)
    points = np.vstack([*hand.joints.values(), visible[None]]) @ rotation.T
    low, high = points.min(0) - 13 * hand.scale, points.max(0) + [13 * hand.scale, 0]
    fill = rng.uniform(0.82, 0.97) - 0.2 * hand.infancy * rng.uniform(0.3, 1)
    scale = fill * min(height / (high[1] - low[1]), width / (high[0] - low[0]))
    slack = np.array([width, height]) - scale * (high - low)
    corner = slack * [rng.uniform(0.2, 0.8), rng.uniform(0.5, 1.0)]
    view = np.hstack([scale * rotation, (corner - scale * low)[:, None]])
    return view, scale, np.concatenate([corner, corner + scale * (high - low)])


def _add(canvas: np.ndarray, patch: np.ndarray, origin: np.ndarray, angle: float, u0: float, v0: float,
         view: np.ndarray, scale: float) -> None:  # fmt: skip
    """Add a patch drawn in a bone's own frame (rows u from u0, columns v from v0, one sample a pixel) to the canvas."""
    axis = direction(angle)
    across = np.array([axis[1], -axis[0]])
    du, dv = view[:, :2] @ axis / scale, view[:, :2] @ across / scale
    corner = view[:, :2] @ (origin + u0 * axis + v0 * across) + view[:, 2]
    affine = np.column_stack([dv, du, corner])
    rows, columns = patch.shape
    corners = affine @ np.array([[0, columns, 0, columns], [0, 0, rows, rows], [1, 1, 1, 1]])
    x0, y0 = np.maximum(np.floor(corners.min(1)).astype(int), 0)
    x1, y1 = np.minimum(np.ceil(corners.max(1)).astype(int) + 1, canvas.shape[::-1])
    if x0 >= x1 or y0 >= y1:
        return
    affine[:, 2] -= x0, y0
    canvas[y0:y1, x0:x1] += cv2.warpAffine(
        patch, affine, (int(x1 - x0), int(y1 - y0)), flags=cv2.INTER_LINEAR
    )


def _spongiosa(scale: float, rng: np.random.Generator) -> np.ndarray:
    """A wrapping tile (512, 512) of trabecular texture along the rows' axis, mean 0, SD 1 or less when too fine to see."""
    tile = np.zeros((512, 512), np.float32)
    for along, across, weight in ((1.3, 0.22, 1.0), (0.35, 0.35, 0.6)):
        noise = rng.standard_normal((512, 512), dtype=np.float32)
        blurred = cv2.GaussianBlur(noise, (0, 0), max(across * scale, 0.4), None, max(along * scale, 0.4))
        tile += weight * blurred / blurred.std()
    return tile * min(1.0, scale / 2.5)


def _bones(
    hand: Hand, view: np.ndarray, scale: float, shape: tuple[int, int], rng: np.random.Generator
) -> np.ndarray:
    """Attenuation that bone adds to soft tissue, (H, W) float32."""
    canvas = np.zeros(shape, np.float32)
    tile = _spongiosa(scale, rng)
    for tube in hand.tubes:
        _draw_tube(canvas, tube, tile, view, scale, rng.integers(512, size=2))
    for nodule in hand.nodules:
        _draw_nodule(canvas, nodule, tile, view, scale, rng.integers(512, size=2))
    return canvas


def _mineral(outer: np.ndarray, inner: np.ndarray, tile: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Attenuation from the path lengths (mm) through a piece and through its spongy inside."""
    rows, columns = ((start + np.arange(count)) % 512 for start, count in zip(at, outer.shape, strict=True))
    inner, texture = np.minimum(inner, outer), tile[np.ix_(rows, columns)]
    spongy = inner * (SPONGY * (1 + 0.25 * texture))
    return ((outer - inner) * ((CORTEX - SOFT) * (1 + 0.05 * texture)) + spongy).astype(np.float32)


def _draw_tube(
    canvas: np.ndarray, tube: Tube, tile: np.ndarray, view: np.ndarray, scale: float, at: np.ndarray
) -> None:
    margin = 1.5 / scale + 0.5 + sum(map(abs, tube.warp))
    u0, v0 = tube.u[0] - margin, -tube.left.max() - margin
    u = np.arange(u0, tube.u[-1] + margin, 1 / scale)[:, None]
    v = np.arange(v0, tube.right.max() + margin, 1 / scale)[None, :]
    if any(tube.warp):
        x = np.clip(v / max(tube.left.max(), 1e-3), -1, 1)
        share = np.clip((u - tube.u[0]) / (tube.u[-1] - tube.u[0]), 0, 1)
        share = share if tube.warp_side > 0 else 1 - share
        u = u - (tube.warp[0] * x + tube.warp[1] * x * x) * share
    left, right, cortex = (np.interp(u, tube.u, values) for values in (tube.left, tube.right, tube.cortex))

    def path(inset: np.ndarray | float, plate: float) -> np.ndarray:
        half = np.maximum((left + right) / 2 - inset, 1e-3)
        x = (v - (right - left) / 2) / half
        reach = np.clip(x, -1, 1)
        lo, hi = (face[0] + face[1] * reach + face[2] * reach**2 for face in (tube.lo, tube.hi))
        ends = 1.0
        for distance, rounding in ((u - lo - plate, tube.rounding[0]), (hi - plate - u, tube.rounding[1])):
            taper = np.clip(distance / rounding, 0, 1)
            ends = ends * taper * (2 - taper)
        return 2 * tube.depth * half * np.sqrt(np.maximum(1 - x * x, 0) * ends)

    patch = tube.opacity * _mineral(path(0.0, 0.0), path(cortex, tube.end_plate), tile, at)
    _add(canvas, patch, tube.origin, tube.angle, float(u0), float(v0), view, scale)


def _draw_nodule(canvas: np.ndarray, nodule: Nodule, tile: np.ndarray, view: np.ndarray, scale: float,
                 at: np.ndarray) -> None:  # fmt: skip
    reach = nodule.radius.max() + 1.5 / scale
    grid = np.arange(-reach, reach, 1 / scale)
    x, y = grid[None, :], grid[:, None]
    radius = np.interp(np.arctan2(y, x), OUTLINE_ANGLES, nodule.radius)
    distance = np.hypot(x, y)
    thickness = 2 * nodule.depth * nodule.radius.mean()
    outer, inner = (
        thickness * share * np.sqrt(np.maximum(1 - (distance / np.maximum(radius - inset, 1e-3)) ** 3.2, 0))
        for inset, share in ((0.0, 1.0), (nodule.cortex, 0.93))
    )
    _add(
        canvas,
        _mineral(outer, inner, tile, at),
        nodule.origin,
        0.0,
        float(-reach),
        float(-reach),
        view,
        scale,
    )


def _soft_tissue(
    hand: Hand, view: np.ndarray, scale: float, shape: tuple[int, int], rng: np.random.Generator
) -> np.ndarray:
    """Attenuation of skin, fat and muscle, (H, W) float32: thin at the rim, thickest over palm and forearm."""
    height, width = shape
    half = view / 2  # drawn at half size: the outline is smooth
    mask = np.zeros((-(-height // 2), -(-width // 2)), np.uint8)
    size, plump = hand.scale, rng.normal(1.08, 0.06) * (1 + 0.16 * hand.infancy)

    def pixels(points: np.ndarray) -> np.ndarray:
        return np.asarray(points) @ half[:, :2].T + half[:, 2]

    def polygon(points: np.ndarray) -> None:
        cv2.fillPoly(mask, [np.round(pixels(points) * 16).astype(np.int32)], 255, cv2.LINE_AA, 4)

    def limb(points: np.ndarray, radii: np.ndarray) -> None:
        for a, b, ra, rb in zip(points[:-1], points[1:], radii[:-1], radii[1:], strict=True):
            axis = (b - a) / max(np.hypot(*(b - a)), 1e-6)
            across = np.array([axis[1], -axis[0]])
            polygon(np.array([a - ra * across, a + ra * across, b + rb * across, b - rb * across]))
            centre = np.round(pixels(b) * 16).astype(int)
            cv2.circle(mask, centre.tolist(), round(rb * scale / 2 * 16), 255, -1, cv2.LINE_AA, 4)

    for finger, joints in hand.joints.items():
        girth = size * plump * (1.06, 1.0, 1.03, 0.97, 0.86)[finger - 1]
        tip = joints[-1] - (joints[-1] - joints[-2]) * 0.13
        if finger == 1:
            radii = np.array([13, 13.0, 10.3, 7.0]) * girth
        else:
            radii = np.array([10, 11.5, 9.3, 8.4, 6.4]) * girth
        points = np.vstack([joints[:-1], tip])
        stations = np.linspace(0, len(points) - 1, 6 * (len(points) - 1) + 1)
        knots = np.arange(len(points))
        path = np.column_stack([np.interp(stations, knots, points[:, k]) for k in (0, 1)])
        swell = 1 + 0.035 * (1 + 1.2 * hand.infancy) * np.cos(2 * np.pi * (stations + 0.5 * hand.infancy))
        limb(path, np.interp(stations, knots, radii) * swell)

    knuckle = {finger: joints[1] for finger, joints in hand.joints.items()}
    webs = [
        0.5 * sum(knuckle[f] + 0.42 * (hand.joints[f][2] - knuckle[f]) for f in pair)
        for pair in ((5, 4), (4, 3), (3, 2))
    ]
    arm, toward = hand.forearm[0], hand.forearm[1] - hand.forearm[0]
    along = toward / np.hypot(*toward)
    across = np.array([-along[1], along[0]])
    bulk = size * plump * (1 + 0.42 * hand.infancy)
    polygon(
        np.array([
            arm - across * 27 * bulk, np.array([-30.5, -14]) * size * plump, knuckle[5] + np.array([-12, -4]) * size,
            knuckle[5] + np.array([-9, 8]) * size, *webs, knuckle[2] + np.array([11, 8]) * size,
            knuckle[2] + np.array([12.5, -6]) * size,
            0.5 * (knuckle[2] + knuckle[1]) + np.array([-2.0, -9]) * size,
            0.6 * knuckle[1] + 0.4 * hand.joints[1][0] + np.array([6, 0]) * size,
            hand.joints[1][0] + np.array([8, -8]) * size, arm + across * 28.5 * bulk,
        ])
    )  # fmt: skip
    steps = np.linspace(0, 1, 9)
    limb(arm + toward * steps[:, None], bulk * np.interp(steps, [0, 0.1, 0.4, 1], [27.5, 28.5, 34, 41]))

    smooth = cv2.GaussianBlur(mask, (0, 0), 1.5 * size * scale / 2 + 0.5)
    inside = (smooth > 127).astype(np.uint8)
    depth = cv2.distanceTransform(inside, cv2.DIST_L2, 5) * (2 / scale)
    ball = 11 * size
    depth = np.minimum(depth, ball)
    thickness = 1.5 * np.sqrt(depth * (2 * ball - depth))
    rows, columns = np.mgrid[0 : mask.shape[0], 0 : mask.shape[1]].astype(np.float32)
    bulge = np.zeros_like(thickness)
    thenar = 0.45 * hand.joints[1][0] + 0.55 * knuckle[1] + np.array([-9, 2]) * size
    hypothenar = 0.5 * (hand.joints[5][0] + knuckle[5])
    for centre, radius, amount in ((thenar, 17, 10), (hypothenar, 17, 4), (arm + np.array([0, 18]) * size, 26, 8),
                                   (arm + toward * 0.45, 48, 22)):  # fmt: skip
        x, y = pixels(centre)
        spread = (radius * size * scale / 2) ** 2
        bulge += amount * size * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * spread))
    thickness += bulge * np.clip(thickness / (14 * size), 0, 1) ** 2
    thickness = cv2.GaussianBlur(thickness, (0, 0), 0.4 * size * scale / 2 + 0.3)
    return SOFT * cv2.resize(thickness.astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR)


def _expose(attenuation: np.ndarray, scale: float, frame: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Develop attenuation into grey levels: scatter, heel effect, noise, film curve, collimator, marker."""
    height, width = attenuation.shape
    small = cv2.resize(np.exp(-attenuation), None, fx=0.125, fy=0.125, interpolation=cv2.INTER_AREA)
    scatter = cv2.GaussianBlur(small, (0, 0), max(9 * scale / 8, 0.5))
    intensity = np.exp(-attenuation)
    share = rng.uniform(0.05, 0.14)
    intensity = (1 - share) * intensity + share * cv2.resize(scatter, (width, height))
    intensity = cv2.GaussianBlur(intensity, (0, 0), max(0.18 * scale, 0.35))
    heel = np.linspace(-1, 1, height, dtype=np.float32)[:, None] * rng.normal(0, 0.04)
    heel = heel + np.linspace(-1, 1, width, dtype=np.float32)[None, :] * rng.normal(0, 0.03)
    intensity *= 1 + heel
    quantum = rng.uniform(0.006, 0.02)
    grain = rng.standard_normal((height, width), dtype=np.float32)
    density = -np.log(np.maximum(intensity, 1e-3)) + quantum * grain / np.sqrt(np.maximum(intensity, 0.05))

    film, collimator = _collimate(density, frame, rng)
    _mark(film, frame, rng)
    top = np.percentile(density[:: max(height // 128, 1), :: max(width // 128, 1)], 99.7)
    level = np.clip(film / top, 0, 1.3)
    level = np.clip(level, 0, None) ** rng.uniform(0.85, 1.2)
    look = rng.random()
    if look < 0.62:
        base, span = rng.uniform(2, 22), rng.uniform(140, 245)
    elif look < 0.9:
        base, span = rng.uniform(10, 65), rng.uniform(45, 110)
    else:
        base, span = rng.uniform(110, 160), rng.uniform(60, 95)
    picture = base + span * level
    if collimator is not None:
        picture = picture * (1 - collimator)
    return np.clip(np.round(picture), 0, 255).astype(np.uint8)


def _collimate(
    density: np.ndarray, frame: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray | None]:
    """Density with the collimator's edge, and the mask of a black electronic shutter where there is one."""
    height, width = density.shape
    style = rng.choice(["open", "edge", "ridge", "shutter"], p=[0.5, 0.14, 0.18, 0.18])
    if style == "open":
        return density, None
    tilt = np.radians(rng.normal(0, 2.5))
    room = np.array([frame[0], frame[1], width - frame[2], height - frame[3]]).clip(0) * rng.uniform(
        0.1, 0.9, 4
    )
    x0, y0, x1, y1 = room[0], room[1], width - room[2], height - room[3]
    centre = np.array([(x0 + x1) / 2, (y0 + y1) / 2])
    half = np.array([(x1 - x0) / 2, (y1 - y0) / 2])
    x = np.arange(width, dtype=np.float32)[None, :] - np.float32(centre[0])
    y = np.arange(height, dtype=np.float32)[:, None] - np.float32(centre[1])
    cos, sin = np.float32(np.cos(tilt)), np.float32(np.sin(tilt))
    outside = np.maximum(
        np.abs(x * cos + y * sin) - np.float32(half[0]), np.abs(y * cos - x * sin) - np.float32(half[1])
    )
    soft = np.float32(0.004 * height)
    closed = 1 / (1 + np.exp(-np.clip(outside / soft, -30, 30)))
    if style == "shutter":
        return density, (outside > 0).astype(np.float32)
    if style == "edge":
        return density + closed * np.float32(rng.uniform(0.8, 1.6)), None
    ridge = np.exp(-((outside / (2.2 * soft)) ** 2)) * np.float32(rng.uniform(0.25, 0.5))
    beyond = np.float32(rng.uniform(-0.05, 0.12))
    return density * (1 - closed) + closed * beyond + ridge, None


def _mark(film: np.ndarray, frame: np.ndarray, rng: np.random.Generator) -> None:
    """Lay a lead side marker (an L, often with initials on a plate) where the hand leaves room; in place."""
    height, width = film.shape
    letter = round(height * rng.uniform(0.035, 0.06))
    initials = "".join(rng.choice(list("ABCDEFGHJKLMNPRST"), rng.integers(0, 4)))
    plate = np.zeros((letter * 3, letter * 2), np.uint8)
    thick = max(round(letter / 7), 1)
    if rng.random() < 0.6:
        cv2.rectangle(plate, (2, 2), (letter * 2 - 3, letter * 3 - 3), 30, -1)
    scale = letter / 22
    (w, h), _ = cv2.getTextSize("L", cv2.FONT_HERSHEY_DUPLEX, scale, thick)
    cv2.putText(
        plate,
        "L",
        (letter - w // 2, letter // 2 + h),
        cv2.FONT_HERSHEY_DUPLEX,
        scale,
        255,
        thick,
        cv2.LINE_AA,
    )
    (w, h), _ = cv2.getTextSize(initials, cv2.FONT_HERSHEY_DUPLEX, scale * 0.5, max(thick // 2, 1))
    cv2.putText(plate, initials, (letter - w // 2, round(letter * 2.4)), cv2.FONT_HERSHEY_DUPLEX, scale * 0.5, 255,
                max(thick // 2, 1), cv2.LINE_AA)  # fmt: skip
    spots = [(0.1, 0.12), (0.1, 0.7), (0.9, 0.12), (0.9, 0.75)]
    x, y = np.array(spots[rng.integers(4)]) + rng.normal(0, 0.02, 2)
    turn = cv2.getRotationMatrix2D((float(letter), letter * 1.5), float(rng.normal(0, 14)), 1.0)
    turn[:, 2] += [x * width - letter, y * height - letter * 1.5]
    laid = cv2.warpAffine(plate, turn, (width, height))
    film += laid * np.float32(max(film.max(), 1.5) / 255)


def main() -> None:
    parser = argparse.ArgumentParser(description="Draw a radiograph of a child's hand. It shows no patient.")
    parser.add_argument("out", type=Path, help="image to write")
    parser.add_argument("--age-months", type=float, required=True, help="bone age, 3 to 228")
    parser.add_argument("--sex", choices=["M", "F"], required=True)
    parser.add_argument("--seed", type=int, default=0, help="pose, exposure, marker, noise")
    parser.add_argument("--subject", type=int, help="the child; by default drawn from the seed")
    parser.add_argument("--size", type=int, default=1024, help="height in pixels")
    options = parser.parse_args()
    image = draw_phantom(options.age_months, options.sex, options.seed, options.size, options.subject)
    if not cv2.imwrite(str(options.out), image):
        parser.error(f"cannot write {options.out}")


if __name__ == "__main__":
    main()
