"""A drawn radiograph of a child's left hand, for demonstrations, tests and training. It shows no patient.

    python -m inference.training.phantom OUT.png --age-months 96 --sex F --seed 1

maturity.py holds the ages at which bones appear and fuse, bones.py and anatomy.py lay out the skeleton, tissue.py sums
attenuation along the beam, exposure.py develops the film.
"""

import numpy as np

from inference.training.phantom.anatomy import Hand, Pose, build_hand
from inference.training.phantom.exposure import expose
from inference.training.phantom.maturity import OLDEST, YOUNGEST
from inference.training.phantom.tissue import View, bone_attenuation, soft_attenuation

__all__ = ["draw_phantom"]


def draw_phantom(
    bone_age_months: float, sex: str, seed: int, size: int = 1024, subject: int | None = None
) -> np.ndarray:
    """Draw the left hand of a child, PA view, bone bright: uint8 (size, about 0.8 * size).

    `seed` draws pose, exposure, collimation, marker and noise; `subject` draws the child's own proportions (one
    child at several ages has one subject), by default from the seed. The signs of maturity depend on bone age
    (months, 3 to 228) and sex ("M" or "F") alone. Raises ValueError outside these.
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
    view, frame = _place(hand, (size, round(size * rng.uniform(0.76, 0.84))), rng)
    attenuation = soft_attenuation(hand, view, child) + bone_attenuation(hand, view, child)
    return expose(attenuation, view.scale, frame, rng)


def _draw_pose(rng: np.random.Generator) -> Pose:
    return Pose(
        spread=float(np.clip(rng.normal(0.9, 0.45), 0.15, 1.8)),
        thumb=rng.uniform(-8, 10),
        thumb_bend=rng.uniform(-14, 6),
        wrist=float(np.clip(rng.normal(0, 6), -13, 13)),
        bends=tuple(rng.normal(0, 1.5, 5)),
    )


def _place(hand: Hand, shape: tuple[int, int], rng: np.random.Generator) -> tuple[View, np.ndarray]:
    """Where the hand lies on the film, and the box (x0, y0, x1, y1) of hand and wrist in pixels."""
    turn = np.radians(np.clip(rng.normal(0, 8), -25, 25))
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [-np.sin(turn), -np.cos(turn)]])
    cut = hand.forearm[0] + (hand.forearm[1] - hand.forearm[0]) * rng.uniform(0.2, 0.42)
    points = np.vstack([*hand.joints.values(), cut[None]]) @ rotation.T
    skin = 13 * hand.growth.scale
    low, high = points.min(0) - skin, points.max(0) + np.array([skin, 0])
    film = np.array(shape[::-1])
    fill = rng.triangular(0.6, 0.95, 0.98) - 0.15 * hand.growth.infancy * rng.uniform(0.3, 1)
    scale = float(fill * (film / (high - low)).min())
    corner = (film - scale * (high - low)) * [rng.uniform(0.2, 0.8), rng.uniform(0.5, 1.0)]
    matrix = np.column_stack([scale * rotation, corner - scale * low])
    return View(matrix, scale, shape), np.concatenate([corner, corner + scale * (high - low)])
