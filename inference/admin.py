from django.contrib import admin
from django.utils.html import format_html

from clinical.administration.filters import of_days
from clinical.administration.rows import ReadOnlyAdmin
from inference.models import Analysis


@admin.register(Analysis)
class AnalysisAdmin(ReadOnlyAdmin):
    hospital_administrators = frozenset({"view"})
    of_patients = True
    list_display = [
        "short_id",
        "badge",
        "reason_code",
        "attempt",
        "queued_at",
        "seconds_taken",
        "model_version",
        "hospital",
    ]
    list_filter = [
        "state",
        of_days("day of the request", "queued", "queued_at"),
        "reason_code",
        "sex",
        ("model_version", admin.RelatedOnlyFieldListFilter),
        "hospital",
    ]
    list_select_related = ["hospital", "model_version"]
    search_fields = ["id"]
    search_help_text = "Key of the analysis."
    fieldsets = [
        (None, {"fields": ["id", "hospital", "state", "reason", "reason_code", "sex", "previous"]}),
        ("Result", {"fields": ["bone_age_months", "low_months", "high_months", "model_version", "milliseconds"]}),
        (
            "Work",
            {"fields": ["attempt", "worker", "queued_at", "delivered_at", "started_at", "lease_until", "finished_at"]},
        ),
    ]

    @admin.display(description="analysis", ordering="id")
    def short_id(self, row):
        return str(row.pk)[:8]

    @admin.display(description="state", ordering="state")
    def badge(self, row):
        return format_html('<span class="badge plain {}">{}</span>', row.state, row.get_state_display())

    @admin.display(description="seconds")
    def seconds_taken(self, row):
        return None if row.seconds is None else f"{row.seconds:.1f}"
