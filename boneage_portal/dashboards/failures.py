"""What the model refused and where the machinery broke, by reason. Every attempt counts, those tried again too."""

from collections import Counter

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
    total = ended.total()
    if not total:
        return None

    def link(state=None, reason=None, **filters):
        return selection.link("inference_analysis", "queued", state__exact=state, reason_code=reason, **filters)

    def of(state, reason=None):
        number = sum(n for (its, why), n in by_reason.items() if its == state and reason in (None, why))
        return Number(number, link(state, reason), number / total)

    tiles = [
        Tile("Analyses that ended", Number(total, link(state__in=",".join(ENDED)))),
        *(Tile(State(state).label, of(state), percent(of(state).value, total)) for state in TROUBLE),
    ]
    ranked = [key for key, _ in by_reason.most_common()]
    charts = {name: figures.nothing("Nothing failed and nothing was refused.") for name in CHARTS}
    if ranked:
        charts["by-reason"] = figures.figure("Analyses", "", "x", barmode="stack")
        for state, colour in TROUBLE.items():
            own = [reason for its, reason in reversed(ranked) if its == state]
            numbers = [of(state, reason) for reason in own]
            figures.bars(
                charts["by-reason"],
                State(state).label,
                [in_words(name) for name in own],
                numbers,
                colour,
                orientation="h",
            )
        charts["rate"] = figures.figure("", "Share", barmode="stack").update_yaxes(tickformat=".0%")
        periods = selection.periods()  # each, as the distance of two makes a bar's width
        for state, colour in TROUBLE.items():
            numbers = [
                Number(
                    by_period[day, state] / ended[day] if ended[day] else None,
                    link(state, first=day, last=selection.end_of(day)),
                )
                for day in periods
            ]
            days = [day.isoformat() for day in periods]
            figures.bars(charts["rate"], State(state).label, days, numbers, colour)
        figures.name_each(charts["rate"], periods)
    rows = [
        [in_words(reason), State(state).label, of(state, reason), percent(by_reason[state, reason], total)]
        for state, reason in ranked
    ]
    return Board(
        tiles,
        charts,
        [Table("By reason", ["Reason", "Ended as", "Analyses", "Of all that ended"], rows)] if rows else [],
    )


def in_words(reason):
    return reason.replace("-", " ").capitalize() or "No reason given"
