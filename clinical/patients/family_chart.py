"""The family's chart: how old the bones looked at each age, as shapes of an SVG."""

from dataclasses import dataclass
from math import ceil, floor

from clinical.growth.bone_age import band

SIDE = 240  # of the square plot, in units of the SVG
LEAST_YEARS = 4


@dataclass(frozen=True)
class Tick:
    years: int
    x: float
    y: float


@dataclass(frozen=True)
class Chart:
    """Age to the right, age of the bones upwards, on the same scale; (0, 0) is the plot's upper left corner.

    `line` and `usual` are the `points` of an SVG's polyline and polygon, `dots` the studies' (x, y); `sex` is that of
    the children in `usual`.
    """

    side: int
    sex: str
    ticks: list[Tick]
    dots: list[tuple[float, float]]
    line: str
    usual: str


def chart(studies):
    """The Chart of `studies`, signed ones in any order, with the range of most children of that sex; None without one.

    Ages and table are those of the signed readings, as in the reports beside it.
    """
    reviews = [study.review for study in sorted(studies, key=lambda study: study.acquired_on)]
    if not reviews:
        return None
    ages = [(review.assessment.age_months, review.bone_age_months) for review in reviews]
    youngest, oldest = min(map(min, ages)) / 12, max(map(max, ages)) / 12
    # A corrected age before the expected birth is below 0.
    first = max(min(0, floor(youngest)), floor(youngest) - 1)
    last = max(ceil(oldest) + 1, first + LEAST_YEARS)

    def place(age, bone_age):
        scale = SIDE / (last - first)
        return round((age / 12 - first) * scale, 1), round(SIDE - (bone_age / 12 - first) * scale, 1)

    norms = band(reviews[-1].sex, reviews[-1].reference)
    usual = [(norm.age_months, norm.high) for norm in norms]
    usual += [(norm.age_months, norm.low) for norm in reversed(norms)]
    years = range(first, last + 1, ceil((last - first) / 10))
    return Chart(
        side=SIDE,
        sex=reviews[-1].sex,
        ticks=[Tick(year, *place(12 * year, 12 * year)) for year in years],
        dots=[place(*pair) for pair in ages],
        line=_points(place(*pair) for pair in ages),
        usual=_points(place(*pair) for pair in usual),
    )


def _points(places):
    return " ".join(f"{x},{y}" for x, y in places)
