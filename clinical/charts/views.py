"""The pages behind the growth charts. Every one is for clinicians, and for a patient of their hospital."""

from csp.constants import SELF, UNSAFE_INLINE
from csp.decorators import csp_replace
from dash.fingerprint import check_fingerprint
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.templatetags.static import static
from django.views.decorators.clickjacking import xframe_options_sameorigin
from django.views.decorators.http import require_GET
from django_plotly_dash.middleware import EmbeddedHolder

from clinical.accounts.permissions import clinician_required
from clinical.audit.record import Verb, record
from clinical.charts.dash_app import drawn, instance
from clinical.charts.scripts import FOLDER, served
from clinical.patients.growth_record import growth_record
from clinical.patients.models import Patient


def _patient(pk):
    return get_object_or_404(Patient.objects.select_related("hospital"), pk=pk)


@clinician_required
@require_GET
@xframe_options_sameorigin
# Plotly writes style elements; scripts come from files alone, here as everywhere.
@csp_replace({"frame-ancestors": [SELF], "style-src": [SELF, UNSAFE_INLINE]})
def page(request, pk):
    """The frame of the charts, to stand in the patient's page."""
    app, parts = instance(_patient(pk)), EmbeddedHolder()
    app.set_embedded(parts)
    app.locate_endpoint_function()()
    return render(request, "charts/page.html", {"config": parts.config, "scripts": parts.scripts})


@clinician_required
@require_GET
def layout(request, pk):
    patient = _patient(pk)
    app = instance(patient)
    app.layout = drawn(growth_record(patient))
    record(Verb.VIEW, patient, request=request, detail="growth charts")
    content, content_type = app.augment_initial_layout(app.locate_endpoint_function("dash-layout")())
    return HttpResponse(content, content_type=content_type)


@clinician_required
@require_GET
def dependencies(request, pk):
    app = instance(_patient(pk))
    with app.app_context():
        answer = app.locate_endpoint_function("dash-dependencies")()
    return HttpResponse(answer.data, content_type=answer.mimetype)


@clinician_required
@require_GET
def script(request, pk, path):
    """Lead Dash, which asks below its own URL, to the static file."""
    _patient(pk)
    name = FOLDER + check_fingerprint(path)[0]
    if name not in served():
        raise Http404("The charts have no such script.")
    return redirect(static(name))
