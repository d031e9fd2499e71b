"""In which hospital a form was opened: in another tab its reader may have gone over to another one since.

Forms that carry the key of no row include accounts/_opened_in.html, and so do those of a patient or a study into which
something is typed or chosen. The key of a row alone is not found there: nothing would say why.
"""

from django.core.exceptions import NON_FIELD_ERRORS, ValidationError
from django.shortcuts import render
from django_htmx.http import reswap

ELSEWHERE = "elsewhere"


def elsewhere(request):
    """The sentence for whoever sends a form that was opened in another hospital, else an empty one."""
    opened_in = request.POST.get("hospital") if request.method == "POST" else None
    if not opened_in or not request.hospital or opened_in == str(request.hospital.pk):
        return ""
    hospital = next((own.hospital for own in request.memberships if str(own.hospital_id) == opened_in), None)
    if hospital is None:
        return f"You work in {request.hospital} now. This was opened in another hospital: open it anew."
    return (
        f"You work in {request.hospital} now. This was opened in {hospital}: "
        "change back to it in another tab, then send this again."
    )


def is_of_another(request):
    """Whether a page asks for a part of itself that was, as its header says, opened in another hospital."""
    own = request.hospital and str(request.hospital.pk)
    return request.headers.get("Opened-In", own) != own


def check(request, form):
    """Let `form` be invalid where it was opened in another hospital, or may have been and does not say where."""
    sentence = elsewhere(request)
    if form.is_bound and len(request.memberships) > 1 and not request.POST.get("hospital"):
        sentence = f"You work in {request.hospital} now. This does not say where it was opened: open it anew."
    if sentence:
        form.errors.clear()  # they compare with rows of a hospital that is not meant
        form.add_error(None, ValidationError(sentence, code=ELSEWHERE))


def refusal(form):
    """The status of the answer to a form that is not valid."""
    return 409 if form.has_error(NON_FIELD_ERRORS, ELSEWHERE) else 422


def refused(request, sentence):
    """The answer to whoever does not find, or may not see, the form in the hospital where they work now."""
    if not request.htmx:
        return render(request, "409.html", {"message": sentence}, status=409)
    answer = render(request, "portal/error_fragment.html", {"message": sentence}, status=409)
    return reswap(answer, "beforeend")  # what was sent stays
