"""Height, weight and BMI for age by the LMS method, CDC 2000: z = ((X/M)^L - 1)/(L S), or ln(X/M)/S when L = 0.

"height" is length lying down below 24 months and stature from then on, which is less: its curves step down there.
"""

from dataclasses import dataclass
from math import exp, expm1, inf, log, log1p
from statistics import NormalDist
from typing import Literal

from clinical.growth.preterm import reference_age
from clinical.growth.tables import OutsideTable, Sex, Table, checked_age

Measure = Literal["height", "weight", "bmi"]
STANDING_MONTHS = 24
STANDING_LESS_CM = 0.8  # stature than length, in one child: the step between the tables, see their source

UNITS = {"height": "cm", "weight": "kg", "bmi": "kg/m²"}
# Wider than any child's: what lies outside was typed in another unit or at the wrong place.
PLAUSIBLE = {"height": (20, 250), "weight": (0.3, 400), "bmi": (5, 120)}


def _table(name: str, measure: str) -> Table:
    return Table(
        f"CDC 2000 {name}-for-age",
        "cdc2000_lms.csv",
        age="age_months",
        columns=("L", "M", "S"),
        part=("measure", measure),
    )


LENGTH = _table("length", "length")
STATURE = _table("stature", "stature")
WEIGHT = _table("weight", "weight")
BMI = _table("BMI", "bmi")


@dataclass(frozen=True)
class Centile:
    """A measurement judged for age and sex; where the table has no value, `reason` says why.

    `centile` is the percentage of children below, 0 to 100.
    """

    reference: Table
    z: float | None = None
    centile: float | None = None
    reason: str = ""


def assess(measure: Measure, value: float, age_months: float, sex: Sex, gestation: str = "") -> Centile:
    """Judge a height (cm), weight (kg) or BMI (kg/m2) at a chronological age.

    A young child born preterm, as `gestation` tells, is judged by the corrected age (`preterm`), which also decides
    whether it is measured lying. Raises ValueError for implausible or impossible input.
    """
    plausible(measure, value)
    age = reference_age(checked_age(age_months), gestation)
    table = reference(measure, age)
    try:
        power, median, variation = table.at(age, sex)
    except OutsideTable as outside:
        return Centile(table, reason=str(outside))
    logarithm = log(value / median)
    # expm1 keeps the digits where L passes near 0.
    z = (expm1(power * logarithm) / power if power else logarithm) / variation
    return Centile(table, z, 100 * NormalDist().cdf(z))


def measure_at(measure: Measure, z: float, age_months: float, sex: Sex) -> float:
    """The height (cm), weight (kg) or BMI (kg/m2) that lies at z. Raises OutsideTable, or ValueError if none does."""
    return _measure(z, *reference(measure, age_months).at(age_months, sex))


def curve(measure: Measure, z: float, sex: Sex) -> tuple[tuple[float, float], ...]:
    """(age in months, measure at z) over the rows of the tables, for charts. Raises ValueError as `measure_at`."""
    tables = {"height": (LENGTH, STATURE), "weight": (WEIGHT,), "bmi": (BMI,)}[_known(measure)]
    return tuple(
        (age, _measure(z, *row))
        for table in tables
        for age, row in table.rows(sex).items()
        if table is not LENGTH or age < STANDING_MONTHS
    )


def reference(measure: Measure, age_months: float) -> Table:
    """The table that judges this measure at this age. Raises ValueError for an unknown measure."""
    height = LENGTH if age_months < STANDING_MONTHS else STATURE
    return {"height": height, "weight": WEIGHT, "bmi": BMI}[_known(measure)]


def plausible(measure: Measure, value: float) -> float:
    """The same value. Raises ValueError, with the limits in words, when no child measures that."""
    low, high = PLAUSIBLE[_known(measure)]
    if not low <= value <= high:
        name = "BMI" if measure == "bmi" else measure
        raise ValueError(f"A {name} is given in {UNITS[measure]}, from {low} to {high}.")
    return value


def bmi(height_cm: float, weight_kg: float) -> float:
    """Body mass index in kg/m2. Raises ValueError for an implausible height or weight."""
    return plausible("weight", weight_kg) / (plausible("height", height_cm) / 100) ** 2


def _known(measure: Measure) -> Measure:
    if measure not in PLAUSIBLE:
        raise ValueError(f"The measure is one of: {', '.join(PLAUSIBLE)}.")
    return measure


def _measure(z: float, power: float, median: float, variation: float) -> float:
    stretch = power * variation * z
    if not -1 < stretch < inf:
        raise ValueError("No measure lies that far from the median.")
    return median * exp(log1p(stretch) / power if power else variation * z)
