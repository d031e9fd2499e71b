from django.contrib import admin

from clinical.administration.rows import PortalAdmin, ReadOnlyAdmin
from clinical.dicom.models import Archive, Arrival, Sender


@admin.register(Sender)
class SenderAdmin(ReadOnlyAdmin):
    """Which modalities and archives send where; hospitals' administrators keep theirs under Members."""

    list_display = ["name", "ae_title", "address", "membership", "hospital", "last_called_at", "last_film_at"]
    list_filter = [("last_film_at", admin.EmptyFieldListFilter), "hospital"]
    list_select_related = ["hospital", "membership__user", "membership__hospital"]
    search_fields = ["name", "ae_title", "address"]
    search_help_text = "Name, AE title or IP address."
    fields = ["hospital", "name", "ae_title", "address", "membership", "last_called_at", "last_film_at", "created_at"]


@admin.register(Archive)
class ArchiveAdmin(PortalAdmin):
    """Where the signed reports of a hospital go by themselves."""

    list_display = ["name", "ae_title", "host", "port", "encrypted", "hospital", "created_at"]
    list_filter = ["encrypted", "hospital"]
    list_select_related = ["hospital"]
    search_fields = ["name", "ae_title", "host"]
    search_help_text = "Name, AE title or host."
    fields = ["hospital", "name", "ae_title", "host", "port", "encrypted"]

    def get_readonly_fields(self, request, obj=None):
        """One hospital's reports are on their way there: it never becomes another's."""
        return [*super().get_readonly_fields(request, obj), *(["hospital"] if obj else [])]


@admin.register(Arrival)
class ArrivalAdmin(ReadOnlyAdmin):
    """What waits for its patient, and for how long; whose a film is decides the hospital."""

    of_patients = True
    list_display = ["received_at", "mrn", "sender", "hospital", "reason", "discarded_at"]
    list_filter = [("discarded_at", admin.EmptyFieldListFilter), "hospital"]
    list_select_related = ["hospital", "sender"]
    search_fields = ["id", "mrn"]
    search_help_text = "Patient ID in the file, or key of the film."
    date_hierarchy = "received_at"
    fields = ["id", "hospital", "sender", "mrn", "acquired_on", "reason", "received_at", "discarded_at", "discarded_by"]
