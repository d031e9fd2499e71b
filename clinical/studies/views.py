from django.contrib import messages
from django.http import Http404, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from clinical.accounts.permissions import clinician_required
from clinical.audit.downloads import deliver
from clinical.audit.record import Verb, record
from clinical.listing import listing
from clinical.studies import workflow
from clinical.studies.display import display_name
from clinical.studies.models import Study
from clinical.studies.queries import SORTS, StudyFilter, attempts, counts_by_state, with_row_facts


@clinician_required
@require_GET
def worklist(request):
    context = listing(request, StudyFilter, with_row_facts(Study.objects.all()), SORTS, "-submitted")
    context["counts"] = counts_by_state()
    context["live"] = any(study.is_pending for study in context["page_obj"])
    template = "studies/_worklist_table.html" if request.htmx else "studies/worklist.html"
    return render(request, template, context)


def _study(request, pk):
    return get_object_or_404(with_row_facts(Study.objects.all()), pk=pk)


def _status(request, study):
    return {
        "study": study,
        "patient": study.patient,
        "analysis": study.analysis,
        "actions": workflow.permitted(study, request.membership),
    }


@clinician_required
@require_GET
def detail(request, pk):
    study = _study(request, pk)
    record(Verb.VIEW, study, request=request)
    context = _status(request, study)
    context["earlier"] = with_row_facts(study.patient.studies.exclude(pk=study.pk)).order_by("-acquired_on", "-pk")[:20]
    context["attempts"] = attempts(study.analysis)
    return render(request, "studies/detail.html", context)


@clinician_required
@require_GET
def status(request, pk):
    """The moving part of the study page. Tells htmx to load the page anew once there is an outcome.

    A script that asks for JSON gets the state, the bone age and the reason.
    """
    study = _study(request, pk)
    if request.get_preferred_type(["text/html", "application/json"]) == "application/json":
        analysis = study.analysis
        return JsonResponse(
            {"state": study.state, "bone_age_months": analysis.bone_age_months, "reason": analysis.reason}
        )
    response = render(request, "studies/_status.html", _status(request, study))
    if not study.is_pending:
        response["HX-Refresh"] = "true"
    return response


@clinician_required
@require_POST
def retry(request, pk):
    study = _study(request, pk)
    try:
        workflow.retry(study, request.user)
    except workflow.WrongState as error:
        messages.warning(request, str(error))
    return redirect("studies:detail", pk=study.pk)


@clinician_required
@require_http_methods(["GET", "POST"])
def cancel(request, pk):
    study = _study(request, pk)
    if request.method == "GET":
        context = {
            "title": "Cancel this study?",
            "message": "It is taken out of the queue. The radiograph stays, and can be submitted again.",
            "verb": "Cancel the study",
            "back": reverse("studies:detail", args=[study.pk]),
        }
        return render(request, "portal/confirm.html", context)
    try:
        workflow.cancel(study, request.user)
        messages.success(request, "The study was cancelled.")
    except workflow.WrongState as error:
        messages.warning(request, str(error))
    return redirect("studies:detail", pk=study.pk)


@clinician_required
@require_GET
def image(request, pk):
    study = _study(request, pk)
    try:
        name = display_name(study.radiograph)
    except FileNotFoundError:
        raise Http404("The stored radiograph is gone.") from None
    return deliver(request, study, Verb.VIEW, name, content_type="image/png", filename="radiograph.png")


@clinician_required
@require_GET
def heat_map(request, pk):
    study = _study(request, pk)
    return deliver(
        request, study, Verb.VIEW, study.analysis.heat_map, content_type="image/png", filename="heat-map.png"
    )


EXTENSIONS = {"jpeg": "jpg", "dicom": "dcm"}


@clinician_required
@require_GET
def original(request, pk):
    """The file as it was uploaded, to be saved, never to be opened on the portal's own page."""
    study = _study(request, pk)
    extension = EXTENSIONS.get(study.radiograph.format, study.radiograph.format)
    return deliver(
        request,
        study,
        Verb.DOWNLOAD,
        study.radiograph.name,
        content_type="application/octet-stream",
        filename=f"original.{extension}",
        as_attachment=True,
    )
