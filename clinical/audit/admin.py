from django.contrib import admin
from django.utils import timezone
from django.utils.formats import date_format

from clinical.administration.filters import of_days
from clinical.administration.rows import ReadOnlyAdmin
from clinical.audit.models import AccessEvent
from clinical.audit.record import ROLES


@admin.register(AccessEvent)
class AccessEventAdmin(ReadOnlyAdmin):
    hospital_administrators = frozenset({"view"})
    list_display = [
        *("happened_at", "actor_name", "role", "verb", "object_type", "object_key", "hospital", "detail"),
        *("address", "sequence"),
    ]
    list_filter = ["verb", of_days("day", "at", "at"), "object_type", "hospital"]
    list_select_related = ["hospital"]
    search_fields = ["actor_name", "object_key", "patient_key", "=address"]
    search_help_text = "Who, the key of a row or a patient, or a whole network address."

    @admin.display(ordering="actor_role")
    def role(self, event):
        return ROLES.get(event.actor_role, event.actor_role)

    @admin.display(description="at", ordering="at")
    def happened_at(self, event):
        return date_format(timezone.localtime(event.at), "j M Y, H:i:s")
