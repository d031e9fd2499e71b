from django.contrib import admin

from clinical.administration.filters import of_days
from clinical.administration.rows import ReadOnlyAdmin
from clinical.notices.models import Notification


@admin.register(Notification)
class NotificationAdmin(ReadOnlyAdmin):
    list_display = ["created_at", "user", "kind", "hospital", "read_at", "mail_due_at"]
    list_filter = ["kind", of_days("day", "created", "created_at"), "hospital"]
    list_select_related = ["user", "hospital"]
    search_fields = ["user__email"]
