from django.contrib import admin

from clinical.administration.rows import ReadOnlyAdmin
from clinical.notices.models import Notification


@admin.register(Notification)
class NotificationAdmin(ReadOnlyAdmin):
    list_display = ["created_at", "user", "kind", "hospital", "read_at", "mail_due_at"]
    list_filter = ["kind", "hospital"]
    list_select_related = ["user", "hospital"]
    search_fields = ["user__email"]
    date_hierarchy = "created_at"
