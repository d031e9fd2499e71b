"""The mails: that there is something to read, and where to sign in. Never what."""

import logging
from collections import Counter
from datetime import timedelta

from django.conf import settings
from django.core.mail import send_mail
from django.db import transaction
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone

from clinical.accounts.models import User
from clinical.notices.models import Kind, Notification

logger = logging.getLogger(__name__)

LEASE = timedelta(minutes=10)
GIVE_UP = timedelta(days=3)


def due(now):
    """What is to be mailed now. After some days of a mail server's refusals it is left to the portal's own page."""
    waiting = Notification.objects.unread().filter(mail_due_at__lte=now, user__is_active=True)
    return waiting.filter(created_at__gt=now - GIVE_UP)


def send_due(user_id):
    """Put all that is due to one user into one mail. Safe to run twice, or in two workers at once.

    Whoever comes first claims the rows for the time of a lease; where the mail could not be sent, they are due
    again when it ends. Returns the number of notifications mailed.
    """
    now = timezone.now()
    with transaction.atomic():
        # In order, so that two workers wait for one another and never each for what the other holds.
        rows = list(due(now).filter(user_id=user_id).order_by("pk").select_for_update(of=("self",)))
        claimed = Notification.objects.filter(pk__in=[row.pk for row in rows])
        claimed.update(mail_due_at=now + LEASE)
    if not rows:
        return 0
    numbers = Counter(row.kind for row in rows)
    lines = [kind.in_a_mail(numbers[kind]) for kind in Kind if kind in numbers]
    subject = lines[0].removesuffix(".") if len(lines) == 1 else "News in the Bone Age Portal"
    context = {
        "lines": lines,
        "sign_in": settings.PORTAL_URL + reverse("notices:list"),
        "preferences": settings.PORTAL_URL + reverse("notices:preferences"),
    }
    body = render_to_string("notices/mail.txt", context)
    try:
        send_mail(subject, body, None, [User.objects.get(pk=user_id).email])
    except OSError as error:  # smtplib's own are among them; their text may hold the address
        logger.warning("Mail to user %s was not sent (%s); it is tried again", user_id, type(error).__name__)
        return 0
    claimed.update(mail_due_at=None)
    return len(rows)
