"""The growth charts as a Dash application.

It has no server callback and takes nothing from the browser but its URL: the figures are part of the layout, which a
view makes for the patient it has looked up. So there is no state in which a client could name another patient. Only
painting, in the colours of the reader's theme, happens in the browser.
"""

from dash import MATCH, ClientsideFunction, Input, Output, dcc, html
from django.urls import reverse
from django_plotly_dash import DjangoDash

from clinical.charts.figures import bone_age_figure, height_figure

growth_charts = DjangoDash("growth-charts", serve_locally=True)
growth_charts.layout = html.Div()  # until `drawn` makes one, nobody's data
growth_charts.clientside_callback(
    ClientsideFunction("charts", "paint"),
    Output({"is": "chart", "name": MATCH}, "figure"),
    Input({"is": "drawing", "name": MATCH}, "data"),
    Input("theme", "data"),
)


def instance(patient):
    """The application at the URL of `patient`, still without a chart."""
    return growth_charts.form_dash_instance(base_pathname=reverse("charts:page", args=[patient.pk]))


def drawn(record):
    """The layout with the charts of a GrowthRecord: those that it has values for."""
    charts = [dcc.Store(id="theme")]
    if record.readings:
        reference = record.patient.hospital.bone_age_reference
        charts += _chart("bone-age", "Bone age for age", bone_age_figure(record, reference))
    if record.heights:
        charts += _chart("height", "Height for age", height_figure(record))
    return html.Div(charts, className="charts")


# Named one by one: Plotly's own choice has a button that sends the chart to its makers.
BUTTONS = [["toImage"], ["zoom2d", "pan2d"], ["zoomIn2d", "zoomOut2d", "resetScale2d"]]


def _chart(name, title, figure):
    graph = dcc.Graph(
        id={"is": "chart", "name": name},
        responsive=True,
        config={
            "displayModeBar": True,
            "displaylogo": False,
            "modeBarButtons": BUTTONS,
            "toImageButtonOptions": {"format": "png", "filename": f"{name}-chart", "scale": 2},  # names no patient
        },
    )
    return [
        dcc.Store(id={"is": "drawing", "name": name}, data=figure.to_plotly_json()),
        html.Section([html.H2(title), html.Div(graph, className="chart")]),
    ]
