"""What a script asks a study for: its state and its bone age, waited for instead of asked again and again."""

import re
import time
from threading import BoundedSemaphore

from django.db import connection
from django.http import Http404

from clinical.studies.models import Study
from clinical.studies.queries import BONE_AGE
from inference.models import PENDING

LONGEST_WAIT = 10  # seconds
LOOK_EVERY = 0.004  # seconds
# Who waits holds a thread of the web process: two at most, so that pages always find one free.
_seats = BoundedSemaphore(2)


def preferred_wait(request):
    """The whole seconds that a client asks to wait for an outcome (RFC 7240, `Prefer: wait=10`), else 0."""
    asked = re.search(r"(?:^|[,;\s])wait=(\d{1,4})\b", request.headers.get("Prefer", ""))
    return min(int(asked[1]), LONGEST_WAIT) if asked else 0


def outcome(pk, seconds=0):
    """State, the bone age that counts and reason of the study, as soon as it has an outcome or `seconds` have passed.

    Answers at once where too many wait already. Raises Http404 without such a study.
    """
    # Compiled once: building the query costs many times what the database needs for it, and on one machine that time
    # is taken from the worker who is waited for.
    compiled = Study.objects.filter(pk=pk).values_list("state", BONE_AGE, "analysis__reason").query.sql_with_params()
    found = _look(*compiled)
    if found["state"] in PENDING and seconds and _seats.acquire(blocking=False):
        deadline = time.monotonic() + seconds
        try:
            while found["state"] in PENDING and time.monotonic() < deadline:
                time.sleep(LOOK_EVERY)
                found = _look(*compiled)
        finally:
            _seats.release()
    return found


def _look(sql, parameters):
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        row = cursor.fetchone()
    if row is None:
        raise Http404("There is no such study.")
    return dict(zip(("state", "bone_age_months", "reason"), row, strict=True))
