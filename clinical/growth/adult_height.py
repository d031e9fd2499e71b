"""Adult height: predicted from height and bone age (Bayley and Pinneau), and expected from the parents' heights."""

from dataclasses import dataclass
from typing import Literal

from clinical.growth.centiles import plausible
from clinical.growth.preterm import reference_age
from clinical.growth.tables import OutsideTable, Sex, Table, checked_age, checked_sex

Maturity = Literal["delayed", "average", "accelerated"]
MATURITY_MONTHS = 12  # bone age this far from the chronological age, or farther, is no longer average

TALLER_MEN_CM = 13
TARGET_RANGE_CM = 8.5
PARENT_CM = (100, 250)


def _table(maturity: Maturity) -> Table:
    return Table(
        f"Bayley-Pinneau {maturity}-maturity",
        "bayley_pinneau.csv",
        age="bone_age_months",
        columns=("percent_of_adult_height",),
        part=("maturity", maturity),
        age_in_words="a bone age of ",
    )


TABLES: dict[Maturity, Table] = {
    "delayed": _table("delayed"),
    "average": _table("average"),
    "accelerated": _table("accelerated"),
}


@dataclass(frozen=True)
class Prediction:
    """Predicted adult height and the per cent of it reached; where the table has no value, `reason` says why."""

    maturity: Maturity
    reference: Table
    percentage: float | None = None
    height_cm: float | None = None
    reason: str = ""


@dataclass(frozen=True)
class TargetHeight:
    """Adult height expected from the parents, with its range, in cm."""

    height_cm: float

    @property
    def low_cm(self) -> float:
        return self.height_cm - TARGET_RANGE_CM

    @property
    def high_cm(self) -> float:
        return self.height_cm + TARGET_RANGE_CM


def maturity_class(bone_age_months: float, chronological_age_months: float, gestation: str = "") -> Maturity:
    """Which Bayley-Pinneau table a child is read from, a young one born preterm by the corrected age (`preterm`).

    Raises ValueError for an age below 0 or not finite.
    """
    ahead = checked_age(bone_age_months) - reference_age(checked_age(chronological_age_months), gestation)
    if ahead <= -MATURITY_MONTHS:
        return "delayed"
    return "accelerated" if ahead >= MATURITY_MONTHS else "average"


def predict(
    height_cm: float, bone_age_months: float, chronological_age_months: float, sex: Sex, gestation: str = ""
) -> Prediction:
    """Adult height = height / (percentage / 100). Raises ValueError for implausible or impossible input."""
    plausible("height", height_cm)
    maturity = maturity_class(bone_age_months, chronological_age_months, gestation)
    table = TABLES[maturity]
    try:
        (percentage,) = table.at(bone_age_months, sex)
    except OutsideTable as outside:
        return Prediction(maturity, table, reason=str(outside))
    return Prediction(maturity, table, percentage, height_cm / (percentage / 100))


def target_height(father_cm: float, mother_cm: float, sex: Sex) -> TargetHeight:
    """(father + mother +- 13 cm) / 2, plus for boys. Raises ValueError for implausible heights or another sex."""
    difference = TALLER_MEN_CM if checked_sex(sex) == "M" else -TALLER_MEN_CM
    low, high = PARENT_CM
    if not (low <= father_cm <= high and low <= mother_cm <= high):
        raise ValueError(f"A parent's height is given in cm, from {low} to {high}.")
    return TargetHeight((father_cm + mother_cm + difference) / 2)
