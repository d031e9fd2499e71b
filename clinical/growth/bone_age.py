"""Bone age against a reference: standard deviation score and determination. All ages and SDs are in months."""

from dataclasses import dataclass
from functools import partial
from typing import Literal

from clinical.growth.preterm import caution, corrected_age
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
PLATES = Table("Greulich-Pyle atlas", "greulich_pyle_plates.csv", age="plate_age_months", columns=())


@dataclass(frozen=True)
class Norm:
    """Bone age of children of one age: mean and SD, and the +-2 SD limits of normal."""

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
    """A bone age judged by a reference; where that has no value, `reason` says why and the numbers are None.

    `age_months` is the age by which it is judged, `gestation` the gestational age for which that is corrected, if any.
    """

    determination: Determination
    reference: Table
    age_months: float
    gestation: str = ""
    sds: float | None = None
    mean: float | None = None
    sd: float | None = None
    reason: str = ""
    caution: str = ""
    """What a reader should think of with so young a child."""


def assess(
    bone_age_months: float, chronological_age_months: float, sex: Sex, reference: str = "brush", gestation: str = ""
) -> Assessment:
    """Judge a bone age: delayed below -2 SD, advanced above +2 SD, indeterminate outside the reference's ages.

    A young child born preterm, as `gestation` tells, is judged by the corrected age (`preterm`). Raises ValueError for
    an age below 0 or not finite, another sex than "M" or "F", an unknown reference, what is no gestational age.
    """
    checked_age(bone_age_months)
    table = _reference(reference)
    corrected = corrected_age(checked_age(chronological_age_months), gestation)
    age = chronological_age_months if corrected is None else corrected
    judged = partial(
        Assessment,
        reference=table,
        age_months=age,
        gestation="" if corrected is None else gestation,
        caution=caution(chronological_age_months, gestation),
    )
    try:
        norm = Norm(age, *table.at(age, sex))
    except OutsideTable as outside:
        return judged("indeterminate", reason=str(outside))
    sds = (bone_age_months - norm.mean) / norm.sd
    return judged(_determination(bone_age_months, norm), sds=sds, mean=norm.mean, sd=norm.sd)


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
