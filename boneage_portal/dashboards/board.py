"""What a dashboard shows: numbers, charts and tables, each number with the list of the rows behind it."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Number:
    """`value` as it is shown; `rows`: the URL of the list behind it; `share`: of a whole, 0 to 1, for a bar."""

    value: Any
    rows: str = ""
    share: float | None = None


@dataclass(frozen=True)
class Tile:
    label: str
    number: Number
    note: str = ""


@dataclass(frozen=True)
class Table:
    title: str
    head: list[str]
    rows: list[list]  # a name, then Numbers and texts
    note: str = ""

    def lines(self):
        """(name, cells) of each row, texts as Numbers of no list: a template asks a text slowly for its `rows`."""
        for name, *cells in self.rows:
            yield name, [cell if isinstance(cell, Number) else Number(cell) for cell in cells]


@dataclass(frozen=True)
class Board:
    """`charts`: name -> figure, for those that the dashboard has announced."""

    tiles: list[Tile] = field(default_factory=list)
    charts: dict = field(default_factory=dict)
    tables: list[Table] = field(default_factory=list)


def percent(part, whole):
    """ "12.5 %", or a dash of nothing."""
    return f"{100 * part / whole:.1f} %" if whole else "–"


def duration(seconds):
    """ "4.2 s", "3 min", "5.1 h", "2.3 d"; a dash where there is none."""
    if seconds is None:
        return "–"
    units = (("d", 86400), ("h", 3600), ("min", 60), ("s", 1))
    unit, length = next((unit for unit in units if seconds >= unit[1]), units[-1])
    return f"{seconds / length:.1f}".removesuffix(".0") + f" {unit}"
