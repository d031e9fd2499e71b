from django.utils import timezone
from django_scopes import scope

from clinical.accounts.scope import every_hospital, tenant_task
from clinical.notices import mail


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
