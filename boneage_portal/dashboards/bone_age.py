"""Bone age against chronological age over everybody who was examined."""

from collections import Counter, defaultdict

from django.db.models import Count, F, IntegerField, Sum
from django.db.models.functions import Cast, Floor

from boneage_portal.dashboards import figures
from boneage_portal.dashboards.board import Board, Number, Table, Tile, percent
from clinical.studies.expressions import completed_years
from clinical.studies.models import Study
from clinical.studies.queries import BONE_AGE, DETERMINATIONS, HAS_BONE_AGE

TITLE = "Bone age"
CHARTS = {
    "F": ("Girls: bone age against age", "Studies in each square of one year."),
    "M": ("Boys: bone age against age", "Studies in each square of one year."),
    "sds": ("Standard deviation score", "Of the bone age that counts, by the hospital's reference table."),
}
SEXES = {"F": "Girls", "M": "Boys"}
BAND = 3  # years of a row of the table
STEP = 0.5  # SD of a bar
EDGE = 5  # SD; beyond it the bars are one


def board(selection):
    studies = selection.rows(Study.objects.filter(HAS_BONE_AGE), "submitted_at")
    kinds = {name: Count("pk", filter=condition) for name, condition in DETERMINATIONS.items()}
    found = list(
        studies.values(
            "sex", years=completed_years(), bone_years=Cast(Floor(BONE_AGE / 12.0), IntegerField())
        ).annotate(n=Count("pk"), total=Sum("sds"), **kinds)
    )
    if not found:
        return None
    histogram = (  # Only a bone age has an SDS.
        selection.rows(Study.objects.filter(sds__isnull=False), "submitted_at")
        .values_list("sex", Cast(Floor(F("sds") / STEP), IntegerField()))
        .annotate(n=Count("pk"))
    )
    bands = defaultdict(Counter)
    cells = {sex: {} for sex in SEXES}
    for row in found:
        years, bone_years = row["years"], row["bone_years"]
        rows = selection.studies(
            sex__exact=row["sex"], age_from=years, age_to=years, bone_age_from=bone_years, bone_age_to=bone_years + 1
        )
        cells[row["sex"]][years, bone_years] = Number(row["n"], rows)
        row["total"] = row["total"] or 0
        bands[row["sex"], years // BAND].update({name: row[name] for name in ("n", "total", *kinds)})

    def number(count, kind=None, sex=None, band=None):
        ages = {} if band is None else {"age_from": BAND * band, "age_to": BAND * band + BAND - 1}
        return Number(count, selection.studies(determination=kind, sex__exact=sex, bone_age_from=0, **ages))

    overall = sum(bands.values(), Counter())
    judged = overall["n"] - overall["indeterminate"]
    mean = sum(each["total"] for each in bands.values()) / judged if judged else None
    tiles = [
        Tile("Studies with a bone age", number(overall["n"])),
        *(Tile(kind.capitalize(), number(overall[kind], kind), percent(overall[kind], overall["n"])) for kind in kinds),
        Tile("Mean SDS", Number("–" if mean is None else signed(mean))),
    ]
    charts = {sex: _squares(cells[sex], SEXES[sex].lower()) for sex in SEXES}
    charts["sds"] = _histogram(histogram, selection)
    rows = [
        [
            f"{SEXES[sex]}, {BAND * band} to {BAND * band + BAND - 1} years",
            number(each["n"], None, sex, band),
            *(number(each[kind], kind, sex, band) for kind in kinds),
            signed(each["total"] / known) if (known := each["n"] - each["indeterminate"]) else "–",
        ]
        for (sex, band), each in sorted(bands.items())
    ]
    head = ["Children", "Studies", *(kind.capitalize() for kind in kinds), "Mean SDS"]
    return Board(
        tiles, charts, [Table("By sex and age", head, rows, "Age in completed years on the day of the study.")]
    )


def signed(value):
    return f"{value:+.2f}".replace("-", "−")


def _squares(cells, who):
    if not cells:
        return figures.nothing(f"No {who} with a bone age in these days.")
    chart = figures.counts_by_cell(cells, "Age (years)", "Bone age (years)", 1, 1)
    oldest = max(max(pair) for pair in cells) + 1
    line = {"color": figures.SOFT, "width": 1, "dash": "dash"}
    return chart.add_shape(type="line", x0=0, y0=0, x1=oldest, y1=oldest, line=line)


def _histogram(found, selection):
    counts = Counter()
    for sex, step, n in found:
        low = min(max(step * STEP, -EDGE - STEP), EDGE)
        counts[sex, low] += n
    if not counts:
        return figures.nothing("No bone age of these days has an SDS.")
    lows = [-EDGE - STEP + STEP * step for step in range(round(2 * (EDGE + STEP) / STEP) + 1)]
    lows = [low for low in lows if low <= EDGE]
    chart = figures.figure("SDS, from", "Studies", "y", barmode="stack")
    for sex, colour in (("F", figures.ACCENT), ("M", figures.WARN)):
        numbers = [
            Number(
                counts[sex, low],
                selection.studies(
                    sex__exact=sex,
                    sds_from=None if low < -EDGE else low,
                    sds_to=None if low >= EDGE else low + STEP,
                ),
            )
            for low in lows
        ]
        names = [f"< −{EDGE}" if low < -EDGE else f"{low:+g}".replace("-", "−") if low else "0" for low in lows]
        figures.bars(chart, SEXES[sex], names, numbers, colour)
    return chart.update_xaxes(type="category")
