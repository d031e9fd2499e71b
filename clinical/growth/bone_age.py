"""Bone age against a reference: standard deviation score and determination. All ages and SDs are in months."""

from dataclasses import dataclass
from typing import Literal

from clinical.growth.tables import OutsideTable, Sex, Table, checked_age

Determination = Literal["delayed", "normal", "advanced", "indeterminate"]

REFERENCES = {
    "brush": Table(
        "Brush Foundation",
        "brush_foundation.csv",
        age="chronological_age_months",
        columns=("mean_bone_age_months", "sd_months"),
    ),
    # Its mean bone age is the chronological age.
    "greulich_pyle": Table(
        "Greulich-Pyle",
        "greulich_pyle_sd.csv",
        age="chronological_age_months",
        columns=("chronological_age_months", "sd_months"),
    ),
}
CORRECTED_MONTHS = 36
"""Before this age that of a child born preterm is corrected (Engle, Pediatrics 2004; 114: 1362)."""
PRETERM = "The age counts from birth, and is not corrected for a preterm birth."
PLATES = Table("Greulich-Pyle atlas", "greulich_pyle_plates.csv", age="plate_age_months", columns=())


@dataclass(frozen=True)
class Norm:
    """Bone age of children of one chronological age: mean and SD, and the +-2 SD limits of normal."""

    age_months: float
    mean: float
    sd: float

    @property
    def low(self) -> float:
        return self.mean - 2 * self.sd

    @property
    def high(self) -> float:
        return self.mean + 2 * self.sd


@dataclass(frozen=True)
class Assessment:
    """A bone age judged by a reference; where that has no value, `reason` says why and the numbers are None."""

    determination: Determination
    reference: Table
    sds: float | None = None
    mean: float | None = None
    sd: float | None = None
    reason: str = ""
    caution: str = ""
    """What a reader should think of with so young a child."""


def assess(bone_age_months: float, chronological_age_months: float, sex: Sex, reference: str = "brush") -> Assessment:
    """Judge a bone age: delayed below -2 SD, advanced above +2 SD, indeterminate outside the reference's ages.

    Raises ValueError for an age below 0 or not finite, another sex than "M" or "F", an unknown reference.
    """
    checked_age(bone_age_months)
    table = _reference(reference)
    caution = PRETERM if chronological_age_months < CORRECTED_MONTHS else ""
    try:
        norm = Norm(chronological_age_months, *table.at(chronological_age_months, sex))
    except OutsideTable as outside:
        return Assessment("indeterminate", table, reason=str(outside), caution=caution)
    return Assessment(
        _determination(bone_age_months, norm),
        table,
        sds=(bone_age_months - norm.mean) / norm.sd,
        mean=norm.mean,
        sd=norm.sd,
        caution=caution,
    )


def band(sex: Sex, reference: str = "brush") -> tuple[Norm, ...]:
    """The reference's own rows, ascending; straight lines between them are what `assess` uses."""
    return tuple(Norm(age, *row) for age, row in _reference(reference).rows(sex).items())


def plates(sex: Sex) -> tuple[float, ...]:
    """Bone ages of the Greulich-Pyle atlas plates, ascending: what an atlas reading can be."""
    return tuple(PLATES.rows(sex))


def _reference(key: str) -> Table:
    if key not in REFERENCES:
        raise ValueError(f"The reference is one of: {', '.join(REFERENCES)}.")
    return REFERENCES[key]


def _determination(bone_age_months: float, norm: Norm) -> Determination:
    # Against the limits, not the SDS: a bone age drawn on the band's edge must not fall outside by rounding.
    if bone_age_months < norm.low:
        return "delayed"
    return "advanced" if bone_age_months > norm.high else "normal"
