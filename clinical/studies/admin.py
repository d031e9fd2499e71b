from django.contrib import admin, messages

from clinical.accounts.admin import ReadOnlyAdmin
from clinical.studies import workflow
from clinical.studies.models import Study


@admin.register(Study)
class StudyAdmin(ReadOnlyAdmin):
    list_display = ["id", "hospital", "state", "acquired_on", "submitted_at", "submitted_by"]
    list_filter = ["state", "hospital"]
    list_select_related = ["hospital", "submitted_by"]
    search_fields = ["id", "patient__mrn"]
    date_hierarchy = "submitted_at"
    actions = ["retry", "cancel"]

    @admin.action(description="Analyse again (failed and rejected ones)")
    def retry(self, request, studies):
        self._each(request, studies, workflow.retry)

    @admin.action(description="Cancel (queued ones)")
    def cancel(self, request, studies):
        self._each(request, studies, workflow.cancel)

    def _each(self, request, studies, verb):
        """Use a verb of the workflow on every chosen study, and say how many it fitted."""
        done = 0
        for study in studies.select_related("analysis", "hospital"):
            try:
                verb(study, request.user)
                done += 1
            except workflow.WrongState:
                continue
        self.message_user(request, f"Done for {done} of {len(studies)} studies.", messages.INFO)
