"""Which of Dash's files the portal serves as static files: those that the charts load, of some 300."""

from fnmatch import fnmatch
from functools import cache

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


class ChartScriptFinder(DashComponentFinder):
    def list(self, ignore_patterns):
        listed = set()  # Dash names the folder of its renderer twice
        for path, storage in super().list(ignore_patterns):
            name = f"{storage.prefix}/{path}"
            # With their maps: the manifest of static files refuses a script that refers to a missing one.
            wanted = any(fnmatch(name.removesuffix(".map"), FOLDER + pattern) for pattern in LOADED)
            if wanted and name not in listed:
                listed.add(name)
                yield path, storage


@cache
def served():
    """Names of the files, below the static files' URL."""
    return frozenset(f"{storage.prefix}/{path}" for path, storage in ChartScriptFinder().list([]))
