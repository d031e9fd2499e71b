from datetime import timedelta

from django.conf import settings
from django.utils import timezone
from django_scopes import scope

from clinical.accounts.scope import every_hospital, tenant_task
from clinical.notices import mail
from clinical.notices.models import Notification


@tenant_task
def mail_due(*, user_id):
    """Mail one user what is due; see `mail.send_due`."""
    with scope(user=lambda: user_id):
        mail.send_due(user_id)


@tenant_task
def mail_all_due():
    """Every minute: one task for each user to whom something is due, whatever became of earlier ones."""
    with every_hospital():
        users = list(mail.due(timezone.now()).order_by().values_list("user_id", flat=True).distinct())
    for user_id in users:
        mail_due.apply_async(kwargs={"user_id": user_id})


@tenant_task
def remove_old():
    """Once a day: forget what was told longer ago than NOTIFICATION_DAYS, read or not."""
    if not settings.NOTIFICATION_DAYS:
        return
    moment = timezone.now() - timedelta(days=settings.NOTIFICATION_DAYS)
    with every_hospital():
        Notification.objects.filter(created_at__lt=moment).delete()
