"""What the model refused and where the machinery broke, by reason. Every attempt counts, those tried again too."""

from collections import Counter
from functools import partial

from django.db.models import Count

from boneage_portal.dashboards import figures
from boneage_portal.dashboards.board import Board, Number, Table, Tile, percent
from inference.models import Analysis, State

TITLE = "Failures"
CHARTS = {
    "by-reason": ("Failed and refused, by reason", "Of every attempt, those that were tried again included."),
    "rate": ("Share that failed or was refused", "Of the analyses that ended, by the day of the request."),
}
ENDED = (State.ANALYSED, State.REJECTED, State.FAILED)
TROUBLE = {State.REJECTED: figures.WARN, State.FAILED: figures.BAD}


def board(selection):
    by_reason, by_period, ended = _count(selection)
    total = ended.total()
    if not total:
        return None
    link = partial(selection.link, "inference_analysis", "queued")

    def of(state, reason=None):
        number = sum(n for (its, why), n in by_reason.items() if its == state and reason in (None, why))
        return Number(number, link(state__exact=state, reason_code=reason), number / total)

    tiles = [
        Tile("Analyses that ended", Number(total, link(state__in=",".join(ENDED)))),
        *(Tile(State(state).label, of(state), percent(of(state).value, total)) for state in TROUBLE),
    ]
    ranked = [key for key, _ in by_reason.most_common()]
    if not ranked:
        return Board(tiles, {name: figures.nothing("Nothing failed and nothing was refused.") for name in CHARTS})
    rows = [
        [in_words(reason), State(state).label, of(state, reason), percent(by_reason[state, reason], total)]
        for state, reason in ranked
    ]
    return Board(
        tiles,
        {"by-reason": _draw_reasons(ranked, of), "rate": _draw_rate(selection, by_period, ended, link)},
        [Table("By reason", ["Reason", "Ended as", "Analyses", "Of all that ended"], rows)],
    )


def _count(selection):
    """Those in trouble by (state, reason) and by (period, state), and all that ended by period."""
    found = (
        selection.rows(Analysis.objects.filter(state__in=ENDED), "queued_at")
        .values_list(selection.period("queued_at"), "state", "reason_code")
        .annotate(number=Count("*"))
    )
    by_reason, by_period, ended = Counter(), Counter(), Counter()
    for period, state, reason, number in found:
        ended[period] += number
        if state in TROUBLE:
            by_reason[state, reason] += number
            by_period[period, state] += number
    return by_reason, by_period, ended


def _draw_reasons(ranked, of):
    chart = figures.figure("Analyses", "", "x", barmode="stack")
    for state, colour in TROUBLE.items():
        own = [reason for its, reason in reversed(ranked) if its == state]
        numbers = [of(state, reason) for reason in own]
        figures.bars(chart, State(state).label, [in_words(name) for name in own], numbers, colour, orientation="h")
    return chart


def _draw_rate(selection, by_period, ended, link):
    chart = figures.figure("", "Share", barmode="stack").update_yaxes(tickformat=".0%")
    periods = selection.periods()  # each, as the distance of two makes a bar's width
    days = [day.isoformat() for day in periods]
    for state, colour in TROUBLE.items():
        numbers = [
            Number(
                by_period[day, state] / ended[day] if ended[day] else None,
                link(state__exact=state, first=day, last=selection.end_of(day)),
            )
            for day in periods
        ]
        figures.bars(chart, State(state).label, days, numbers, colour)
    return figures.name_each(chart, periods)


def in_words(reason):
    return reason.replace("-", " ").capitalize() or "No reason given"
