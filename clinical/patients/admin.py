from django.contrib import admin

from clinical.accounts.admin import ReadOnlyAdmin
from clinical.patients.models import FamilyInvitation, Guardianship, Measurement, Patient


class GuardianshipInline(admin.TabularInline):
    model = Guardianship
    extra = 0
    can_delete = False
    fields = readonly_fields = ["user", "relation", "created_at"]


class MeasurementInline(admin.TabularInline):
    model = Measurement
    extra = 0
    can_delete = False
    fields = readonly_fields = ["measured_on", "height_cm", "weight_kg", "source", "entered_by", "entered_at"]


@admin.register(Patient)
class PatientAdmin(ReadOnlyAdmin):
    list_display = ["mrn", "full_name", "sex", "date_of_birth", "hospital", "archived_at"]
    list_filter = ["sex", "hospital"]
    list_select_related = ["hospital"]
    search_fields = ["mrn", "family_name", "given_name"]
    inlines = [GuardianshipInline, MeasurementInline]


@admin.register(FamilyInvitation)
class FamilyInvitationAdmin(ReadOnlyAdmin):
    list_display = ["email", "hospital", "relation", "created_at", "expires_at", "accepted_at"]
    list_filter = ["relation", "hospital"]
    search_fields = ["email"]
    exclude = ["token"]
