from allauth.core import ratelimit
from django.contrib import messages
from django.http import Http404
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from clinical.accounts.permissions import clinician_required, user_required
from clinical.audit.downloads import deliver, deliver_made
from clinical.audit.record import Verb
from clinical.studies.intake import StorageFull
from clinical.studies.models import State as StudyState
from clinical.studies.models import Study
from reports import dispatch, verification, workflow
from reports.content import of_draft
from reports.dicom_downloads import deliver_encapsulated_pdf, deliver_structured_report
from reports.forms import VerifyForm
from reports.models import Dispatch, Report, State
from reports.pdf import Unprintable
from reports.pdf import render as render_pdf
from reports.queries import released_reports


@clinician_required
@require_GET
def of_study(request, pk):
    """The reports of a study, as its page shows them; asked for again while one is being made."""
    study = get_object_or_404(Study.objects.select_related("hospital", "patient", "analysis", "review"), pk=pk)
    return render(request, "reports/_reports.html", {"study": study})


@clinician_required
@require_GET
def draft(request, pk):
    """The report as it would be, DRAFT on every page, made while one waits and not kept."""
    related = "hospital", "patient", "radiograph", "analysis__model_version", "review__doctor"
    study = get_object_or_404(Study.objects.select_related(*related), pk=pk)
    if study.state not in (StudyState.ANALYSED, StudyState.REVIEWED) or study.bone_age_months is None:
        messages.warning(request, "There is no draft: it needs a bone age that nobody has signed yet.")
        return redirect("studies:detail", pk=study.pk)
    if study.corrections:
        messages.warning(
            request,
            f"There is no draft: since this reading {' and '.join(study.corrections)}. Read the radiograph again.",
        )
        return redirect("studies:detail", pk=study.pk)
    try:
        pdf = render_pdf(of_draft(study))
    except FileNotFoundError:
        messages.error(request, "The stored radiograph could not be found, so there is nothing to print.")
    except StorageFull as error:
        messages.error(request, str(error))
    except Unprintable:
        messages.error(request, "The draft could not be laid out. Tell the platform's staff.")
    else:
        return deliver_made(request, study, pdf, content_type="application/pdf", filename="draft.pdf")
    return redirect("studies:detail", pk=study.pk)


@clinician_required
@require_GET
def pdf(request, pk):
    return _deliver(request, _ready(pk))


@clinician_required
@require_GET
def structured_report(request, pk):
    return deliver_structured_report(request, _ready(pk))


@clinician_required
@require_GET
def encapsulated_pdf(request, pk):
    return deliver_encapsulated_pdf(request, _ready(pk))


def _ready(pk):
    return get_object_or_404(Report.objects.select_related("study"), pk=pk, state=State.READY)


@user_required
@require_GET
def family_pdf(request, pk):
    """The report, for those only who are the patient's family at this moment."""
    patients = list(request.user.guardianships.values_list("patient", flat=True))
    if not patients:
        raise Http404("Nobody's family.")  # and in no hospital's scope, so that nothing more can be asked
    return _deliver(request, get_object_or_404(released_reports(*patients), pk=pk), as_attachment=True)


def _deliver(request, report, as_attachment=False):
    kind = {"content_type": "application/pdf", "filename": report.filename, "as_attachment": as_attachment}
    return deliver(request, report, Verb.DOWNLOAD, report.pdf, **kind)


@clinician_required
@require_POST
def retry(request, pk):
    report = get_object_or_404(Report.objects.select_related("study"), pk=pk)
    try:
        workflow.retry(report, request.user)
        messages.success(request, "The report is made once more.")
    except workflow.WrongState as error:
        messages.warning(request, str(error))
    return redirect("studies:detail", pk=report.study_id)


@clinician_required
@require_POST
def send_again(request, pk):
    """To an archive that has not taken a report."""
    found = get_object_or_404(Dispatch.objects.select_related("report__study", "archive"), pk=pk)
    try:
        dispatch.send_again(found, request.user)
        messages.success(request, f"The report is sent to {found.archive} once more.")
    except workflow.WrongState as error:
        messages.warning(request, str(error))
    return redirect("studies:detail", pk=found.report.study_id)


@require_http_methods(["GET", "POST"])
def verify(request):
    """For whoever holds a report: is it genuine, superseded or unknown? Shows nothing of the patient."""
    if request.method == "GET":
        return render(request, "reports/verify.html", {"form": VerifyForm(initial={"code": request.GET.get("code")})})
    if not ratelimit.consume(request, action="verify_report"):
        return render(request, "429.html", status=429)
    form = VerifyForm(request.POST, request.FILES)
    if not form.is_valid():
        return render(request, "reports/verify.html", {"form": form}, status=422)
    verdict = verification.verify(form.cleaned_data["code"], form.cleaned_data["sha256"])
    context = {"form": VerifyForm(initial={"code": form.cleaned_data["code"]}), "verdict": verdict.value}
    return render(request, "reports/verify.html", context)
