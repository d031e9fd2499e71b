from django.contrib import admin
from django.utils.html import format_html

from clinical.administration.filters import of_days
from clinical.administration.rows import EMPTY, ReadOnlyAdmin, in_months
from inference.models import Analysis


class RunAdmin(ReadOnlyAdmin):
    """A reading by a model, in words and with units."""

    of_patients = True
    fieldsets = [
        (None, {"fields": ["id", "hospital", "state", "reason", "reason_code", "sex"]}),
        ("Result", {"fields": ["bone_age", "interval", "model_version", "time_in_model"]}),
        (
            "Work",
            {"fields": ["attempt", "worker", "queued_at", "delivered_at", "started_at", "lease_until", "finished_at"]},
        ),
    ]

    @admin.display(description="reading", ordering="id")
    def short_id(self, row):
        return str(row.pk)[:8]

    @admin.display(description="state", ordering="state")
    def badge(self, row):
        return format_html('<span class="badge plain {}">{}</span>', row.state, row.get_state_display())

    @admin.display(description="bone age", ordering="bone_age_months")
    def bone_age(self, row):
        return in_months(row.bone_age_months)

    @admin.display(description="90 % interval")
    def interval(self, row):
        return EMPTY if row.low_months is None else f"{row.low_months:.0f} to {row.high_months:.0f} months"

    @admin.display(description="time in the model")
    def time_in_model(self, row):
        return EMPTY if row.milliseconds is None else f"{row.milliseconds:.0f} ms"


@admin.register(Analysis)
class AnalysisAdmin(RunAdmin):
    hospital_administrators = frozenset({"view"})
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
    fieldsets = [*RunAdmin.fieldsets, ("History", {"fields": ["previous"]})]

    @admin.display(description="seconds")
    def seconds_taken(self, row):
        return EMPTY if row.seconds is None else f"{row.seconds:.1f}"
