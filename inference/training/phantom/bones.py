"""Shapes of single bones in millimetres: tubular bones with their epiphyses, and carpals."""

from dataclasses import dataclass
from functools import cache

import numpy as np

from inference.training.phantom.maturity import Centre, Growth

# Half width along the shaft, base to tip, as a share of the greatest; mc1 has its epiphysis at the base.
STATIONS = np.array([0.0, 0.06, 0.15, 0.28, 0.45, 0.62, 0.78, 0.88, 0.95, 1.0])
PROFILES = {
    "mc": np.array([0.95, 0.98, 0.83, 0.60, 0.50, 0.48, 0.56, 0.78, 0.96, 1.00]),
    "mc1": np.array([1.00, 1.00, 0.87, 0.69, 0.58, 0.57, 0.69, 0.86, 0.93, 0.90]),
    "pp": np.array([1.00, 0.98, 0.82, 0.64, 0.56, 0.54, 0.57, 0.69, 0.77, 0.77]),
    "mp": np.array([1.00, 0.98, 0.82, 0.64, 0.54, 0.53, 0.62, 0.76, 0.80, 0.80]),
    "dp": np.array([1.00, 0.95, 0.73, 0.49, 0.39, 0.36, 0.41, 0.53, 0.57, 0.56]),
    "radius": np.array([0.50, 0.50, 0.50, 0.50, 0.50, 0.50, 0.58, 0.72, 0.91, 1.01]),
    "ulna": np.array([0.86, 0.86, 0.85, 0.84, 0.81, 0.77, 0.72, 0.71, 0.86, 1.00]),
}
# Cortical thickness along the shaft (stations, mm), and the joint face as (tilt, curve) in half widths.
CORTICAL_THICKNESS = {
    "short": ([0, 0.12, 0.3, 0.6, 0.82, 1], [0.4, 0.5, 1.7, 1.9, 0.6, 0.45]),
    "radius": ([0, 0.69, 0.88, 1], [2.6, 2.4, 1.1, 0.5]),
    "ulna": ([0, 0.69, 0.88, 1], [2.5, 2.2, 1.0, 0.5]),
}
JOINT_FACES = {"mc": (0.0, 0.0), "radius": (0.24, 0.10), "ulna": (-0.22, 0.16)}
DOMES = {"mc": 1.0, "ulna": 0.7}  # how far a grown epiphysis is a dome rather than a disc
DISTAL_PLATE = ("mc", "radius", "ulna")
TIPS = {"mc": 0.95, "dp": 0.55, "radius": 0.15, "ulna": 0.5}  # rounding of the far end, half widths
DISC = np.linspace(0, 1, 25)
DENSE = (1 - np.cos(np.linspace(0, np.pi, 64))) / 2  # stations, closest where a bone ends

# Outlines of the adult carpals, palmar view, mm.
CARPAL_OUTLINES = {
    "capitate": "-6,-2 6,-2 7,-8 5.5,-14 6.3,-20 3.5,-25 -2,-26.5 -6,-23.5 -7,-16 -7,-8",
    "hamate": "-8,-3.5 -14,-5 -20.5,-10 -21,-13 -15,-16.5 -9.5,-24 -7.5,-21 -7.3,-12",
    "triquetrum": "-21,-15 -14,-18 -10.5,-24 -12,-29 -18,-28 -23.5,-21",
    "pisiform": "-15,-21 -17,-16.5 -20.5,-17 -22.5,-21.5 -20.5,-26 -16.5,-25.5",
    "lunate": "-9.5,-26 -2.5,-28 3.5,-27 5,-31 3,-36 -4,-38 -10.5,-35 -11.5,-30",
    "scaphoid": "7,-21.5 12,-16 18.5,-15.5 21,-19.5 18,-25.5 13,-31.5 7,-35.5 4.3,-32 6.3,-27",
    "trapezoid": "8,-3.5 14,-2.5 17.5,-5.5 16.5,-12 12,-14.5 8.5,-13 7.5,-8",
    "trapezium": "17.5,-6 22,-4 28.5,-6.5 30,-11 27,-16 20.5,-16.5 17,-13",
}
OUTLINE_ANGLES = np.linspace(-np.pi, np.pi, 73)


@dataclass(frozen=True)
class Tube:
    """A tubular piece of bone in its own frame: u along the axis from `origin`, v across it, mm.

    At each station `u`: where the middle lies across the axis, the outer half width, and that of the spongy
    inside. `lo` and `hi` bend the end faces by (tilt, curve): tilt * x + curve * x**2 mm at x = v / greatest half
    width. `opacity` is the share of the mineral that is there.
    """

    origin: np.ndarray
    angle: float
    u: np.ndarray
    middle: np.ndarray
    half: np.ndarray
    inside: np.ndarray
    lo: tuple[float, float]
    hi: tuple[float, float]
    opacity: float
    streaked: bool = True  # trabeculae run along it, as in a shaft
    depth: float = 0.85


@dataclass(frozen=True)
class Nodule:
    """A carpal or sesamoid: radius (mm) at OUTLINE_ANGLES around its centre."""

    name: str
    origin: np.ndarray
    radius: np.ndarray
    cortex: float
    depth: float


def direction(degrees: float) -> np.ndarray:
    """Unit vector (2,) at an angle from the y axis, positive towards the thumb."""
    return np.array([np.sin(np.radians(degrees)), np.cos(np.radians(degrees))])


def _closing(distance: np.ndarray, radius: float) -> np.ndarray:
    """Share of the half width left at a distance from an end that is rounded over `radius`."""
    return (1 - (1 - np.clip(distance / radius, 0, 1)) ** 2.3) ** (1 / 2.3)


def _smooth(values: np.ndarray) -> np.ndarray:
    return np.convolve(np.pad(values, 4, mode="edge"), np.ones(9) / 9, mode="valid")


def _disc(half_width: float, dot: float, dome: float) -> np.ndarray:
    """Half widths of an epiphysis at DISC, plate to joint: a ball while a dot, then a disc, domed by `dome`."""
    split = 0.5 * dot + (0.5 - 0.32 * dome) * (1 - dot)
    plate_power, joint_power = 2 + 3 * (1 - dot), 2 + (1.4 - 1.2 * dome) * (1 - dot)
    near = (1 - (np.clip(split - DISC, 0, None) / split) ** plate_power).clip(0) ** (1 / plate_power)
    far = (1 - (np.clip(DISC - split, 0, None) / (1 - split)) ** joint_power).clip(0) ** (1 / joint_power)
    return half_width * np.minimum(near, far)


def _shaft(
    limits: tuple[float, float], rounding: tuple[float, float], profile: np.ndarray, cortex: np.ndarray, plate: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Stations, half widths and spongy half widths of a piece with `profile` at STATIONS, its ends rounded."""
    start, end = limits
    u = start + DENSE * (end - start)
    closing = _closing(u - start, rounding[0]) * _closing(end - u, rounding[1])
    half = closing * _smooth(np.interp(DENSE, STATIONS, profile))
    inside = half - np.minimum(np.interp(DENSE, STATIONS, cortex), 0.46 * half)
    return u, half, np.where(np.minimum(u - start, end - u) < plate, 0, inside)


def long_bone(
    kind: str,
    origin: np.ndarray,
    angle: float,
    length: float,
    half_width: float,
    growing_end: float,
    centre: Centre,
    growth: Growth,
    rng: np.random.Generator,
) -> list[Tube]:
    """Shaft, epiphysis and, as they unite, the whole bone with the scar of its plate.

    `length` runs from joint to joint, mm; `growing_end` is the share of it that cartilage, epiphysis and growth plate
    take up together.
    """
    distal = kind in DISTAL_PLATE
    profile = PROFILES[kind] ** (0.55 + 0.45 * growth.youth)  # a young shaft is hardly waisted
    profile = half_width * profile * rng.normal(1, 0.015, profile.size)
    lean = np.interp(DENSE, STATIONS, half_width * rng.normal(0, 0.02, profile.size))
    thin = (0.9 - 0.35 * growth.infancy) * growth.scale**0.5
    cortex = thin * np.interp(STATIONS, *CORTICAL_THICKNESS.get(kind, CORTICAL_THICKNESS["short"]))

    grown, union = centre.grown(growth.age), centre.union(growth.age)
    cartilage = length * (0.025 + 0.05 * growth.infancy)  # at the end without a plate
    zone = length * growing_end
    thickness = 0.93 * zone * (0.16 + 0.84 * max(grown, 0) ** 0.5)
    gap = (zone - thickness) * (0.28 + 0.12 * (1 - max(grown, 0)) ** 3)
    face = zone - thickness - gap
    plate_at, side = (length - zone, 1) if distal else (zone, -1)

    base, plate, tip = 0.25 * half_width, 0.12 * half_width, TIPS.get(kind, 0.5) * half_width
    tilt, curve = (share * half_width for share in JOINT_FACES.get(kind, (0.0, 0.12)))
    flat, joint_face = (0.0, 0.0), (tilt, side * curve)
    condyles = (0.0, 0.08 * half_width if kind in ("pp", "mp") else 0.0)
    plate_face = (0.0, -side * 0.05 * half_width * (1 - growth.infancy))

    def tube(u: np.ndarray, half: np.ndarray, inside: np.ndarray, lo: tuple[float, float], hi: tuple[float, float],
             opacity: float) -> Tube:  # fmt: skip
        whole = u.size == DENSE.size
        middle = lean if whole else np.zeros(u.size)
        return Tube(origin, angle, u, middle, half, inside, lo, hi, opacity, streaked=whole)

    def shaft(limits: tuple[float, float], rounding: tuple[float, float], lo: tuple[float, float],
              hi: tuple[float, float], opacity: float) -> Tube:  # fmt: skip
        return tube(*_shaft(limits, rounding, profile, cortex, 0.55 * thin), lo, hi, opacity)

    pieces = []
    if union < 1:
        if distal:
            pieces.append(shaft((cartilage, plate_at), (base, plate), flat, plate_face, 1 - union))
        else:
            pieces.append(shaft((plate_at, length - cartilage), (plate, tip), plate_face, condyles, 1 - union))
        if grown > 0:
            width = half_width * min(1.02, 0.16 + 1.12 * grown**0.42) if grown > 0.05 else 0
            width = max(width, thickness / 2)
            dot = float(np.clip(1 - width / half_width, 0, 1))
            half = _disc(width, dot, DOMES.get(kind, 0.15))
            u, inside = (
                plate_at + side * (gap + DISC * thickness),
                np.clip(half - min(0.6 * thin, 0.12 * width), 0, None),
            )
            bent = ((1 - dot) * joint_face[0], (1 - dot) * joint_face[1])
            order = slice(None, None, side)  # stations must ascend
            faces = (flat, bent) if distal else (bent, flat)
            pieces.append(tube(u[order], half[order], inside[order], *faces, 1 - union))
    if union > 0:
        limits = (cartilage, length - face) if distal else (face, length - cartilage)
        pieces.append(shaft(limits, (base, tip), *((flat, joint_face) if distal else (joint_face, condyles)), union))
        line = plate_at + (2 * DENSE - 1) * 0.6 * growth.scale
        half = 0.86 * half_width * _closing(1 - np.abs(2 * DENSE - 1), 0.5)
        scar = 0.27 * union * (1 - 0.85 * float(np.clip((growth.age - centre.fused) / 18, 0, 1)))
        pieces.append(tube(line, half, np.zeros(half.size), flat, flat, scar))
    return pieces


def carpal(name: str, centre: Centre, growth: Growth, rng: np.random.Generator) -> Nodule | None:
    """A carpal on its way from a dot to its adult outline, or None before it appears."""
    place, adult = _carpal_shape(name)
    place = place + rng.normal(0, 0.4, 2)
    waves = [rng.normal(0, 0.02) * np.cos(k * OUTLINE_ANGLES + rng.uniform(0, 6.3)) for k in (2, 3)]
    grown = centre.grown(growth.age)
    if grown < 0:
        return None
    share, shaped = 0.25 + 0.83 * grown**0.3, min(1.25 * grown**0.7, 1)
    radius = growth.scale * share * (shaped * adult * (1 + sum(waves)) + (1 - shaped) * adult.mean())
    place = place * growth.scale * np.array([1, growth.carpal_stretch])
    cortex = min(0.6 * growth.scale**0.5, 0.1 * radius.mean())
    return Nodule(name, place, radius, cortex, 0.5 if name == "pisiform" else 0.68)


@cache
def _carpal_shape(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Centre (2,) and radius (73,) of an adult carpal, its corners rounded."""
    corners = np.array([[float(n) for n in point.split(",")] for point in CARPAL_OUTLINES[name].split()])
    for _ in range(3):  # corner cutting (Chaikin)
        after = np.roll(corners, -1, axis=0)
        corners = np.stack([0.82 * corners + 0.18 * after, 0.18 * corners + 0.82 * after], 1).reshape(-1, 2)
    centre = corners.mean(0)
    offsets = corners - centre
    angles = np.arctan2(offsets[:, 1], offsets[:, 0])
    return centre, np.interp(OUTLINE_ANGLES, angles, np.hypot(*offsets.T), period=2 * np.pi)
