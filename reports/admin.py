from django.contrib import admin

from clinical.accounts.admin import ReadOnlyAdmin
from reports.models import Report


@admin.register(Report)
class ReportAdmin(ReadOnlyAdmin):
    list_display = ["number", "version", "hospital", "state", "signed_at", "signed_by", "released_at", "superseded_at"]
    list_filter = ["state", "hospital"]
    list_select_related = ["hospital", "signed_by"]
    search_fields = ["number", "code", "study__patient__mrn"]
    date_hierarchy = "signed_at"
