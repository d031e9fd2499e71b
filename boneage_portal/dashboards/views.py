"""The pages of the dashboards, for platform staff and, of their own hospital, for hospitals' administrators."""

from csp.constants import SELF, UNSAFE_INLINE
from csp.decorators import csp_replace
from dash.fingerprint import check_fingerprint
from django.contrib import admin
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.templatetags.static import static
from django.views.decorators.http import require_GET
from django_plotly_dash.middleware import EmbeddedHolder

from boneage_portal.dashboards import agreement, bone_age, dash_app, drift, failures, studies, times, usage
from boneage_portal.dashboards.selection import DAYS, SelectionForm
from clinical.accounts.permissions import requires
from clinical.administration.site import administers
from clinical.charts.scripts import FOLDER, served

DASHBOARDS = {
    "studies": studies,
    "waiting-times": times,
    "failures": failures,
    "usage": usage,
    "bone-age": bone_age,
    "ai-and-doctors": agreement,
    "drift": drift,
}


def may_read(request):
    is_staff = admin.site.has_permission(request) and request.user.has_perm("studies.view_study")
    return administers(request) or is_staff


reader_required = requires(may_read, "The dashboards are for hospitals' administrators and the platform's staff.")


def _named(name):
    if name not in DASHBOARDS:
        raise Http404("There is no such dashboard.")
    return DASHBOARDS[name]


@reader_required
@require_GET
def index(request):
    return redirect("dashboards:board", next(iter(DASHBOARDS)))


@reader_required
@require_GET
@csp_replace({"style-src": [SELF, UNSAFE_INLINE]})  # Plotly writes style elements; scripts come from files alone
def board(request, name):
    dashboard = _named(name)
    form = SelectionForm(request, getattr(dashboard, "DAYS", DAYS))
    shown = form.selection and dashboard.board(form.selection)
    parts = EmbeddedHolder()
    if shown:
        app = dash_app.instance(name)
        app.set_embedded(parts)
        app.locate_endpoint_function()()
    context = admin.site.each_context(request) | {
        "title": dashboard.TITLE,
        "name": name,
        "form": form,
        "board": shown,
        "figures": {chart: figure.to_plotly_json() for chart, figure in shown.charts.items()} if shown else {},
        "config": parts.config,
        "scripts": parts.scripts,
        "doors": doors(),
    }
    return render(request, "dashboards/board.html", context, status=200 if form.is_valid() else 422)


def doors():
    """(name, title, what it says) of every dashboard."""
    return [(name, dashboard.TITLE, dashboard.__doc__) for name, dashboard in DASHBOARDS.items()]


@reader_required
@require_GET
def layout(request, name):
    app = dash_app.instance(name)
    app.layout = dash_app.layout(_named(name).CHARTS)
    content, content_type = app.augment_initial_layout(app.locate_endpoint_function("dash-layout")())
    return HttpResponse(content, content_type=content_type)


@reader_required
@require_GET
def dependencies(request, name):
    _named(name)
    app = dash_app.instance(name)
    with app.app_context():
        answer = app.locate_endpoint_function("dash-dependencies")()
    return HttpResponse(answer.data, content_type=answer.mimetype)


@reader_required
@require_GET
def script(request, name, path):
    """Lead Dash, which asks below its own URL, to the static file."""
    _named(name)
    file = FOLDER + check_fingerprint(path)[0]
    if file not in served():
        raise Http404("The dashboards have no such script.")
    return redirect(static(file))
