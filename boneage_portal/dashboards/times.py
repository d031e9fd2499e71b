"""How long families and doctors wait: from the upload to the result and to the first signature."""

from bisect import bisect_left
from collections import defaultdict
from itertools import chain, pairwise

from django.db.models import F

from boneage_portal.dashboards import figures
from boneage_portal.dashboards.board import Board, Number, Table, Tile, duration, percent
from clinical.studies.expressions import SECONDS_TO_RESULT, Seconds
from clinical.studies.models import Study
from reports.models import Report

TITLE = "Waiting times"
CHARTS = {
    "result": (
        "From upload to result",
        "To the first result. Half were faster than the median, nine of ten than the upper line.",
    ),
    "signature": (
        "From upload to signature",
        "To the first signature; an amended report counts from its first version.",
    ),
}
RESULT = [0, 5, 10, 30, 60, 300, 3600, None]  # limits in seconds
SIGNATURE = [0, 3600, 4 * 3600, 86400, 3 * 86400, 7 * 86400, None]
UNITS = [("days", 86400), ("hours", 3600), ("minutes", 60), ("seconds", 1)]
SHARES = {"median": (1, 2), "nine of ten": (9, 10)}


def board(selection):
    studies = selection.rows(Study.objects.filter(analysis__bone_age_months__isnull=False), "submitted_at")
    studies = studies.annotate(seconds=SECONDS_TO_RESULT)
    reports = selection.rows(Report.objects.filter(version=1), "study__submitted_at")
    reports = reports.annotate(seconds=Seconds(F("signed_at"), F("study__submitted_at")))

    def results(low=None, high=None, **days):
        # Without a limit of its own, a time from 0 leaves out what has no result.
        return selection.studies(result_from=low or 0, result_to=high, **days)

    def signatures(low=None, high=None, **days):
        hours = [None if limit is None else limit / 3600 for limit in (low or 0, high)]
        filters = {"waited_from": f"{hours[0]:g}", "waited_to": None if hours[1] is None else f"{hours[1]:g}"}
        return selection.link("reports_report", "uploaded", version=1, **filters, **days)

    parts = [
        _part("result", "submitted_at", studies, RESULT, results, selection),
        _part("signature", "study__submitted_at", reports, SIGNATURE, signatures, selection),
    ]
    if not any(tiles for tiles, _, _ in parts):
        return None
    return Board(
        [tile for tiles, _, _ in parts for tile in tiles],
        {name: chart for name, (_, chart, _) in zip(CHARTS, parts, strict=True)},
        [table for _, _, tables in parts for table in tables],
    )


def _part(what, moment, rows, limits, link, selection):
    """Tiles, chart and tables of one waiting time, whose `seconds` the rows carry."""
    # Sorted here: for exact quantiles a window in SQL copies and sorts the same rows, several times over.
    by_period = defaultdict(list)
    for period, seconds in rows.values_list(selection.period(moment), "seconds").iterator():
        by_period[period].append(seconds)
    waits = sorted(chain.from_iterable(by_period.values()))
    below = {limit: len(waits) if limit is None else bisect_left(waits, limit) for limit in limits}
    total = below[None] - below[0]
    if not total:
        return [], figures.nothing(f"Nothing with a {what} in these days."), []
    overall = quantiles(waits)
    by_period = {period: quantiles(sorted(own)) for period, own in sorted(by_period.items())}
    tiles = [
        Tile(f"Median to the {what}", Number(duration(overall["median"]), link())),
        Tile(f"Nine of ten to the {what}", Number(duration(overall["nine of ten"]), link()), f"of {total:,}"),
    ]
    longest = max(each["nine of ten"] for each in by_period.values())
    unit, length = next((unit for unit in UNITS if longest >= 2 * unit[1]), UNITS[-1])
    chart = figures.days(figures.figure("", unit.capitalize()), selection)
    for share, colour in zip(SHARES, (figures.ACCENT, figures.WARN), strict=True):
        chart.add_scatter(
            x=[period.isoformat() for period in by_period],
            y=[by_period[period][share] / length for period in by_period],
            name=share.capitalize(),
            mode="lines+markers",
            line={"color": colour},
            customdata=[link(first=period, last=selection.end_of(period)) for period in by_period],
            hovertemplate=f"%{{x}}: %{{y:.1f}} {unit}<extra>{share}</extra>",
        )
    named = []
    for low, high in pairwise(limits):
        number = below[high] - below[low]
        named.append([_between(low, high), Number(number, link(low, high), number / total), percent(number, total)])
    return tiles, chart, [Table(f"From upload to {what}", ["Within", "Number", "Share"], named)]


def _between(low, high):
    return f"from {duration(low)}" if high is None else f"{duration(low)} to {duration(high)}"


def quantiles(waits):
    """{share: the smallest of the sorted `waits` that at least this share of them does not exceed}."""
    return {share: waits[-(-len(waits) * part // whole) - 1] for share, (part, whole) in SHARES.items()}
