"""Whether the pictures of a site, or what the model makes of them, are no longer what they were: week by week."""

from collections import defaultdict
from functools import cache, partial
from math import sqrt

from django.db.models import Avg, Case, Count, F, FloatField, When
from django.db.models.functions import Cast

from boneage_portal.dashboards import figures
from boneage_portal.dashboards.board import Board, Number, Table, Tile
from clinical.studies.models import State, Study

TITLE = "Drift"
MEASURES = {
    "brightness": ("Brightness", "Mean of the picture, 0 black to 1 white.", Avg("radiograph__mean"), ".3f"),
    "contrast": ("Contrast", "Standard deviation of the picture.", Avg("radiograph__sd"), ".3f"),
    "sharpness": ("Sharpness", "Standard deviation of the picture's Laplacian.", Avg("radiograph__sharpness"), ".4f"),
    "size": (
        "Size",
        "Megapixels of the picture.",
        Avg(Cast(F("radiograph__width"), FloatField()) * F("radiograph__height") / 1e6),
        ".2f",
    ),
    "bone-age": (
        "AI bone age",
        "Mean of the model's values, in years.",
        Avg(F("analysis__bone_age_months") / 12.0),
        ".2f",
    ),
    "interval": (
        "Width of the interval",
        "Mean of the 90 % interval, in months: how sure the model is.",
        Avg(F("analysis__high_months") - F("analysis__low_months")),
        ".1f",
    ),
    "refused": (
        "Share refused",
        "Pictures in which the model read no bone age.",
        Avg(Case(When(state=State.REJECTED, then=1.0), default=0.0, output_field=FloatField())),
        ".3f",
    ),
}
CHARTS = {name: (title, note) for name, (title, note, _, _) in MEASURES.items()}
COUNTED = [state for state in State if state != State.CANCELLED]
DAYS = 182  # of a first look
SITES = 8  # lines of a chart, the busiest; the table has all
ENOUGH = 10  # studies of a week, below which its mean says little
WEEKS = 8  # before a week is compared with them
FAR = 4  # standard deviations of a site's own weeks


def board(selection):
    weeks = _count(selection)
    if not weeks:
        return None
    listed = partial(selection.studies, state__in=",".join(COUNTED))

    @cache
    def rows(site, week):
        return listed(hospital=site, first=week, last=selection.end_of(week, weekly=True))

    strays = [stray for site in weeks for stray in _strays(site, weeks[site], rows)]
    total = sum(row["n"] for site in weeks for row in weeks[site])
    tiles = [
        Tile("Studies", Number(total, listed())),
        Tile("Sites", Number(len(weeks))),
        Tile("Weeks out of line", Number(len(strays)), f"beyond {FAR} SD of the site's earlier weeks"),
    ]
    tables = [_table(weeks, rows)]
    if strays:
        note = f"Weeks of {ENOUGH} studies or more, compared with at least {WEEKS} such weeks before them."
        tables.insert(0, Table("Out of line", ["Site and week", "Studies", "Measure", "Value", "Before"], strays, note))
    return Board(tiles, {name: _chart(name, weeks, rows, selection) for name in MEASURES}, tables)


def _count(selection):
    """(key, name) of a site -> its weeks, in order, with every measure."""
    measures = {_key(name): expression for name, (_, _, expression, _) in MEASURES.items()}
    found = (
        selection.rows(Study.objects.filter(state__in=COUNTED), "submitted_at")
        .annotate(week=selection.period("submitted_at", weekly=True))
        .values("week", "hospital", "hospital__name")
        .annotate(n=Count("pk"), **measures)
        .order_by("week", "hospital__name")
    )
    weeks = defaultdict(list)
    for row in found:
        weeks[row["hospital"], row["hospital__name"]].append(row)
    return weeks


def _key(name):
    return name.replace("-", "_")


def _chart(name, weeks, rows, selection):
    title, _, _, digits = MEASURES[name]
    chart = figures.figure("Week of", title).update_yaxes(rangemode="nonnegative")
    figures.days(chart, selection, weekly=True)
    busiest = sorted(weeks, key=lambda site: -sum(row["n"] for row in weeks[site]))[:SITES]
    for number, site in enumerate(busiest):
        known = [row for row in weeks[site] if row[_key(name)] is not None]
        if known:
            chart.add_scatter(
                x=[row["week"].isoformat() for row in known],
                y=[row[_key(name)] for row in known],
                mode="lines+markers",
                name=site[1],
                line={"color": figures.PALETTE[number]},
                customdata=[rows(site[0], row["week"]) for row in known],
                hovertemplate=f"%{{x}}: %{{y:{digits}}}<extra>%{{fullData.name}}</extra>",
            )
    return chart if chart.data else figures.nothing("Not measured in these days.")


def _table(weeks, rows):
    lines = [
        [
            f"{site[1]}, {row['week']:%d %b %Y}",
            Number(row["n"], rows(site[0], row["week"])),
            *(
                "–" if (value := row[_key(name)]) is None else f"{value:{digits}}"
                for name, (*_, digits) in MEASURES.items()
            ),
        ]
        for site in weeks
        for row in reversed(weeks[site])
    ]
    head = ["Site and week", "Studies", *(title for title, *_ in MEASURES.values())]
    return Table("Site by site", head, lines, "Weeks begin on Monday.")


def _strays(site, weeks, rows):
    """Rows of the table of weeks that left the range of the site's own earlier weeks."""
    weeks = [week for week in weeks if week["n"] >= ENOUGH]
    for name, (title, _, _, digits) in MEASURES.items():
        key = _key(name)
        known = [week for week in weeks if week[key] is not None]
        mean = squares = 0.0  # of the weeks before, and the sum of their squared distances from it (Welford)
        for before, week in enumerate(known):
            value = week[key]
            sd = sqrt(squares / (before - 1)) if before > 1 else 0.0
            if before >= WEEKS and abs(value - mean) > FAR * max(sd, 1e-9):
                yield [
                    f"{site[1]}, {week['week']:%d %b %Y}",
                    Number(week["n"], rows(site[0], week["week"])),
                    title,
                    f"{value:{digits}}",
                    f"{mean:{digits}} ± {sd:{digits}}",
                ]
            distance = value - mean
            mean += distance / (before + 1)
            squares += distance * (value - mean)
