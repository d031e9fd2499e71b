"""Plotly figures of the dashboards. A mark's `customdata` is the list of the rows behind it; a click opens it.

Colours are the portal's design tokens, as in `clinical.charts.figures`.
"""

from datetime import timedelta
from textwrap import wrap

import plotly.graph_objects as go

INK, SOFT, LINE, SURFACE = "var(--ink)", "var(--ink-soft)", "var(--line)", "var(--surface)"
ACCENT, INFO, GOOD, WARN, BAD, IDLE = (
    f"var(--{name})" for name in ("accent", "info", "good", "warn", "bad", "line-strong")
)
PALETTE = [ACCENT, WARN, INFO, GOOD, BAD, SOFT, "var(--accent-strong)", INK]
SCALE = [[0, "var(--accent-soft)"], [1, "var(--accent)"]]


# As everywhere, the day comes before the month.
DATES = {
    "hoverformat": "%-d %b %Y",
    "tickformatstops": [
        {"dtickrange": [None, "M1"], "value": "%-d %b\n%Y"},
        {"dtickrange": ["M1", None], "value": "%b %Y"},
    ],
}

FEW = 5  # an axis of counts reaches at least here, so that its steps are whole; of so many bars each has its date


def figure(x, y, counted="", **layout):
    """An empty figure with named axes, of which `counted` ("x" or "y") counts rows."""
    whole = {"autorangeoptions": {"include": FEW}}
    axis = {"gridcolor": LINE, "linecolor": SOFT, "zeroline": False, "automargin": True}
    return go.Figure(  # at once: to update the layout of an empty figure takes fifty times as long
        layout={
            "template": "none",
            "font": {"color": INK, "size": 12},
            "paper_bgcolor": SURFACE,
            "plot_bgcolor": SURFACE,
            "margin": {"l": 56, "r": 16, "t": 16, "b": 48},
            "hovermode": "closest",
            "dragmode": False,
            "hoverlabel": {"bgcolor": SURFACE, "bordercolor": LINE, "font": {"color": INK}},
            "modebar": {"bgcolor": SURFACE, "color": SOFT, "activecolor": INK},
            "legend": {"orientation": "h", "traceorder": "normal", "y": -0.22, "yanchor": "top", "x": 0},
            "xaxis": {"title": {"text": x}, **axis, **(whole if counted == "x" else {})},
            "yaxis": {"title": {"text": y}, "rangemode": "tozero", **axis, **(whole if counted == "y" else {})},
            **layout,
        }
    )


def days(drawn, selection, weekly=None):
    """Let the time axis show the days selected: around a single mark Plotly would count microseconds."""
    weekly = selection.is_weekly if weekly is None else weekly
    before = selection.first - timedelta(days=7 if weekly else 1)  # a week may begin before the first day
    after = selection.last + timedelta(days=1)
    return drawn.update_xaxes(
        type="date",
        range=[before.isoformat(), after.isoformat()],
        **DATES,
    )


def name_each(drawn, periods):
    """Put its date under each of a few bars: Plotly would write times of the day between them."""
    few = {"tickvals": [period.isoformat() for period in periods], "tickformat": "%-d %b"}
    return drawn.update_xaxes(type="date", **(few if len(periods) <= FEW else DATES))


def nothing(sentence):
    """In place of a chart: why there is none."""
    empty = figure("", "").update_xaxes(visible=False).update_yaxes(visible=False)
    return empty.add_annotation(
        text=sentence, x=0.5, y=0.5, xref="paper", yref="paper", showarrow=False, font={"size": 14, "color": SOFT}
    )


def bars(drawn, name, names, numbers, colour, **options):
    """Add a series of bars: `numbers` (Number) over `names`."""
    values = [number.value for number in numbers]
    links = [number.rows for number in numbers]
    across = {"x": names, "y": values}
    # A bar among few is not a block.
    if options.get("orientation") == "h":
        # Long names leave room for the bars on a phone.
        lines = ["<br>".join(wrap(name, 18)) for name in names]
        across = {"x": values, "y": lines, "width": min(0.8, 0.16 * len(names))}
    else:
        drawn.layout.bargap = 1 - min(0.8, 0.08 * len(names))
    return drawn.add_bar(**across, name=name, customdata=links, marker={"color": colour}, **options)


def counts_by_cell(cells, x, y, x_size, y_size, **layout):
    """A two-dimensional histogram; `cells`: (left, lower) -> Number, of bins `x_size` wide and `y_size` high."""
    lefts = _steps([left for left, _ in cells], x_size)
    lowers = _steps([lower for _, lower in cells], y_size)
    lowers.append(lowers[-1] + y_size)  # a row above, empty: Plotly draws a single row one unit high, whatever it spans
    numbers = [[cells.get((left, lower)) for left in lefts] for lower in lowers]
    most = max(number.value for number in cells.values())
    return figure(x, y, **layout).add_heatmap(
        x=[left + x_size / 2 for left in lefts],
        y=[lower + y_size / 2 for lower in lowers],
        z=[[number.value if number else None for number in row] for row in numbers],
        customdata=[[number.rows if number else "" for number in row] for row in numbers],
        text=[
            [f"{left:g} to {left + x_size:g}, {lower:g} to {lower + y_size:g}" for left in lefts] for lower in lowers
        ],
        hovertemplate="%{text}: %{z}<extra></extra>",
        hoverongaps=False,
        zmin=0,
        zmax=most,
        colorscale=SCALE,
        xgap=1,
        ygap=1,
        colorbar={
            "title": {"text": "studies"},
            "thickness": 10,
            "outlinewidth": 0,
            "dtick": 1 if most <= FEW else None,
        },
    )


def _steps(values, size):
    low, high = min(values), max(values)
    return [low + size * step for step in range(round((high - low) / size) + 1)]
