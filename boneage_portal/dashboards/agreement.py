"""The AI's bone age against the doctors' (Bland and Altman), over the readings that count."""

from collections import defaultdict
from dataclasses import dataclass
from functools import partial
from math import sqrt

from django.db.models import Count, IntegerField, Q, Sum
from django.db.models.functions import Abs, Cast, Floor

from boneage_portal.dashboards import figures
from boneage_portal.dashboards.board import Board, Number, Table, Tile, percent
from boneage_portal.dashboards.bone_age import BAND, SEXES, signed
from clinical.studies.expressions import AGREED_MONTHS, AI_MONTHS, DOCTOR_MONTHS, READ_WITH_AI, completed_years
from clinical.studies.models import Study

TITLE = "AI and doctors"
CHARTS = {
    "bland-altman": (
        "AI minus doctor against their mean",
        "Lines: mean difference and limits of agreement (±1.96 SD). A value that the doctor accepted differs by none.",
    ),
    "bias": (
        "Mean difference by sex and age",
        "With its 95 % interval (Student's t), from two readings on. Above zero the AI reads older than the doctors.",
    ),
    "overruled": ("Share overruled by sex and age", f"The doctor's value differs by {AGREED_MONTHS} months or more."),
}
# Student's t that 95 % lie within, of 1 to 10 degrees of freedom: Abramowitz and Stegun, Handbook of Mathematical
# Functions, table 26.10.
STUDENT = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228)
HEIGHT = 3  # months of a square; the middle ones are around no difference
LEAST = 12  # months that the axis reaches each way: differences of none are no wall of squares


@dataclass
class Differences:
    """Sums over readings: number, differences (AI minus doctor, months), their squares, and how many were overruled."""

    n: int = 0
    total: float = 0.0
    squares: float = 0.0
    overruled: int = 0

    def add(self, n, total, squares, overruled):
        self.n, self.total, self.squares = self.n + n, self.total + total, self.squares + squares
        self.overruled += overruled

    @property
    def bias(self):
        return self.total / self.n

    @property
    def sd(self):
        return sqrt(max(0.0, self.squares - self.total**2 / self.n) / (self.n - 1)) if self.n > 1 else None


def board(selection):
    overall, bands, squares = _count(selection)
    if not overall.n:
        return None
    rows = partial(_rows, selection)
    charts = {
        "bland-altman": _bland_altman(overall, squares, rows),
        "bias": _bias(bands, rows),
        "overruled": _overruled(bands, rows),
    }
    return Board(_tiles(overall, rows), charts, [_table(bands, rows)])


def _count(selection):
    """The Differences of all, those by (sex, band of age), and the number in each square of the plot."""
    difference = AI_MONTHS - DOCTOR_MONTHS
    found = (
        selection.rows(Study.objects.filter(READ_WITH_AI), "submitted_at")
        .alias(apart=Abs(difference))
        .annotate(
            years=completed_years(),
            mean_years=Cast(Floor((AI_MONTHS + DOCTOR_MONTHS) / 24.0), IntegerField()),
            step=Cast(Floor(difference / float(HEIGHT) + 0.5), IntegerField()),
        )
        .values_list("sex", "years", "mean_years", "step")
        .annotate(
            n=Count("pk"),
            total=Sum(difference),
            squares=Sum(difference * difference),
            overruled=Count("pk", filter=Q(apart__gte=AGREED_MONTHS)),
        )
    )
    overall, bands, squares = Differences(), defaultdict(Differences), defaultdict(int)
    for sex, years, mean_years, step, *sums in found:
        overall.add(*sums)
        bands[sex, years // BAND].add(*sums)
        squares[mean_years, (step - 0.5) * HEIGHT] += sums[0]
    return overall, bands, squares


def _rows(selection, reading="read", sex=None, band=None, **filters):
    ages = {} if band is None else {"age_from": BAND * band, "age_to": BAND * band + BAND - 1}
    return selection.studies(reading=reading, sex__exact=sex, **ages, **filters)


def _tiles(overall, rows):
    low, high = _limits(overall)
    return [
        Tile("Readings with the AI", Number(overall.n, rows())),
        Tile("Mean difference", Number(signed(overall.bias), rows()), "months, AI minus doctor"),
        Tile(
            "Limits of agreement",
            Number("–" if overall.sd is None else f"{signed(low)} to {signed(high)}", rows()),
            "months, 95 % of differences",
        ),
        Tile(
            "Overruled",
            Number(overall.overruled, rows("overruled"), overall.overruled / overall.n),
            percent(overall.overruled, overall.n),
        ),
    ]


def _bland_altman(overall, squares, rows):
    cells = {
        (mean, step): Number(
            n, rows(mean_from=mean, mean_to=mean + 1, difference_from=step, difference_to=step + HEIGHT)
        )
        for (mean, step), n in squares.items()
    }
    chart = figures.counts_by_cell(cells, "Mean of AI and doctor (years)", "AI minus doctor (months)", 1, HEIGHT)
    far = max(LEAST, *(max(abs(step), abs(step + HEIGHT)) for _, step in cells))
    chart.update_yaxes(range=[-far, far])
    low, high = _limits(overall)
    for value, dash in ((overall.bias, "solid"), (low, "dash"), (high, "dash")):
        if value is not None:
            chart.add_hline(y=value, line={"color": figures.WARN, "width": 1.5, "dash": dash})
    return chart


def _bias(bands, rows):
    chart = _by_age(bands, "Months", scattermode="group", scattergap=0.8).update_yaxes(rangemode="normal")
    for sex, colour, own in _by_sex(bands):
        chart.add_scatter(
            x=[_years(band) for band in own],
            y=[each.bias for each in own.values()],
            error_y={"type": "data", "array": [_half_interval(each) for each in own.values()], "thickness": 1},
            mode="markers",
            name=SEXES[sex],
            marker={"color": colour, "size": 10},
            customdata=[rows(sex=sex, band=band) for band in own],
            hovertemplate="%{x} years: %{y:.1f} months<extra></extra>",
        )
    return chart


def _overruled(bands, rows):
    if not any(each.overruled for each in bands.values()):
        return figures.nothing("No reading of these days was overruled.")
    chart = _by_age(bands, "Share").update_yaxes(tickformat=".0%")
    for sex, colour, own in _by_sex(bands):
        shares = [Number(each.overruled / each.n, rows("overruled", sex, band)) for band, each in own.items()]
        figures.bars(chart, SEXES[sex], [_years(band) for band in own], shares, colour)
    return chart


def _by_age(bands, y, **layout):
    """An empty figure over the ages, in order."""
    order = [_years(band) for band in sorted({band for _, band in bands})]
    chart = figures.figure("Age (completed years)", y, **layout)
    return chart.update_xaxes(type="category", categoryorder="array", categoryarray=order)


def _by_sex(bands):
    """(sex, its colour, its Differences by band)."""
    for sex, colour in (("F", figures.ACCENT), ("M", figures.WARN)):
        yield sex, colour, {band: each for (its, band), each in bands.items() if its == sex}


def _years(band, to="–"):
    return f"{BAND * band}{to}{BAND * band + BAND - 1}"


def _table(bands, rows):
    lines = [
        [
            f"{SEXES[sex]}, {_years(band, ' to ')} years",
            Number(each.n, rows(sex=sex, band=band)),
            signed(each.bias),
            "–" if each.sd is None else f"{each.sd:.2f}",
            Number(each.overruled, rows("overruled", sex, band)),
            percent(each.overruled, each.n),
        ]
        for (sex, band), each in sorted(bands.items())
    ]
    head = ["Children", "Readings", "Mean difference", "SD", "Overruled", "Share"]
    return Table("By sex and age", head, lines, "Difference: AI minus doctor, in months.")


def _limits(differences):
    if differences.sd is None:
        return None, None
    return differences.bias - 1.96 * differences.sd, differences.bias + 1.96 * differences.sd


def _half_interval(differences):
    """Of the 95 % interval of the mean difference, or None of a single one, which tells nothing of its spread."""
    if differences.sd is None:
        return None
    return student(differences.n - 1) * differences.sd / sqrt(differences.n)


def student(degrees):
    """Student's t that 95 % lie within: of STUDENT or, beyond it, the first terms of 26.7.5 there, right to 0.003."""
    if degrees <= len(STUDENT):
        return STUDENT[degrees - 1]
    return 1.96 + 2.372 / degrees + 2.82 / degrees**2
