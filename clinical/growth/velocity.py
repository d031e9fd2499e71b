"""How fast a child grows and its bones mature, between two days at least three months apart."""

from dataclasses import dataclass
from datetime import date
from math import inf

from clinical.growth.ages import age_in_months
from clinical.growth.centiles import STANDING_LESS_CM, STANDING_MONTHS, plausible
from clinical.growth.preterm import months_early, reference_age
from clinical.growth.tables import checked_age

# In less, the error of measuring outweighs the growth.
SHORTEST_MONTHS = 3
# From which age in months a child grows at most how many cm a month: above the fastest healthy infants, and above
# puberty and catch-up growth. Only what was mistyped is meant to lie beyond.
FASTEST = ((-inf, 6), (3, 3), (12, 1.6), (24, 1.25))


@dataclass(frozen=True)
class Velocity:
    """Change per year over `months`; None with its `reason` when the two days are too close."""

    months: float
    value: float | None = None
    reason: str = ""


def growth_velocity(
    born: date, earlier: date, earlier_cm: float, later: date, later_cm: float, gestation: str = ""
) -> Velocity:
    """Growth in cm/year. Raises ValueError for an implausible height, or days in the wrong order.

    A child who was measured lying, before 24 months, and standing since did not lose the difference; of one born
    preterm, as `gestation` tells, the months are those of the corrected age.
    """
    change = plausible("height", later_cm) - plausible("height", earlier_cm)
    start, end = (reference_age(age_in_months(born, day), gestation) for day in (earlier, later))
    if start < STANDING_MONTHS <= end:
        change += STANDING_LESS_CM
    return _velocity(earlier, later, change)


def most_growth(born: date, earlier: date, later: date, gestation: str = "") -> float:
    """The centimetres that a child may have grown between two days, born preterm or not, as `gestation` tells.

    Raises ValueError for a day before the birth.
    """
    early = months_early(gestation)  # at every age, so that none is counted twice when it is no longer corrected
    start, end = age_in_months(born, earlier) - early, age_in_months(born, later) - early
    until = [age for age, _ in FASTEST[1:]] + [inf]
    return sum(
        rate * max(0, min(end, to) - max(start, since)) for (since, rate), to in zip(FASTEST, until, strict=True)
    )


def bone_age_velocity(earlier: date, earlier_months: float, later: date, later_months: float) -> Velocity:
    """Years of bone age per year, 1 in the average child. Raises ValueError for no age, or days in the wrong order."""
    return _velocity(earlier, later, (checked_age(later_months) - checked_age(earlier_months)) / 12)


def _velocity(earlier: date, later: date, change: float) -> Velocity:
    if later < earlier:
        raise ValueError("The later day lies before the earlier one.")
    months = age_in_months(earlier, later)
    if months < SHORTEST_MONTHS:
        return Velocity(months, reason=f"The two days are less than {SHORTEST_MONTHS} months apart.")
    return Velocity(months, change / (months / 12))
