from django.contrib import admin

from clinical.accounts.admin import ReadOnlyAdmin
from inference.models import Analysis, ModelVersion


@admin.register(ModelVersion)
class ModelVersionAdmin(ReadOnlyAdmin):
    list_display = ["name", "version", "registered_at"]


@admin.register(Analysis)
class AnalysisAdmin(ReadOnlyAdmin):
    list_display = ["id", "hospital", "state", "attempt", "worker", "queued_at", "finished_at", "model_version"]
    list_filter = ["state", "reason_code", "model_version", "hospital"]
    list_select_related = ["hospital", "model_version"]
    search_fields = ["id"]
    date_hierarchy = "queued_at"
