"""The charts of the dashboards as Dash applications: the layout alone, no data and no server callback.

A page brings its figures along, so that every number is computed once; in the browser each chart takes its own, is
painted in the reader's theme, and a click on a mark opens the rows behind it.
"""

from dash import MATCH, ClientsideFunction, Input, Output, dcc, html
from django.urls import reverse
from django_plotly_dash import DjangoDash

from clinical.charts.dash_app import BUTTONS

dashboards = DjangoDash("dashboards", serve_locally=True)
dashboards.layout = html.Div()
dashboards.clientside_callback(
    ClientsideFunction("dashboards", "paint"),
    Output({"is": "chart", "name": MATCH}, "figure"),
    Input({"is": "drawing", "name": MATCH}, "data"),
    Input("theme", "data"),
)
dashboards.clientside_callback(
    ClientsideFunction("dashboards", "open"),
    Output({"is": "opened", "name": MATCH}, "data"),
    Input({"is": "chart", "name": MATCH}, "clickData"),
    prevent_initial_call=True,
)


def instance(name):
    """The application at the URL of the dashboard `name`."""
    return dashboards.form_dash_instance(base_pathname=reverse("dashboards:board", args=[name]))


def layout(charts):
    """Places for `charts`, name -> (title, note)."""
    places = [_place(name, *words) for name, words in charts.items()]
    return html.Div([html.Div(places, className="boards"), dcc.Store(id="theme")])


def _place(name, title, note):
    graph = dcc.Graph(
        id={"is": "chart", "name": name},
        responsive=True,
        config={
            "displayModeBar": "hover",
            "displaylogo": False,
            "modeBarButtons": BUTTONS,
            "toImageButtonOptions": {"format": "png", "filename": name, "scale": 2},
        },
    )
    stores = [dcc.Store(id={"is": "drawing", "name": name}, data=name), dcc.Store(id={"is": "opened", "name": name})]
    return html.Section(
        [html.H2(title), html.P(note, className="muted"), html.Div(graph, className="board-chart"), *stores],
        className="card",
    )
