"""What a sweep sends to the workers again: the database is the truth, and a message only a wake-up call."""

from datetime import timedelta

from django.conf import settings
from django.db.models import F, Q, Subquery
from django.utils import timezone


def due(making, silent_since=None):
    """Those of the rows `making`, which wait for a worker or are with one, that have lost their worker or message.

    `delivered_at` is when a message was last sent for a row, `started_at` when a worker last began with it: one that
    began before `silent_since`, by default longer ago than any task may take, and has not ended, is lost.

    A broker hands messages out in the order in which they were sent. So what has long been silent is forgotten if one
    that was sent later has come to a worker; else its message may only be far behind, and another would make the queue
    longer still. While the last that was sent is silent too, nothing is known of those before it: of these it alone is
    sent again. If the broker was emptied, it comes to a worker, and the next sweep sends the rest.
    """
    silent_since = silent_since or timezone.now() - timedelta(seconds=settings.CELERY_TASK_TIME_LIMIT)
    begun = Q(started_at__gte=F("delivered_at"))  # of one sent again after a start it is the new message that counts
    overtaken = Q(delivered_at__lt=_last_sent(making.model.objects.filter(begun)))
    last = Q(delivered_at=_last_sent(making.exclude(begun)))
    forgotten = ~begun & Q(delivered_at__lt=silent_since) & (overtaken | last)
    lost = begun & Q(started_at__lt=silent_since)
    return making.filter(Q(delivered_at=None) | lost | forgotten).order_by("delivered_at")


def _last_sent(rows):
    return Subquery(rows.order_by("-delivered_at").values("delivered_at")[:1])
