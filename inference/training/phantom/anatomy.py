"""The skeleton of a child's left hand, laid out in millimetres.

Axes: x towards the thumb, y towards the finger tips, origin at the base of the third metacarpal. Directions are
angles from y in degrees, positive towards the thumb. Adult dimensions are those of a man.
"""

from dataclasses import dataclass, field

import numpy as np

from inference.training.phantom.bones import OUTLINE_ANGLES, Nodule, Tube, carpal, direction, long_bone
from inference.training.phantom.maturity import CARPALS, Centre, Growth, growth_at, ossification_table

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
METACARPAL_BASES = ((29.8, -5.5), (12.5, -1.6), (0.0, -1.6), (-10.5, -4.0), (-19.0, -8.5))
# Degrees by which each joint beyond the knuckle turns to the middle finger.
INWARD = (0.0, -2.0, 0.0, 2.0, 4.0)
# Share of a bone's length that is its growing end: cartilage, epiphysis and plate together (infant, adult).
GROWING_END = {
    "mc": (0.19, 0.17),
    "mc1": (0.20, 0.11),
    "pp": (0.19, 0.10),
    "mp": (0.21, 0.11),
    "dp": (0.23, 0.135),
}

FOREARM = 175.0  # mm of an adult's, beyond the lower edge of any image


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
    """Bones and joints of one hand. `joints` holds, for each finger (1 to 5), the points from base to tip, mm;
    `forearm` the middle of the wrist and the end of the forearm.
    """

    growth: Growth
    tubes: list[Tube] = field(default_factory=list)
    nodules: list[Nodule] = field(default_factory=list)
    joints: dict[int, np.ndarray] = field(default_factory=dict)
    forearm: np.ndarray = field(default_factory=lambda: np.zeros((2, 2)))


def build_hand(bone_age_months: float, sex: str, pose: Pose, subject: np.random.Generator) -> Hand:
    """Lay out the skeleton. `subject` draws the proportions of one child, the same at every age and pose."""
    table = ossification_table(sex)
    hand = Hand(growth_at(bone_age_months, sex, stature=subject.normal(1, 0.035)))
    slender = hand.growth.scale * (1.12 - 0.12 * hand.growth.youth) * subject.normal(1, 0.05)
    _add_fingers(hand, table, pose, slender, subject)
    _add_forearm(hand, table, pose.wrist, slender, subject)
    bones = (carpal(name, table[name], hand.growth, subject) for name in CARPALS)
    hand.nodules += [bone for bone in bones if bone is not None]
    _add_small_bones(hand, table)
    return hand


def _add_fingers(
    hand: Hand, table: dict[str, Centre], pose: Pose, slender: float, subject: np.random.Generator
) -> None:
    growth, spread = hand.growth, pose.spread
    lengths = {kind: growth.scale * np.array(row) * subject.normal(1, 0.022, 5) for kind, row in LENGTHS.items()}
    widths = {kind: slender * np.array(row) * subject.normal(1, 0.025, 5) for kind, row in HALF_WIDTHS.items()}
    rays = (33 + 10 * spread + pose.thumb, 5 + 3 * spread, -1, -5 - 3 * spread, -10 - 6 * spread)
    fans = (pose.thumb_bend, 6 * spread - 1, 0, -5 * spread, -11 * spread)
    for i in range(5):
        angle = rays[i] + subject.normal(0, 1.0)
        joints = [np.array(METACARPAL_BASES[i]) * growth.scale]
        turns = {"pp": fans[i] + pose.bends[i]}
        for kind in ("mc", "pp", "dp") if i == 0 else ("mc", "pp", "mp", "dp"):
            beyond = 0.5 * pose.bends[i] + INWARD[i] * min(spread, 1)
            angle += 0 if kind == "mc" else turns.get(kind, beyond)
            shape = "mc1" if kind == "mc" and i == 0 else kind
            infant, adult = GROWING_END[shape]
            growing_end = infant + (adult - infant) * growth.youth
            crowding = 1 - 0.12 * growth.infancy if kind == "mc" else 1
            length, half_width, centre = lengths[kind][i], crowding * widths[kind][i], table[f"{kind}{i + 1}"]
            hand.tubes += long_bone(shape, joints[-1], angle, length, half_width, growing_end, centre, growth, subject)
            joints.append(joints[-1] + length * direction(angle))
        hand.joints[i + 1] = np.array(joints)


def _add_forearm(
    hand: Hand, table: dict[str, Centre], turn: float, slender: float, subject: np.random.Generator
) -> None:
    growth = hand.growth
    size, along, across = growth.scale, direction(turn), direction(turn + 90)
    pivot = np.array([0.0, -14.0])  # the wrist turns about the head of the capitate
    wrist = (pivot - 23 * along) * size * growth.carpal_stretch
    hand.forearm = np.array([wrist, wrist - along * FOREARM * size])
    length = FOREARM * size
    for name, offset, level, half_width, zone, splay, infant in (
        ("radius", 7.5, 0.5, 13.8, 8.7, 1.2, -0.12),
        ("ulna", -18.5, -3.5, 7.7, 8.5, -1.2, 0.12),
    ):
        tip = wrist + across * offset * size * (1 + 0.08 * growth.infancy) + along * level * size
        origin = tip - direction(turn + splay) * length
        growing_end = zone * size * (1.25 - 0.25 * growth.youth) / length
        half_width *= slender * (1 + infant * growth.infancy)
        hand.tubes += long_bone(
            name, origin, turn + splay, length, half_width, growing_end, table[name], growth, subject
        )


def _add_small_bones(hand: Hand, table: dict[str, Centre]) -> None:
    """The hook of the hamate, seen end on as a ring, and the sesamoid of the thumb."""
    age, size, round_ = hand.growth.age, hand.growth.scale, np.ones(OUTLINE_ANGLES.size)
    hook = (table["hamate"].grown(age) - 0.78) / 0.22
    if hook > 0:
        place = np.array([-14.5, -10.0]) * size
        hand.nodules.append(Nodule("hook of hamate", place, (1.4 + 1.4 * hook) * size * round_, 0.7, 0.35))
    sesamoid = table["sesamoid"].grown(age)
    if sesamoid >= 0:
        base, head = hand.joints[1][:2]
        axis = head - base
        across = np.array([-axis[1], axis[0]]) / np.hypot(*axis)
        place = head - 0.13 * axis + 7.6 * size * across
        hand.nodules.append(Nodule("sesamoid", place, (1.2 + 1.2 * sesamoid) * size * round_, 0.5 * size, 0.9))
