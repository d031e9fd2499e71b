"""How many studies came in, and where they stand now."""

from collections import Counter

from django.db.models import Count

from boneage_portal.dashboards import figures
from boneage_portal.dashboards.board import Board, Number, Table, Tile, percent
from clinical.studies.models import TROUBLE, State, Study

TITLE = "Studies"
CHARTS = {"by-day": ("Studies by day and state", "By the day of the upload and the state that they are in now.")}
COLOURS = {
    State.RELEASED: figures.GOOD,
    State.SIGNED: figures.INFO,
    State.REVIEWED: "var(--accent-strong)",
    State.ANALYSED: figures.ACCENT,
    State.ANALYSING: figures.SOFT,
    State.QUEUED: figures.INK,
    State.REJECTED: figures.WARN,
    State.FAILED: figures.BAD,
    State.CANCELLED: figures.IDLE,
}
TO_READ = (State.ANALYSED, State.REVIEWED)


def board(selection):
    found = (
        selection.rows(Study.objects.all(), "submitted_at")
        .values_list(selection.period("submitted_at"), "state")
        .annotate(number=Count("*"))
    )
    by_period, by_state = Counter(), Counter()
    for period, state, number in found:
        by_period[period, state] += number
        by_state[state] += number
    total = by_state.total()
    if not total:
        return None

    def of_state(*states):
        number = sum(by_state[state] for state in states)
        return Number(number, selection.studies(state__in=",".join(states)), number / total)

    tiles = [
        Tile("Uploaded", Number(total, selection.studies())),
        Tile("Waiting for a doctor", of_state(*TO_READ), percent(of_state(*TO_READ).value, total)),
        Tile("Signed or released", of_state(State.SIGNED, State.RELEASED)),
        Tile("Failed or refused", of_state(*TROUBLE), percent(of_state(*TROUBLE).value, total)),
    ]

    def of_period(period, state=None):
        number = by_period[period, state] if state else sum(by_period[period, each] for each in State)
        until = selection.end_of(period)
        return Number(number, selection.studies(first=period, last=until, state__exact=state), number / total)

    periods = selection.periods()
    chart = figures.figure("Week of" if selection.is_weekly else "Day", "Studies", "y", barmode="stack")
    for state, colour in COLOURS.items():
        if by_state[state]:
            numbers = [of_period(period, state) for period in periods]
            figures.bars(chart, state.label, [period.isoformat() for period in periods], numbers, colour)
    figures.name_each(chart, periods)
    states = [[state.label, of_state(state), percent(by_state[state], total)] for state in State if by_state[state]]
    days = [[f"{period:%a %d %b %Y}", of_period(period)] for period in reversed(periods) if of_period(period).value]
    unit = "week" if selection.is_weekly else "day"
    return Board(
        tiles,
        {"by-day": chart},
        [
            Table("By state", ["State", "Studies", "Share"], states),
            Table(f"By {unit}", [f"{unit.capitalize()}{' from' * selection.is_weekly}", "Studies"], days),
        ],
    )
