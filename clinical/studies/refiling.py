"""A film that was filed for the wrong child is moved to the right one, whom the page shows first."""

from django.contrib import messages
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods

from clinical.accounts.permissions import clinician_required
from clinical.audit.record import Verb, record
from clinical.studies import intake, workflow
from clinical.studies.forms import RefilingForm
from clinical.studies.models import SIGNED, Study
from clinical.studies.queries import with_row_facts


@clinician_required
@require_http_methods(["GET", "POST"])
def refile(request, pk):
    study = get_object_or_404(with_row_facts(Study.objects.all()), pk=pk)
    if "refile" not in workflow.permitted(study, request.membership):
        messages.warning(request, _refusal(study))
        return redirect("studies:detail", pk=pk)
    form, found, status = RefilingForm(request.POST if request.method == "POST" else None, study=study), None, 200
    if form.is_valid():
        found = form.patient
        if form.cleaned_data["found"] == found.pk:
            try:
                moved = _refile(study, form, request.user)
            except (workflow.WrongState, FileNotFoundError) as error:
                form.add_error(None, str(error))
                status = 409
            else:
                messages.success(request, f"The film was moved to {found.full_name} and queued.")
                return redirect("studies:detail", pk=moved.pk)
        else:  # shown now, so that the next time is meant
            form.data = request.POST.dict() | {"found": found.pk}
        record(Verb.VIEW, found, request=request, detail="perhaps the patient of a film")
    elif form.is_bound:
        form.data = request.POST.dict() | {"found": ""}  # nobody is shown
        status = 422
    record(Verb.VIEW, study, request=request, detail="moving the film")
    context = {"study": study, "patient": study.patient, "form": form, "found": found}
    return render(request, "studies/refile.html", context, status=status)


def _refusal(study):
    if study.state in SIGNED:
        return "A signed study is amended first, then its film can be moved."
    if study.state in workflow.TABLE["refile"]:
        return "Doctors alone move a film that has been read."
    return "This film cannot be moved now."


def _refile(study, form, actor):
    """Raises WrongState, or FileNotFoundError with a sentence."""
    said = form.cleaned_data
    try:
        picture = intake.reread(study.radiograph)
    except FileNotFoundError:
        raise FileNotFoundError("The stored picture could not be found. Upload the file again.") from None
    return workflow.refile(
        study,
        actor,
        patient=form.patient,
        acquired_on=said["acquired_on"],
        indication=said["indication"],
        notices=intake.mismatches(picture, form.patient, said["acquired_on"]),
        reason=said["reason"],
    )
