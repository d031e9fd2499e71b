"""Which of Dash's files the portal serves as static files: those that the charts load, of some 300."""

from fnmatch import fnmatch

from django_plotly_dash.finders import DashComponentFinder

FOLDER = "dash/component/"
LOADED = (
    "dash/dash-renderer/build/dash_renderer.min.js",
    "dash/deps/*.min.js",
    "dash/dcc/dash_core_components.js",
    "dash/dcc/dash_core_components-shared.js",
    "dash/dcc/async-graph.js",
    "dash/html/dash_html_components.min.js",
    "dash/dash_table/bundle.js",
    "plotly/package_data/plotly.min.js",
)


def is_loaded(path):
    """Whether `path`, within FOLDER, is one of the files that the charts load."""
    return any(fnmatch(path, pattern) for pattern in LOADED)


class ChartScriptFinder(DashComponentFinder):
    def list(self, ignore_patterns):
        for path, storage in super().list(ignore_patterns):
            if is_loaded(f"{storage.prefix}/{path}".removeprefix(FOLDER)):
                yield path, storage
