"""The skeleton of a child's left hand as shapes in millimetres, for any bone age and sex.

Axes: x towards the thumb, y towards the finger tips, origin at the base of the third metacarpal. Directions
are angles from y, positive towards the thumb. Adult dimensions are those of a man; everything scales with the
share of the adult length reached at a bone age.
"""

import csv
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np

YOUNGEST, OLDEST = 3.0, 228.0  # months: the span of the atlas standards
CARPALS = ("capitate", "hamate", "triquetrum", "lunate", "scaphoid", "trapezium", "trapezoid", "pisiform")
FINGERS = (1, 2, 3, 4, 5)

# Share of the adult hand length by bone age in months, smoothed from published hand lengths of children.
GROWTH_AGES = (0, 6, 12, 24, 36, 72, 96, 120, 144, 168, 192, 216)
GROWTH = {
    "M": (0.34, 0.43, 0.49, 0.56, 0.61, 0.71, 0.77, 0.83, 0.89, 0.955, 0.99, 1.0),
    "F": (0.35, 0.44, 0.51, 0.585, 0.64, 0.75, 0.83, 0.90, 0.965, 0.995, 1.0, 1.0),
}
ADULT_SIZE = {"M": 1.0, "F": 0.92}

# Joint to joint, adult man, mm. Columns: thumb to little finger.
LENGTHS = {
    "mc": (47.0, 69.0, 66.0, 59.0, 54.5),
    "pp": (34.0, 42.5, 47.0, 43.5, 34.5),
    "mp": (0.0, 25.5, 30.5, 29.0, 21.0),
    "dp": (25.0, 18.5, 19.5, 20.0, 17.5),
}
# Half of the greatest width, mm (base of the phalanges, head of the metacarpals).
HALF_WIDTHS = {
    "mc": (6.9, 6.7, 6.7, 6.0, 5.7),
    "pp": (6.6, 6.7, 6.9, 6.5, 5.8),
    "mp": (0.0, 6.1, 6.6, 6.2, 5.2),
    "dp": (5.9, 4.8, 5.1, 5.0, 4.3),
}
INWARD = (
    0.0,
    -2.0,
    0.0,
    2.0,
    4.0,
)  # degrees by which each joint beyond the knuckle turns to the middle finger
METACARPAL_BASES = ((31.0, -4.5), (12.5, -1.0), (0.0, -1.0), (-10.5, -3.5), (-19.0, -8.0))

# Half width along the shaft, base to tip, as a share of the greatest; mc1 has its epiphysis at the base.
STATIONS = np.array([0.0, 0.06, 0.15, 0.28, 0.45, 0.62, 0.78, 0.88, 0.95, 1.0])
PROFILES = {
    "mc": np.array([0.95, 0.97, 0.80, 0.60, 0.51, 0.51, 0.63, 0.86, 1.00, 1.00]),
    "mc1": np.array([1.00, 1.00, 0.87, 0.69, 0.58, 0.57, 0.69, 0.86, 0.93, 0.90]),
    "pp": np.array([1.00, 0.99, 0.84, 0.66, 0.56, 0.53, 0.58, 0.70, 0.76, 0.76]),
    "mp": np.array([1.00, 0.98, 0.82, 0.64, 0.54, 0.53, 0.62, 0.76, 0.80, 0.80]),
    "dp": np.array([1.00, 0.95, 0.73, 0.49, 0.39, 0.36, 0.41, 0.53, 0.57, 0.56]),
    "radius": np.array([0.50, 0.50, 0.50, 0.50, 0.52, 0.57, 0.68, 0.83, 0.96, 1.01]),
    "ulna": np.array([0.86, 0.85, 0.83, 0.80, 0.76, 0.72, 0.70, 0.76, 0.92, 1.00]),
}
# Share of a bone's length that is its growing end: cartilage, epiphysis and plate together (infant, adult).
GROWING_END = {
    "mc": (0.19, 0.17),
    "mc1": (0.20, 0.11),
    "pp": (0.19, 0.10),
    "mp": (0.21, 0.11),
    "dp": (0.23, 0.135),
}

# Cortical thickness along the shaft (stations, mm), and the joint face as (tilt, curve) in half widths.
CORTICAL_THICKNESS = {
    "short": ([0, 0.12, 0.3, 0.6, 0.82, 1], [0.4, 0.5, 1.7, 1.9, 0.6, 0.45]),
    "radius": ([0, 0.5, 0.8, 1], [2.6, 2.4, 1.1, 0.5]),
    "ulna": ([0, 0.5, 0.8, 1], [2.5, 2.2, 1.0, 0.5]),
}
JOINT_FACES = {"mc": (0.0, 0.0), "radius": (0.24, 0.10), "ulna": (-0.22, 0.16)}
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
class Centre:
    """An ossification centre: months at which it appears, begins to fuse and is fused (a carpal: is full-grown)."""

    appears: float
    fusing: float
    fused: float

    def grown(self, age: float) -> float:
        """Growth from 0 (appears) to 1 (about to fuse); negative before it appears."""
        return min(1.0, (age - self.appears) / (self.fusing - self.appears))

    def union(self, age: float) -> float:
        """Fusion with the shaft, 0 (open) to 1 (complete)."""
        return float(np.clip((age - self.fusing) / (self.fused - self.fusing), 0, 1))


@cache
def ossification_table(sex: str) -> dict[str, Centre]:
    """Ossification centres of one sex ("M" or "F"), from data/ossification.csv, which names its sources."""
    lines = (Path(__file__).parent / "data" / "ossification.csv").read_text().splitlines()
    rows = csv.DictReader(line for line in lines if not line.startswith("#"))
    columns = [f"{stage}_{sex.lower()}" for stage in ("appears", "fusing", "fused")]
    return {row["centre"]: Centre(*(float(row[column]) for column in columns)) for row in rows}


def visible_centres(bone_age_months: float, sex: str) -> set[str]:
    """Names of the ossification centres that have appeared at a bone age in months."""
    return {name for name, centre in ossification_table(sex).items() if bone_age_months >= centre.appears}


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
    depth: float = 0.85


@dataclass(frozen=True)
class Nodule:
    """A carpal or sesamoid: radius (mm) at OUTLINE_ANGLES around its centre."""

    name: str
    origin: np.ndarray
    radius: np.ndarray
    cortex: float
    depth: float


@dataclass(frozen=True)
class Pose:
    """How the hand lies, in degrees: spread of the fingers, thumb, wrist, and bend of each finger."""

    spread: float = 1.0
    thumb: float = 0.0
    thumb_bend: float = 0.0
    wrist: float = 0.0
    bends: tuple[float, ...] = (0.0, 0.0, 0.0, 0.0, 0.0)


@dataclass
class Hand:
    """Bones and joints of one hand at one age. `joints` holds, for each finger, the points from base to tip.

    `infancy` falls from 1 to 0 over the first five years, `youth` rises from 0 to 1 until growth ends.
    """

    scale: float
    infancy: float
    youth: float
    tubes: list[Tube] = field(default_factory=list)
    nodules: list[Nodule] = field(default_factory=list)
    joints: dict[int, np.ndarray] = field(default_factory=dict)
    forearm: np.ndarray = field(default_factory=lambda: np.zeros((2, 2)))

    @property
    def carpal_stretch(self) -> float:
        """Height of the carpus beside the metacarpals, 1 in adults: a small child's metacarpals are still short."""
        return 1.18 - 0.18 * self.youth


def direction(degrees: float) -> np.ndarray:
    return np.array([np.sin(np.radians(degrees)), np.cos(np.radians(degrees))])


def hand_scale(bone_age_months: float, sex: str) -> float:
    """Size of the hand as a share of an adult man's."""
    return float(np.interp(bone_age_months, GROWTH_AGES, GROWTH[sex])) * ADULT_SIZE[sex]


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


def _long_bone(
    origin: np.ndarray,
    angle: float,
    length: float,
    half_width: float,
    kind: str,
    centre: Centre,
    age: float,
    hand: Hand,
    growing_end: float,
    rng: np.random.Generator,
) -> list[Tube]:
    """Shaft, epiphysis and, as they unite, the whole bone. `length` runs from joint to joint, mm."""
    distal = kind in DISTAL_PLATE
    profile = PROFILES[kind] ** (0.55 + 0.45 * hand.youth)  # a young shaft is hardly waisted
    profile = half_width * profile * rng.normal(1, 0.015, profile.size)
    lean = half_width * rng.normal(0, 0.02, profile.size)
    thin = (0.9 - 0.35 * hand.infancy) * hand.scale**0.5
    cortex = thin * np.interp(STATIONS, *CORTICAL_THICKNESS.get(kind, CORTICAL_THICKNESS["short"]))

    zone, cartilage = (
        length * growing_end,
        length * (0.025 + 0.05 * hand.infancy),
    )  # ends with and without a plate
    grown, union = centre.grown(age), centre.union(age)
    thickness = 0.93 * zone * (0.16 + 0.84 * max(grown, 0) ** 0.5)
    gap = (zone - thickness) * (0.28 + 0.12 * (1 - max(grown, 0)) ** 3)
    face = zone - thickness - gap
    dome = {"mc": 1.0, "ulna": 0.7}.get(kind, 0.15)
    tilt, curve = (share * half_width for share in JOINT_FACES.get(kind, (0.0, 0.12)))
    base, plate, tip = 0.25 * half_width, 0.12 * half_width, TIPS.get(kind, 0.5) * half_width
    condyles = (0.0, 0.08 * half_width if kind in ("pp", "mp") else 0.0)
    wave = 0.05 * half_width * (1 - hand.infancy)

    def shaft(start: float, end: float, rounding: tuple[float, float], lo: tuple[float, float],
              hi: tuple[float, float], opacity: float) -> Tube:  # fmt: skip
        u = start + DENSE * (end - start)
        closing = _closing(u - start, rounding[0]) * _closing(end - u, rounding[1])
        half = closing * _smooth(np.interp(DENSE, STATIONS, profile))
        inside = half - np.minimum(np.interp(DENSE, STATIONS, cortex), 0.46 * half)
        inside[np.minimum(u - start, end - u) < 0.4 * thin] = 0
        return Tube(origin, angle, u, np.interp(DENSE, STATIONS, lean), half, inside, lo, hi, opacity)

    pieces = []
    if union < 1:
        ends = (cartilage, length - zone) if distal else (zone, length - cartilage)
        rounding = (base, plate) if distal else (plate, tip)
        faces = ((0.0, 0.0), (0.0, -wave)) if distal else ((0.0, wave), condyles)
        pieces.append(shaft(*ends, rounding, *faces, 1 - union))
        if grown > 0:
            width = half_width * min(1.02, 0.16 + 1.12 * grown**0.42) if grown > 0.05 else 0
            width = max(width, thickness / 2)
            dot = float(np.clip(1 - width / half_width, 0, 1))
            side, near = (1, length - zone + gap) if distal else (-1, zone - gap)
            u, half = near + side * DISC * thickness, _disc(width, dot, dome)
            warp, still = (tilt * (1 - dot), side * curve * (1 - dot)), (0.0, 0.0)
            lo, hi = (still, warp) if distal else (warp, still)
            order = slice(None, None, side)
            inside = np.clip(half - 0.6 * thin, 0, None)
            pieces.append(
                Tube(origin, angle, u[order], np.zeros(u.size), half[order], inside[order], lo, hi, 1 - union)
            )
    if union > 0:
        ends = (cartilage, length - face) if distal else (face, length - cartilage)
        rounding = (base, tip)
        faces = ((0.0, 0.0), (tilt, curve)) if distal else ((tilt, -curve), condyles)
        pieces.append(shaft(*ends, rounding, *faces, union))
        at, thin_line = (length - zone if distal else zone), 0.6 * hand.scale
        scar = 0.27 * union * (1 - 0.85 * float(np.clip((age - centre.fused) / 18, 0, 1)))
        half = 0.86 * half_width * _closing(1 - np.abs(2 * DENSE - 1), 0.5)
        line = at + (2 * DENSE - 1) * thin_line
        none = np.zeros(DENSE.size)
        pieces.append(Tube(origin, angle, line, none, half, none, (0.0, 0.0), (0.0, 0.0), scar))
    return pieces


def build_hand(bone_age_months: float, sex: str, pose: Pose, subject: np.random.Generator) -> Hand:
    """Lay out the skeleton. `subject` draws the proportions of one child, the same at every age and pose."""
    age, table = bone_age_months, ossification_table(sex)
    size = hand_scale(age, sex) * subject.normal(1, 0.035)
    infancy = float(np.clip(1 - (age - 3) / 60, 0, 1)) ** 1.4
    youth = float(np.clip((age - 3) / 180, 0, 1)) ** 0.5
    hand = Hand(size, infancy, youth)
    length_of = {kind: np.array(lengths) * subject.normal(1, 0.022, 5) for kind, lengths in LENGTHS.items()}
    slender = size * subject.normal(1, 0.05) * (1.12 - 0.12 * youth)
    width_of = {kind: np.array(widths) * slender * subject.normal(1, 0.025, 5) for kind, widths in HALF_WIDTHS.items()}

    spread = pose.spread
    rays = (33 + 10 * spread + pose.thumb, 5 + 3 * spread, -1, -5 - 3 * spread, -10 - 6 * spread)
    fans = (0, 6 * spread - 1, 0, -5 * spread, -11 * spread)
    for finger in FINGERS:
        i = finger - 1
        angle = rays[i] + subject.normal(0, 1.0)
        point = np.array(METACARPAL_BASES[i]) * size
        joints = [point]
        for kind in ("mc", "pp", "mp", "dp"):
            if kind == "mp" and finger == 1:
                continue
            if kind == "pp":
                angle += fans[i] + pose.bends[i] + (pose.thumb_bend if finger == 1 else 0)
            elif kind != "mc":
                angle += 0.5 * pose.bends[i] + INWARD[i] * min(spread, 1)
            shape = "mc1" if kind == "mc" and finger == 1 else kind
            infant, adult = GROWING_END[shape]
            length = length_of[kind][i] * size
            hand.tubes += _long_bone(point, angle, length, width_of[kind][i], shape, table[f"{kind}{finger}"], age,
                                     hand, infant + (adult - infant) * youth, subject)  # fmt: skip
            point = point + length * direction(angle)
            joints.append(point)
        hand.joints[finger] = np.array(joints)

    _add_forearm(hand, age, table, pose, slender, subject)
    for name in CARPALS:
        _add_carpal(hand, name, age, table[name], subject)
    hook = (table["hamate"].grown(age) - 0.78) / 0.22
    if hook > 0:  # seen end on, as a ring over the hamate
        ring = np.full(OUTLINE_ANGLES.size, (1.4 + 1.4 * hook) * hand.scale)
        hand.nodules.append(Nodule("hook of hamate", np.array([-14.5, -10.0]) * hand.scale, ring, 0.7, 0.35))
    if age >= table["sesamoid"].appears:
        head, back = hand.joints[1][1], hand.joints[1][1] - hand.joints[1][0]
        across = np.array([-back[1], back[0]]) / np.hypot(*back)
        place = head - 0.13 * back + across * 7.6 * size
        radius = np.full(OUTLINE_ANGLES.size, 2.4 * size * (0.5 + 0.5 * max(table["sesamoid"].grown(age), 0)))
        hand.nodules.append(Nodule("sesamoid", place, radius, 0.5 * size, 0.9))
    return hand


def _add_forearm(
    hand: Hand,
    age: float,
    table: dict[str, Centre],
    pose: Pose,
    slender: float,
    rng: np.random.Generator,
) -> None:
    size, turn = hand.scale, pose.wrist
    along, across = direction(turn), np.array([np.cos(np.radians(turn)), -np.sin(np.radians(turn))])
    pivot, drop = np.array([0.0, -14.0]), 23.0  # the wrist turns about the head of the capitate
    wrist = (pivot - drop * along) * size * hand.carpal_stretch
    reach = 175.0 * size  # beyond the lower edge of any image
    hand.forearm = np.array([wrist, wrist - along * reach])
    shape = np.clip(1.0 - 0.12 * hand.infancy, 0, 1)
    for name, offset, level, half, joint in (
        ("radius", 6.5, 0.5, 13.8, 8.7),
        ("ulna", -17.2, -3.5, 7.7, 8.5),
    ):
        tip = wrist + across * offset * size + along * level * size
        origin = tip - along * reach * 0.62
        length = reach * 0.62
        zone = joint * size * (1.25 - 0.25 * hand.youth) / length
        splay = 2.0 if name == "radius" else -2.0
        hand.tubes += _long_bone(
            origin, turn + splay, length, half * slender * shape, name, table[name], age, hand, zone, rng
        )


def _add_carpal(hand: Hand, name: str, age: float, centre: Centre, rng: np.random.Generator) -> None:
    place, adult = _carpal_shape(name)
    place = place + rng.normal(0, 0.4, 2)
    variation = 1 + sum(rng.normal(0, 0.02) * np.cos(k * OUTLINE_ANGLES + rng.uniform(0, 6.3)) for k in (2, 3))
    grown = centre.grown(age)
    if grown < 0:
        return
    share = 0.25 + 0.83 * grown**0.3
    shape = np.clip(1.25 * grown**0.7, 0, 1)
    radius = hand.scale * share * (shape * adult * variation + (1 - shape) * adult.mean())
    depth = 0.5 if name == "pisiform" else 0.68
    place = place * hand.scale * np.array([1, hand.carpal_stretch])
    hand.nodules.append(Nodule(name, place, radius, 0.6 * hand.scale**0.5, depth))
