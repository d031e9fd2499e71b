"""Reference tables, read once from `data`. Outside the ages it covers a table has no value: never an extrapolation."""

import csv
from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from math import inf, isfinite
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from clinical.growth.ages import in_words

Sex = Literal["M", "F"]
CHILDREN = {"M": "boys", "F": "girls"}
DATA = Path(__file__).parent / "data"
SOURCE = "# source: "


class OutsideTable(LookupError):
    """The table does not cover this age; str() is a sentence for the page or report."""


@dataclass(frozen=True)
class Table:
    """Columns of numbers over an age in months, by sex; linear between its rows.

    `file` is a CSV in `data` whose comment lines start with "#", the first naming the source. With `part`, a
    column and its value, the table is those rows of the file only.
    """

    name: str
    file: str
    age: str
    columns: tuple[str, ...]
    part: tuple[str, str] | None = None
    age_in_words: str = ""  # goes before an age that is not the child's own: "a bone age of "

    @property
    def source(self) -> str:
        return _read(self.file)[0]

    def rows(self, sex: Sex) -> Mapping[float, tuple[float, ...]]:
        """Age in months -> values of `columns`, ascending. Raises ValueError for another sex than "M" or "F"."""
        return _rows(self, checked_sex(sex))

    def at(self, age_months: float, sex: Sex) -> tuple[float, ...]:
        """Values of `columns` at an age, which of a child born preterm may be below 0.

        Raises OutsideTable where there is none, ValueError for what is no number.
        """
        rows = self.rows(sex)
        ages, age = list(rows), age_months
        if not isfinite(age):
            raise ValueError("An age in months is a finite number.")
        if age < ages[0]:
            raise OutsideTable(self._limit("begins", ages[0], sex))
        if age > ages[-1]:
            raise OutsideTable(self._limit("ends", ages[-1], sex))
        if age in rows:
            return rows[age]
        after = bisect_left(ages, age)
        before = after - 1
        share = (age - ages[before]) / (ages[after] - ages[before])
        pairs = zip(rows[ages[before]], rows[ages[after]], strict=True)
        return tuple(low + (high - low) * share for low, high in pairs)

    def _limit(self, verb: str, age: float, sex: Sex) -> str:
        return f"The {self.name} table {verb} at {self.age_in_words}{in_words(age)} for {CHILDREN[sex]}."


def checked_sex(sex: Sex) -> Sex:
    """The same sex. Raises ValueError unless it is "M" or "F"."""
    if sex not in CHILDREN:
        raise ValueError('The sex is "M" or "F".')
    return sex


def checked_age(months: float) -> float:
    """The same age. Raises ValueError unless it is a finite number from 0 up."""
    if not 0 <= months < inf:
        raise ValueError("An age in months is a number from 0 up.")
    return months


@cache
def _read(file: str) -> tuple[str, tuple[dict[str, str], ...]]:
    lines = (DATA / file).read_text(encoding="utf-8").splitlines()
    if not lines[0].startswith(SOURCE):
        raise ValueError(f"{file} does not begin with its source.")
    return lines[0].removeprefix(SOURCE), tuple(csv.DictReader(line for line in lines if not line.startswith("#")))


@cache
def _rows(table: Table, sex: Sex) -> Mapping[float, tuple[float, ...]]:
    wanted = {("sex", sex), *([table.part] if table.part else [])}
    return MappingProxyType(
        {
            float(row[table.age]): tuple(float(row[column]) for column in table.columns)
            for row in _read(table.file)[1]
            if wanted <= row.items()
        }
    )
