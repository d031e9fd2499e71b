from django.contrib import admin

from clinical.accounts.admin import InvitationLinkAdmin
from clinical.administration.filters import of_days
from clinical.administration.rows import ReadOnlyAdmin, ShownInline
from clinical.patients.models import FamilyInvitation, Guardianship, Measurement, Patient


class GuardianshipInline(ShownInline):
    model = Guardianship
    verbose_name_plural = "family"
    fields = readonly_fields = ["person", "relation", "created_at"]

    @admin.display(description="person")
    def person(self, row):
        return f"{row.user.name}, {row.user.email}"

    def get_queryset(self, request):
        return super().get_queryset(request).select_related("user")


class MeasurementInline(ShownInline):
    model = Measurement
    fields = readonly_fields = ["measured_on", "height_cm", "weight_kg", "source", "by", "entered_at"]

    @admin.display(description="entered by")
    def by(self, row):
        return row.entered_by.name

    def get_queryset(self, request):
        return super().get_queryset(request).select_related("entered_by")


@admin.register(Patient)
class PatientAdmin(ReadOnlyAdmin):
    hospital_administrators = frozenset({"view"})
    of_patients = True
    list_display = ["full_name", "mrn", "sex", "date_of_birth", "hospital", "created_at", "archived_at"]
    list_filter = [
        "sex",
        of_days("day of the record", "created", "created_at"),
        ("archived_at", admin.EmptyFieldListFilter),
        "hospital",
    ]
    list_select_related = ["hospital"]
    search_fields = ["mrn", "family_name", "given_name"]
    search_help_text = "Name or MRN."
    fieldsets = [
        (None, {"fields": ["mrn", "family_name", "given_name", "sex", "date_of_birth", "gestational_age", "hospital"]}),
        ("Parents", {"fields": ["mother_height_cm", "father_height_cm"]}),
        ("Record", {"fields": ["notes", "created_at", "archived_at"]}),
    ]
    inlines = [GuardianshipInline, MeasurementInline]

    # As on every page of a patient, the title names nobody: browsers remember titles.

    def change_view(self, request, object_id, form_url="", extra_context=None):
        return super().change_view(request, object_id, form_url, {"subtitle": None, **(extra_context or {})})

    def history_view(self, request, object_id, extra_context=None):
        return super().history_view(request, object_id, {"title": "Change history", **(extra_context or {})})


@admin.register(FamilyInvitation)
class FamilyInvitationAdmin(InvitationLinkAdmin):
    list_display = ["email", "relation", "hospital", "invited_by", "created_at", "expires_at", "accepted_at"]
    list_filter = ["relation", ("accepted_at", admin.EmptyFieldListFilter), "hospital"]
