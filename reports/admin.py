from django.contrib import admin, messages
from django.db.models import F

from clinical.administration.filters import HalfOpenFilter, between, of_days
from clinical.administration.rows import ReadOnlyAdmin
from clinical.studies.expressions import Seconds
from reports import dispatch, workflow
from reports.models import Dispatch, Report, State


class WaitedFilter(HalfOpenFilter):
    title = "hours from upload to signature"
    parameter = "waited"

    def within(self, queryset, low, high):
        return between(queryset, Seconds(F("signed_at"), F("study__submitted_at")) / 3600.0, low, high, below=True)


@admin.register(Report)
class ReportAdmin(ReadOnlyAdmin):
    hospital_administrators = frozenset({"view"})
    of_patients = True
    list_display = ["number", "version", "state", "signed_at", "signed_by", "released_at", "superseded_at", "hospital"]
    list_filter = [
        "state",
        of_days("day of the signature", "signed", "signed_at"),
        of_days("day of the upload", "uploaded", "study__submitted_at"),
        WaitedFilter,
        "version",
        ("released_at", admin.EmptyFieldListFilter),
        "hospital",
    ]
    list_select_related = ["hospital", "signed_by"]
    search_fields = ["number", "code", "study__patient__mrn"]
    search_help_text = "Number, check code or MRN."
    fieldsets = [
        (None, {"fields": ["number", "version", "code", "study", "hospital"]}),
        ("Signature", {"fields": ["signed_by", "signed_at", "released_at", "superseded_at"]}),
        ("File", {"fields": ["state", "reason", "attempt", "delivered_at", "started_at", "sha256"]}),
    ]
    actions = ["retry", "send"]

    @admin.action(description="Make again (failed ones)", permissions=["operate"])
    def retry(self, request, queryset):
        done = 0
        for report in queryset:
            try:
                workflow.retry(report, request.user)
                done += 1
            except workflow.WrongState:
                continue
        self.message_user(request, f"{done} of {len(queryset)} reports are being made again.")

    @admin.action(description="Send into the archive (what was signed before it was entered)", permissions=["operate"])
    def send(self, request, queryset):
        in_force = {"state": State.READY, "superseded_at": None, "study__patient__anonymised_at": None}
        opened = sum(dispatch.send(report, request.user) for report in queryset.filter(**in_force))
        if opened:
            self.message_user(request, f"{opened} {'report is' if opened == 1 else 'reports are'} being sent.")
        else:
            nothing = "Nothing to send: each was on its way before, is not in force, or its hospital has no archive."
            self.message_user(request, nothing, messages.WARNING)


@admin.register(Dispatch)
class DispatchAdmin(ReadOnlyAdmin):
    """What went into which archive, and what has not arrived."""

    hospital_administrators = frozenset({"view"})
    of_patients = True
    list_display = ["report", "archive", "state", "attempt", "sent_at", "reason", "hospital"]
    list_filter = ["state", "archive", "hospital"]
    list_select_related = ["report", "archive", "hospital"]
    search_fields = ["report__number"]
    search_help_text = "Number of the report."
    date_hierarchy = "created_at"
    fields = ["hospital", "report", "archive", "state", "attempt", "created_at", "started_at", "sent_at", "reason"]
