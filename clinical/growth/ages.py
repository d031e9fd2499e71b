"""Ages in months, as clinicians count and write them. Imports no Django."""

from calendar import monthrange
from datetime import date
from math import trunc

DAYS_PER_MONTH = 365.25 / 12


def age_in_months(born: date, on: date) -> float:
    """Chronological age on a day, in months: whole calendar months and the share of a mean month beyond them.

    Raises ValueError when `on` is before the birth.
    """
    if on < born:
        raise ValueError("The day lies before the birth.")
    whole = (on.year - born.year) * 12 + on.month - born.month - (on.day < born.day)
    year, month = divmod(born.month - 1 + whole, 12)
    # The month a child born on the 31st is in may have begun on a 28th to 30th.
    day = min(born.day, monthrange(born.year + year, month + 1)[1])
    return whole + (on - date(born.year + year, month + 1, day)).days / DAYS_PER_MONTH


def birthday(born: date, years: int) -> date:
    """The day on which somebody is so many years old; who was born on a 29 February, and has none, on 1 March."""
    try:
        return born.replace(year=born.year + years)
    except ValueError:
        return date(born.year + years, 3, 1)


def completed(months: float) -> int:
    """A chronological or corrected age as it is shown: the calendar months that are completed, 143.9 -> 143.

    Only shown: whatever is computed takes the unrounded age. Bone ages are shown to the nearest month.
    """
    return trunc(months)


def difference_shown(bone_age: float, age: float) -> int:
    """Bone age minus the child's age in months, of the two as they are shown: a reader's sum comes out the same."""
    return round(bone_age) - completed(age)


def in_words(months: float) -> str:
    """An age to the nearest month, 148.3 -> "12 y 4 m"; a chronological one goes through `completed` first.

    A corrected one below 0 is -2 -> "0 y 2 m before term".
    """
    if round(months) < 0:
        return f"{in_words(-months)} before term"
    years, rest = divmod(round(months), 12)
    return f"{years} y {rest} m"


def in_full(months: float) -> str:
    """`in_words` for readers who are no clinicians: 126.2 -> "10 years and 6 months"."""
    years, rest = divmod(round(months), 12)
    parts = [f"{number} {unit}{'s' * (number != 1)}" for number, unit in ((years, "year"), (rest, "month")) if number]
    return " and ".join(parts) or "less than a month"
