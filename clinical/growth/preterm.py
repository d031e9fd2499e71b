"""Gestational age at birth, and the age of children born preterm corrected for it. Imports no Django.

Corrected age = chronological age minus the time by which the birth came before 40 weeks, of children born before 37
weeks until they are three years old (Engle, Pediatrics 2004; 114: 1362). A gestational age is written as clinicians do,
in completed weeks, with days where they are known: "34" or "34+2"; "" where it is not known.
"""

import re

from clinical.growth.ages import DAYS_PER_MONTH, completed, in_words

TERM_WEEKS, PRETERM_WEEKS = 40, 37
PLAUSIBLE_WEEKS = (21, 44)
CORRECTED_MONTHS = 36
NOT_CORRECTED = "The age counts from birth, and is not corrected for a preterm birth."


def gestation_days(gestation: str) -> int:
    """A gestational age in days: "34+2" -> 240. Raises ValueError, with how one is written, for what is none."""
    low, high = PLAUSIBLE_WEEKS
    written = re.fullmatch(r"([0-9]{2})(?:\+([0-6]))?", gestation)
    if not written or not low <= int(written[1]) <= high:
        raise ValueError(
            f"Give the gestational age in completed weeks, {low} to {high}, with days if they are known: 34 or 34+2."
        )
    return 7 * int(written[1]) + int(written[2] or 0)


def completed_weeks(gestation: str) -> str:
    """The same without its days: "34+2" -> "34"."""
    return gestation.partition("+")[0]


def months_early(gestation: str) -> float:
    """By how much a preterm birth came before 40 weeks, in months; 0 where it was none, and where it is not known."""
    days = gestation_days(gestation) if gestation else 7 * TERM_WEEKS
    return (7 * TERM_WEEKS - days) / DAYS_PER_MONTH if days < 7 * PRETERM_WEEKS else 0.0


def corrected_age(age_months: float, gestation: str) -> float | None:
    """The corrected age at a chronological one, below 0 before the expected date of birth; None where none is used."""
    early = months_early(gestation)
    return age_months - early if early and age_months < CORRECTED_MONTHS else None


def reference_age(age_months: float, gestation: str) -> float:
    """The age by which a child is compared with others: the corrected one where it is used, else the chronological."""
    corrected = corrected_age(age_months, gestation)
    return age_months if corrected is None else corrected


def caution(age_months: float, gestation: str) -> str:
    """What a reader of a young child's judgement should know of the age, in a sentence, or nothing."""
    if age_months >= CORRECTED_MONTHS:
        return ""
    if not gestation:
        return NOT_CORRECTED
    corrected = corrected_age(age_months, gestation)
    if corrected is None:
        return ""
    return f"Judged by the age corrected for birth at {gestation} weeks, {in_words(completed(corrected))}."
