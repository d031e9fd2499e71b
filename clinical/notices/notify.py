"""Telling people: in the portal at once, by mail as each has chosen."""

from django.db import transaction
from django.utils import timezone

from clinical.notices.models import Frequency, Kind, MailPreference, Notification


@transaction.atomic
def notify(users, kind, *, hospital, message, url):
    """Tell each of `users` that there is something at `url`. Whoever has that unread already is not told again."""
    from clinical.notices.tasks import mail_due

    users, kind, now = list(users), Kind(kind), timezone.now()
    chosen = dict(MailPreference.objects.filter(user__in=users, kind=kind).values_list("user_id", "frequency"))
    rows = [
        Notification(
            user=user,
            hospital=hospital,
            kind=kind,
            message=message,
            url=url,
            mail_due_at=Frequency(chosen.get(user.pk, kind.frequencies[0])).next_mail(now),
        )
        for user in users
    ]
    Notification.objects.bulk_create(rows, ignore_conflicts=True)
    for row in rows:
        if row.mail_due_at == now:
            # A broker that is down must not undo what is told: the sweep mails it later.
            kwargs = {"user_id": row.user_id}
            transaction.on_commit(lambda kwargs=kwargs: mail_due.apply_async(kwargs=kwargs), robust=True)


def take_back(kind, url, **told):
    """What is told at `url`, or at a part of it, is true no longer: forget what is unread, mailed or not.

    `told`: the user to whom or the hospital of which, where it is not all.
    """
    Notification.objects.unread().about(url).filter(kind=kind, **told).delete()
