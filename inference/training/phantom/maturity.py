"""When the ossification centres of the hand appear, grow and fuse, and how the hand grows, by bone age and sex."""

import csv
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

YOUNGEST, OLDEST = 3.0, 228.0  # months: the span of the atlas standards
CARPALS = ("capitate", "hamate", "triquetrum", "lunate", "scaphoid", "trapezium", "trapezoid", "pisiform")

# Share of the adult hand length by bone age in months, smoothed from published hand lengths of children.
GROWTH_AGES = (0, 6, 12, 24, 36, 72, 96, 120, 144, 168, 192, 216)
GROWTH = {
    "M": (0.34, 0.43, 0.49, 0.56, 0.61, 0.71, 0.77, 0.83, 0.89, 0.955, 0.99, 1.0),
    "F": (0.35, 0.44, 0.51, 0.585, 0.64, 0.75, 0.83, 0.90, 0.965, 0.995, 1.0, 1.0),
}
ADULT_SIZE = {"M": 1.0, "F": 0.92}


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
    """Ossification centres of one sex ("M" or "F"), from ossification.csv, which names its sources."""
    lines = Path(__file__).with_name("ossification.csv").read_text().splitlines()
    rows = csv.DictReader(line for line in lines if not line.startswith("#"))
    columns = [f"{stage}_{sex.lower()}" for stage in ("appears", "fusing", "fused")]
    return {row["centre"]: Centre(*(float(row[column]) for column in columns)) for row in rows}


@dataclass(frozen=True)
class Growth:
    """One child at one age: `scale` is the size of the hand as a share of an adult man's.

    `infancy` falls from 1 to 0 over the first five years, `youth` rises from 0 to 1 until growth ends.
    """

    age: float
    scale: float
    infancy: float
    youth: float

    @property
    def carpal_stretch(self) -> float:
        """Height of the carpus beside the metacarpals, 1 in adults: a small child's metacarpals are still short."""
        return 1.18 - 0.18 * self.youth


def growth_at(bone_age_months: float, sex: str, stature: float = 1.0) -> Growth:
    """Growth at a bone age; `stature` is the child's own size beside others of that age."""
    grown = (bone_age_months - YOUNGEST) / 180
    return Growth(
        age=bone_age_months,
        scale=float(np.interp(bone_age_months, GROWTH_AGES, GROWTH[sex])) * ADULT_SIZE[sex] * stature,
        infancy=float(np.clip(1 - 3 * grown, 0, 1)) ** 1.4,
        youth=float(np.clip(grown, 0, 1)) ** 0.5,
    )
