from django.contrib import admin

from clinical.accounts.admin import ReadOnlyAdmin
from clinical.studies.models import Study


@admin.register(Study)
class StudyAdmin(ReadOnlyAdmin):
    list_display = ["id", "hospital", "state", "acquired_on", "submitted_at", "submitted_by"]
    list_filter = ["state", "hospital"]
    list_select_related = ["hospital", "submitted_by"]
    search_fields = ["id", "patient__mrn"]
    date_hierarchy = "submitted_at"
