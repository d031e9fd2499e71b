"""What a script asks a study for: its state and its bone age, waited for instead of asked again and again."""

import re
import time
from threading import BoundedSemaphore

from django.shortcuts import get_object_or_404

from clinical.studies.models import Study
from inference.models import PENDING

LONGEST_WAIT = 10  # seconds
LOOK_EVERY = 0.01  # seconds; a look is one query by the primary key
# Who waits holds a thread of the web process: two at most, so that pages always find one free.
_seats = BoundedSemaphore(2)


def preferred_wait(request):
    """The whole seconds that a client asks to wait for an outcome (RFC 7240, `Prefer: wait=10`), else 0."""
    asked = re.search(r"(?:^|[,;\s])wait=(\d{1,4})\b", request.headers.get("Prefer", ""))
    return min(int(asked[1]), LONGEST_WAIT) if asked else 0


def outcome(pk, seconds=0):
    """State, bone age and reason of the study, as soon as it has an outcome or `seconds` have passed.

    Answers at once where too many wait already. Raises Http404 without such a study.
    """
    found = _look(pk)
    if found["state"] in PENDING and seconds and _seats.acquire(blocking=False):
        deadline = time.monotonic() + seconds
        try:
            while found["state"] in PENDING and time.monotonic() < deadline:
                time.sleep(LOOK_EVERY)
                found = _look(pk)
        finally:
            _seats.release()
    return found


def _look(pk):
    state, months, reason = get_object_or_404(
        Study.objects.values_list("state", "analysis__bone_age_months", "analysis__reason"), pk=pk
    )
    return {"state": state, "bone_age_months": months, "reason": reason}
