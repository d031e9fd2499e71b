"""The growth charts as Plotly figures. Ages on the axes are in years, heights in cm.

Colours are names of the portal's design tokens, "var(--accent)"; `static/charts/charts.js` puts in what they are in
the reader's theme.
"""

from math import ceil, floor

import plotly.graph_objects as go

from clinical.growth import centiles
from clinical.growth.ages import completed, in_words
from clinical.growth.bone_age import REFERENCES, band

INK, SOFT, LINE, SURFACE = "var(--ink)", "var(--ink-soft)", "var(--line)", "var(--surface)"
AI, DOCTOR, NORMAL = "var(--accent)", "var(--warn)", "var(--accent-soft)"
PREDICTED, TARGET = "var(--good)", "var(--info)"

CENTILES = {3: -1.881, 10: -1.282, 25: -0.674, 50: 0.0, 75: 0.674, 90: 1.282, 97: 1.881}  # per cent -> z
ADULT_YEARS = 20
MARGIN_CM = 3  # beyond the outermost value, for its marker


def bone_age_figure(record, reference):
    """Bone age against the child's age over all studies of a GrowthRecord, with the named table's +-2 SD band."""
    age = "Age (years), corrected until three" if record.is_corrected else "Chronological age (years)"
    figure = _figure(age, "Bone age (years)")
    name = REFERENCES[reference].name
    norms = band(record.patient.sex, reference)
    ages = [norm.age_months / 12 for norm in norms]
    figure.add_scatter(x=ages, y=[norm.low / 12 for norm in norms], showlegend=False, **_EDGE)
    figure.add_scatter(
        x=ages,
        y=[norm.high / 12 for norm in norms],
        name=f"±2 SD, {name}",
        fill="tonexty",
        fillcolor=NORMAL,
        **_EDGE,
    )
    figure.add_scatter(
        x=[0, ADULT_YEARS],
        y=[0, ADULT_YEARS],
        mode="lines",
        name="Bone age = age",
        line={"color": SOFT, "width": 1, "dash": "dash"},
        hoverinfo="skip",
    )
    ai = [each for each in record.readings if each.ai_months is not None]
    figure.add_scatter(
        **_points(ai, [each.ai_months for each in ai], AI, "circle-open", "AI estimate"),
        error_y={
            "type": "data",
            "symmetric": False,
            "array": [_months_to(each, each.study.analysis.high_months) / 12 for each in ai],
            "arrayminus": [_months_to(each, each.study.analysis.low_months) / 12 for each in ai],
            "color": AI,
            "thickness": 1,
            "width": 3,
        },
    )
    doctors = [each for each in record.readings if each.doctor_months is not None]
    figure.add_scatter(
        **_points(doctors, [each.doctor_months for each in doctors], DOCTOR, "diamond", "Doctor's reading")
    )
    ages = [age for each in record.readings for age in (each.reference_age_months, each.ai_months, each.doctor_months)]
    values = [age / 12 for age in ages if age is not None]
    youngest = floor(min(values))  # below 0 before the expected birth
    low, high = max(min(0, youngest), youngest - 2), min(ADULT_YEARS, ceil(max(values)) + 2)
    high = max(high, floor(max(values)) + 1)  # grown-ups, too
    return figure.update_xaxes(range=[low, high]).update_yaxes(range=[low, high])


def height_figure(record):
    """Height for age on the CDC centiles, at the child's and at bone age, with predicted and target height."""
    figure = _figure("Age (years), corrected until three" if record.is_corrected else "Age (years)", "Height (cm)")
    sex = record.patient.sex
    for number, (percent, z) in enumerate(CENTILES.items()):
        curve = centiles.curve("height", z, sex)
        figure.add_scatter(
            x=[age / 12 for age, _ in curve],
            y=[height for _, height in curve],
            mode="lines",
            name="CDC 2000 centiles, 3 to 97",
            legendgroup="centiles",
            showlegend=number == 0,
            line={"color": SOFT, "width": 1.5 if percent == 50 else 0.75},
            hovertemplate=f"Centile {percent} at %{{x:.1f}} y: %{{y:.1f}} cm<extra></extra>",
        )
        figure.add_annotation(
            x=ADULT_YEARS, y=curve[-1][1], text=str(percent), xanchor="left", showarrow=False, font={"size": 10}
        )
    heights = record.heights
    at_bone_age = [row for row in heights if row.reading]
    figure.add_scatter(
        x=[row.reading.bone_age_months / 12 for row in at_bone_age],
        y=[row.measurement.height_cm for row in at_bone_age],
        customdata=[[f"bone age {in_words(row.reading.bone_age_months)}", _day(row)] for row in at_bone_age],
        hovertemplate=_HEIGHT,
        mode="markers",
        name="Height at bone age",
        marker={"symbol": "diamond-open", "size": 10, "color": PREDICTED, "line": {"width": 2}},
    )
    figure.add_scatter(
        x=[row.reference_age_months / 12 for row in heights],
        y=[row.measurement.height_cm for row in heights],
        customdata=[[_age(row), _day(row)] for row in heights],
        hovertemplate=_HEIGHT,
        mode="lines+markers",
        name="Height at age",
        marker={"symbol": "circle", "size": 9, "color": AI},
        line={"color": AI, "width": 2},
    )
    if row := record.predicted:
        figure.add_scatter(
            x=[ADULT_YEARS - 0.4],
            y=[row.prediction.height_cm],
            mode="markers",
            name="Predicted adult height",
            marker={"symbol": "star", "size": 13, "color": PREDICTED},
            hovertemplate=f"Predicted adult height %{{y:.1f}} cm<br>{row.prediction.reference.name}<extra></extra>",
        )
    if target := record.target:
        figure.add_scatter(
            x=[ADULT_YEARS - 1],
            y=[target.height_cm],
            mode="markers",
            name="Target height, ±8.5 cm",
            marker={"symbol": "square", "size": 9, "color": TARGET},
            error_y={"type": "constant", "value": target.high_cm - target.height_cm, "color": TARGET, "width": 6},
            hovertemplate="Target height %{y:.1f} cm<extra></extra>",
        )
    ages = [row.reference_age_months for row in heights] + [row.reading.bone_age_months for row in at_bone_age]
    start = 2 if min(ages) >= centiles.STANDING_MONTHS else min(0, (min(ages) - 1) / 12)  # before the expected birth
    plotted = [row.measurement.height_cm for row in heights]
    plotted += [row.prediction.height_cm] if (row := record.predicted) else []
    plotted += [target.low_cm, target.high_cm] if target else []
    # The usual range, for charts that compare at a glance, and as far beyond it as this child is.
    figure.update_xaxes(range=[start, max(ADULT_YEARS, floor(max(ages) / 12)) + 1])
    return figure.update_yaxes(
        range=[min(75 if start == 2 else 40, min(plotted) - MARGIN_CM), max(205, max(plotted) + MARGIN_CM)], dtick=20
    )


_EDGE = {"mode": "lines", "line": {"width": 0, "color": NORMAL}, "hoverinfo": "skip"}
_HEIGHT = "%{y:.1f} cm at %{customdata[0]}<br>%{customdata[1]}<extra></extra>"


def _figure(x, y):
    axis = {"gridcolor": LINE, "linecolor": SOFT, "zeroline": False, "dtick": 2}
    # Within the plot: below it, a legend of many lines would lie on the name of the axis.
    place = {"xref": "paper", "x": 1, "xanchor": "right", "yref": "paper", "y": 0, "yanchor": "bottom"}
    x_name = {"text": x, "showarrow": False, "font": {"color": INK, "size": 13}, **place}
    return go.Figure().update_layout(
        template="none",
        font={"color": INK, "size": 12},
        paper_bgcolor=SURFACE,
        plot_bgcolor=SURFACE,
        margin={"l": 48, "r": 16, "t": 36, "b": 40},
        hovermode="closest",
        dragmode=False,  # a finger scrolls the page, until zoom or pan is chosen
        hoverlabel={"bgcolor": SURFACE, "bordercolor": LINE, "font": {"color": INK}},
        modebar={"bgcolor": SURFACE, "color": SOFT, "activecolor": INK, "orientation": "h"},
        legend={"orientation": "h", "traceorder": "normal", "y": -0.1, "yanchor": "top", "x": 0},
        xaxis=axis,
        yaxis={"title": {"text": y, "standoff": 8}, **axis},
        annotations=[x_name],
    )


def _points(readings, months, colour, symbol, name):
    return {
        "x": [each.reference_age_months / 12 for each in readings],
        "y": [value / 12 for value in months],
        "customdata": [
            [in_words(value), _age(each), f"{each.study.acquired_on:%d %b %Y}"]
            for each, value in zip(readings, months, strict=True)
        ],
        "hovertemplate": (f"{name}: %{{customdata[0]}}<br>at %{{customdata[1]}}, on %{{customdata[2]}}<extra></extra>"),
        "mode": "lines+markers",
        "name": name,
        "marker": {"symbol": symbol, "size": 10, "color": colour, "line": {"width": 2, "color": colour}},
        "line": {"color": colour, "width": 1},
    }


def _months_to(reading, limit):
    """From the AI estimate to a limit of its interval; 0 where it has none."""
    return 0 if limit is None else abs(limit - reading.ai_months)


def _age(row):
    age = in_words(completed(row.reference_age_months))
    return age if row.corrected_age_months is None else f"{age} (corrected)"


def _day(row):
    return f"{row.measurement.measured_on:%d %b %Y}"
