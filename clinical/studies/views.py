import hashlib
import json
import time

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from clinical.accounts.permissions import CLINICAL_ROLES, clinician_required, confirmed, doctor_required
from clinical.audit.downloads import deliver
from clinical.audit.record import Verb, record
from clinical.growth.ages import difference_shown
from clinical.listing import listing
from clinical.studies import intake, occlusion, presence, workflow
from clinical.studies.display import display_name
from clinical.studies.doubts import FAR_OFF, is_far_off
from clinical.studies.forms import CorrectionForm, ReasonForm, ReviewForm, SignForm
from clinical.studies.intake import StorageFull
from clinical.studies.models import State, Study
from clinical.studies.outcome import outcome, preferred_wait
from clinical.studies.queries import (
    NEEDS_ME,
    StudyFilter,
    counts_by_state,
    filed_elsewhere,
    next_in_turn,
    other_analyses,
    sorts_for,
    with_row_facts,
)
from inference.models import PENDING

LOOK_SECONDS = 600  # after this a worklist that refreshes itself is another look at the patients


@clinician_required
@require_GET
def worklist(request):
    filterset = StudyFilter(request.GET, with_row_facts(Study.objects.all()))
    counts = counts_by_state(filterset)
    state = filterset.form.cleaned_data.get("state")
    found = counts[state] if state else sum(counts.values())
    context = listing(request, filterset, sorts_for(request.membership.role), NEEDS_ME, found)
    context["counts"], context["total"] = counts, sum(counts.values())
    context["live"] = any(counts[pending] for pending in PENDING)
    presence.tell(context["page_obj"], presence.colleagues(request.membership))
    if not _seen_lately(request):
        record(Verb.VIEW, request.hospital, request=request, detail="worklist")
    if not request.htmx:
        request.user.notifications.filter(hospital=request.hospital).about(f"{request.path}?").mark_read()
    template = "studies/_worklist_table.html" if request.htmx else "studies/worklist.html"
    return render(request, template, context)


def _seen_lately(request):
    """Whether this is a page that asks every few seconds for what its session was shown, and was recorded, already."""
    now, shown = time.time(), request.session.get("worklists", {})
    key = hashlib.sha256(request.get_full_path().encode()).hexdigest()  # a search may hold a name
    if request.htmx and now - shown.get(key, 0) < LOOK_SECONDS:
        return True
    request.session["worklists"] = dict([*shown.items()][-9:]) | {key: now}  # of the last tabs
    return False


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
    request.user.notifications.about(request.path).mark_read()
    return _page(request, study)


def _page(request, study, http_status=200, **forms):
    """The study page; `forms` are those sent with mistakes, shown again as they were filled in."""
    record(Verb.VIEW, study, request=request)
    context = _status(request, study)
    estimate = study.analysis.bone_age_months
    if estimate is not None:
        context["estimate"] = study.assess(estimate)
        if study.review is None and is_far_off(context["estimate"]):
            context["estimate_doubt"] = FAR_OFF  # the technician may know, too
        context["estimate_difference"] = difference_shown(estimate, study.reference_age_months)
    if "review" in context["actions"]:
        context["review_form"] = ReviewForm(study=study)
    if "sign" in context["actions"]:
        context["sign_form"] = SignForm(initial={"seen": study.review_id})
    context.update(forms)
    taken = presence.colleagues(request.membership)
    presence.tell([study], taken)
    context["next"] = next_in_turn(study, request.membership.role, taken)
    context["reviews"] = study.reviews.select_related("doctor")
    others = with_row_facts(study.patient.studies.exclude(pk=study.pk)).order_by("-acquired_on", "-pk")[:20]
    context["others"] = others
    context["beside"] = _beside(study, others, request.GET.get("beside"))
    context |= occlusion.context(study, request.membership, context["beside"])
    analyses = other_analyses(study)
    context["attempts"] = [each for each in analyses if each.bone_age_months is None]
    context["readings"] = [each for each in analyses if each.bone_age_months is not None]
    if study.state == State.CANCELLED:
        context["filed_as"] = filed_elsewhere(study).first()
    return render(request, "studies/detail.html", context, status=http_status)


def _beside(study, others, asked):
    """The study whose film stands beside that of `study`: the one `asked` for by its key, else the last before it.

    Anything else that is asked for, "none" for one, is no film.
    """
    if asked is not None:
        return next((other for other in others if str(other.pk) == asked), None)
    return next(
        (other for other in others if other.bone_age_months is not None and other.acquired_on <= study.acquired_on),
        None,
    )


@clinician_required
@require_GET
def status(request, pk):
    """The moving part of the study page. Tells htmx to load the page anew once there is an outcome.

    A script that asks for JSON gets the state, the bone age and the reason, and may wait for them.
    """
    if request.get_preferred_type(["text/html", "application/json"]) == "application/json":
        told = outcome(pk, preferred_wait(request))
        if told["bone_age_months"] is not None:
            record(Verb.VIEW, Study.objects.get(pk=pk), request=request, detail="outcome")
        return JsonResponse(told)
    study = _study(request, pk)
    response = render(request, "studies/_status.html", _status(request, study))
    if not study.is_pending:
        response["HX-Refresh"] = "true"
    return response


@clinician_required
@require_POST
def retry(request, pk):
    return _act(request, _study(request, pk), workflow.retry, "The radiograph is read once more.")


@clinician_required
@require_POST
def urgency(request, pk):
    urgent = bool(request.POST.get("urgent"))
    done = "The study is urgent: it is read before the others." if urgent else "The study is read in its turn."
    return _act(request, _study(request, pk), workflow.set_urgency, done, urgent)


@clinician_required
@require_http_methods(["GET", "POST"])
def correct(request, pk):
    """Another study date, another indication: before the signature, and with what the file says looked at anew."""
    study = _study(request, pk)
    if "correct" not in workflow.permitted(study, request.membership):
        messages.warning(request, "This study cannot be corrected any more. A signed one is amended first.")
        return redirect("studies:detail", pk=pk)
    form, status = CorrectionForm(request.POST if request.method == "POST" else None, study=study), 200
    if form.is_valid():
        try:
            workflow.correct(
                study,
                request.user,
                **form.cleaned_data,
                notices=intake.notices_of(study, form.cleaned_data["acquired_on"]),
            )
        except workflow.WrongState as error:
            study, status = _study(request, pk), 409
            form = CorrectionForm(request.POST.dict() | {"seen": json.dumps(_stands(study))}, study=study)
            form.add_error(None, f"{error} What you typed is still here: send it again if it is right.")
        else:
            messages.success(request, "The study is corrected.")
            return redirect("studies:detail", pk=pk)
    elif form.is_bound:
        status = 422
    record(Verb.VIEW, study, request=request, detail="correction")
    context = {"study": study, "patient": study.patient, "form": form}
    return render(request, "studies/correct.html", context, status=status)


def _stands(study):
    return CorrectionForm(study=study).initial["seen"]


@doctor_required
@require_http_methods(["GET", "POST"])
def reanalyse(request, pk):
    """Have the version of the model that serves now read the picture, too; a GET asks how far that is."""
    study = _study(request, pk)
    if request.method == "POST":
        return _act(request, study, workflow.reanalyse, "The radiograph is read once more.")
    return render(request, "studies/_reanalysis.html", {"study": study, "asks_again": True})


@doctor_required
@require_http_methods(["GET", "POST"])
def review(request, pk):
    study = _study(request, pk)
    if request.method == "GET":  # the address of a page that says why a reading was not kept, entered again
        return redirect("studies:detail", pk=pk)
    form = ReviewForm(request.POST, study=study)
    if not form.is_valid():
        return _page(request, study, 422, review_form=form)
    reading = form.cleaned_data
    try:
        workflow.review(
            study,
            request.user,
            seen=reading["seen"],
            method=reading["method"],
            bone_age_months=reading["bone_age_months"],
            impression=reading["impression"],
            comment=reading["comment"],
            confirmed=reading["confirmed"],
        )
    except workflow.Doubtful as doubt:
        return _page(request, _study(request, pk), 409, review_form=form, doubts=doubt.reasons)
    except workflow.WrongState as error:
        study = _study(request, pk)
        stands = {"seen": study.review_id, "analysis": study.analysis_id}  # sent again, it is meant
        form = ReviewForm(request.POST.dict() | stands, study=study)
        form.add_error(None, f"{error} What you typed is still here.")
        return _page(request, study, 409, review_form=form)
    messages.success(request, "Your reading is kept. Sign it to make the report.")
    return redirect("studies:detail", pk=study.pk)


@doctor_required
@require_http_methods(["GET", "POST"])
@confirmed
def sign(request, pk):
    study = _study(request, pk)
    if request.method == "GET":  # whoever had to confirm that it is they, twice
        return redirect("studies:detail", pk=pk)
    form = SignForm(request.POST)
    if not form.is_valid():
        return _page(request, study, 422, sign_form=form)
    return _act(request, study, workflow.sign, "The study is signed.", form.cleaned_data["seen"])


def _act(request, study, verb, done, *arguments):
    """Use a verb of the workflow, say what came of it, and go back to the study."""
    try:
        verb(study, request.user, *arguments)
        messages.success(request, done)
    except workflow.WrongState as error:
        messages.warning(request, str(error))
    return redirect("studies:detail", pk=study.pk)


def _asked_first(required, verb, title, message, label, done, gives=False, why=""):
    """A view that asks on a page of its own, and then uses `verb` of the workflow.

    What `gives` the family something says to whom; what takes something away looks like it. `why` says where the
    reason goes that is asked for, where one is.
    """

    @required
    @require_http_methods(["GET", "POST"])
    def view(request, pk):
        study = _study(request, pk)
        if request.membership.role not in workflow.TABLE[verb.__name__].get(study.state, CLINICAL_ROLES):
            raise PermissionDenied("Doctors alone do this with what has been read.")
        data = request.POST if request.method == "POST" else None
        form = ReasonForm(data, study=study, about=why) if why else None
        if request.method == "POST" and (form is None or form.is_valid()):
            return _act(request, study, verb, done, *([form.cleaned_data.get("reason", "")] if form else []))
        record(Verb.VIEW, study, request=request, detail=verb.__name__)
        context = {
            "title": title,
            "message": message,
            "verb": label,
            "back": reverse("studies:detail", args=[study.pk]),
            "study": study,
            "gives": gives,
            "form": form,
        }
        if gives:
            context["family"] = study.patient.guardianships.select_related("user")
        return render(request, "portal/confirm.html", context, status=200 if data is None else 422)

    return view


cancel = _asked_first(
    clinician_required,
    workflow.cancel,
    "Cancel this study?",
    "It is taken out of the queue. The radiograph stays, and can be submitted again.",
    "Cancel the study",
    "The study was cancelled.",
    why="It stays with the study.",
)
withdraw = _asked_first(
    clinician_required,
    workflow.withdraw,
    "Withdraw this study?",
    "It stays on record, but no list, chart or prediction of this child counts it any more. "
    "The radiograph can be submitted again, for this child or another.",
    "Withdraw the study",
    "The study was withdrawn; it counts for nothing any more.",
    why="It stays with the study.",
)
release = _asked_first(
    doctor_required,
    workflow.release,
    "Release this report?",
    "The family is told that it is ready and can read it at once.",
    "Release the report",
    "The report is released to the family.",
    gives=True,
)
amend = _asked_first(
    doctor_required,
    workflow.amend,
    "Amend this signed study?",
    "The report is marked superseded. It stays on record, but the family does not see it any more.",
    "Amend the study",
    "The study is open for another reading.",
    why="It stands on the next version of the report, which the family is given, too.",
)


@clinician_required
@require_GET
def image(request, pk):
    return deliver_picture(request, _study(request, pk))


def deliver_picture(request, row):
    """Answer with the radiograph of a study, or of another row that has one, as a browser shows it."""
    try:
        name = display_name(row.radiograph)
    except FileNotFoundError:
        raise Http404("The stored radiograph is gone.") from None
    except StorageFull as error:
        return HttpResponse(str(error), status=507, content_type="text/plain")
    return deliver(request, row, Verb.VIEW, name, content_type="image/png", filename="radiograph.png")


@clinician_required
@require_GET
def heat_map(request, pk):
    study = _study(request, pk)
    return deliver(
        request, study, Verb.VIEW, study.analysis.heat_map, content_type="image/png", filename="heat-map.png"
    )


@clinician_required
@require_GET
def original(request, pk):
    """The file as it was uploaded, to be saved, never to be opened on the portal's own page."""
    study = _study(request, pk)
    return deliver(
        request,
        study,
        Verb.DOWNLOAD,
        study.radiograph.name,
        content_type="application/octet-stream",
        filename=f"original.{study.radiograph.extension}",
        as_attachment=True,
    )
