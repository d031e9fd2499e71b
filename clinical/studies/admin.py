from django.contrib import admin
from django.db.models import F
from django.db.models.functions import Abs
from django.utils.html import format_html

from clinical.administration.filters import HalfOpenFilter, PersonFilter, RangeFilter, between, of_days
from clinical.administration.rows import EMPTY, ReadOnlyAdmin, in_months
from clinical.studies import version_admin, workflow  # noqa: F401  (the models' versions are administered here)
from clinical.studies.expressions import (
    AGREED_MONTHS,
    AI_MONTHS,
    DOCTOR_MONTHS,
    READ_WITH_AI,
    SECONDS_TO_RESULT,
    completed_years,
)
from clinical.studies.models import Study
from clinical.studies.queries import BONE_AGE, DETERMINATIONS
from clinical.studies.templatetags.ages import sds


class AgeFilter(RangeFilter):
    title = "age (completed years)"
    parameter = "age"

    def within(self, queryset, low, high):
        return between(queryset, completed_years(), low, high)


class BoneAgeFilter(HalfOpenFilter):
    title = "bone age (years)"
    parameter = "bone_age"

    def within(self, queryset, low, high):
        months = [None if years is None else 12 * years for years in (low, high)]
        return between(queryset, BONE_AGE, *months, below=True)


class SdsFilter(HalfOpenFilter):
    title = "SDS"
    parameter = "sds"

    def within(self, queryset, low, high):
        return between(queryset, F("sds"), low, high, below=True)


class MeanFilter(HalfOpenFilter):
    title = "mean of AI and doctor (years)"
    parameter = "mean"

    def within(self, queryset, low, high):
        return between(queryset.filter(READ_WITH_AI), (AI_MONTHS + DOCTOR_MONTHS) / 24.0, low, high, below=True)


class ResultTimeFilter(HalfOpenFilter):
    title = "seconds to the result"
    parameter = "result"

    def within(self, queryset, low, high):
        analysed = queryset.filter(analysis__bone_age_months__isnull=False)
        return between(analysed, SECONDS_TO_RESULT, low, high, below=True)


class DifferenceFilter(HalfOpenFilter):
    title = "AI minus doctor (months)"
    parameter = "difference"

    def within(self, queryset, low, high):
        return between(queryset.filter(READ_WITH_AI), AI_MONTHS - DOCTOR_MONTHS, low, high, below=True)


class DeterminationFilter(admin.SimpleListFilter):
    title = parameter_name = "determination"

    def lookups(self, request, model_admin):
        return [(key, key.capitalize()) for key in DETERMINATIONS]

    def queryset(self, request, queryset):
        return queryset.filter(DETERMINATIONS[self.value()]) if self.value() in DETERMINATIONS else queryset


class ReadingFilter(admin.SimpleListFilter):
    title, parameter_name = "what the doctor made of the AI's value", "reading"

    def lookups(self, request, model_admin):
        return [("agreed", "Agreed"), ("overruled", "Overruled"), ("read", "Either"), ("unread", "Not read")]

    def queryset(self, request, queryset):
        if self.value() == "unread":
            return queryset.filter(review=None)
        if self.value() not in ("agreed", "overruled", "read"):
            return queryset
        read = queryset.filter(READ_WITH_AI).alias(apart=Abs(AI_MONTHS - DOCTOR_MONTHS))
        if self.value() == "read":
            return read
        return read.filter(**{"apart__lt" if self.value() == "agreed" else "apart__gte": AGREED_MONTHS})


@admin.register(Study)
class StudyAdmin(ReadOnlyAdmin):
    hospital_administrators = frozenset({"view"})
    of_patients = True
    list_display = ["short_id", "badge", "mrn", "acquired_on", "bone_age", "submitted_at", "submitted_by", "hospital"]
    list_filter = [
        "state",
        "urgent",
        of_days("day of the upload", "submitted", "submitted_at"),
        DeterminationFilter,
        SdsFilter,
        "sex",
        AgeFilter,
        BoneAgeFilter,
        ReadingFilter,
        DifferenceFilter,
        MeanFilter,
        ResultTimeFilter,
        ("review__doctor", PersonFilter),
        ("submitted_by", PersonFilter),
        "hospital",
    ]
    list_select_related = ["hospital", "submitted_by", "patient", "analysis", "review"]
    search_fields = ["id", "patient__mrn"]
    search_help_text = "MRN, or key of the study."
    fieldsets = [
        (None, {"fields": ["id", "hospital", "patient", "mrn", "state", "urgent", "sex", "acquired_on", "indication"]}),
        ("Reading", {"fields": ["bone_age", "score", "analysis", "doctor", "radiograph"]}),
        ("Upload", {"fields": ["submitted_at", "submitted_by"]}),
    ]
    actions = ["retry", "reanalyse", "cancel"]

    @admin.display(description="study", ordering="id")
    def short_id(self, row):
        return str(row.pk)[:8]

    @admin.display(description="state", ordering="state")
    def badge(self, row):
        return format_html('<span class="badge plain {}">{}</span>', row.state, row.get_state_display())

    @admin.display(description="MRN", ordering="patient__mrn")
    def mrn(self, row):
        return row.patient.mrn

    @admin.display(description="bone age", ordering=BONE_AGE)
    def bone_age(self, row):
        return in_months(row.bone_age_months)

    @admin.display(description="SDS", ordering="sds")
    def score(self, row):
        return EMPTY if row.sds is None else sds(row.sds)

    @admin.display(description="read by")
    def doctor(self, row):
        return row.review.doctor.name if row.review else EMPTY

    @admin.action(description="Analyse again (failed and rejected ones)", permissions=["operate"])
    def retry(self, request, studies):
        self._each(request, studies, workflow.retry)

    @admin.action(
        description="Read by the active version of the model, too (analysed and reviewed ones)", permissions=["operate"]
    )
    def reanalyse(self, request, studies):
        self._each(request, studies, workflow.reanalyse)

    @admin.action(description="Cancel (queued ones)", permissions=["operate"])
    def cancel(self, request, studies):
        self._each(request, studies, workflow.cancel)

    def _each(self, request, studies, verb):
        """Use a verb of the workflow on every chosen study, and say how many it fitted."""
        studies = list(studies.select_related("analysis", "hospital"))  # afterwards a filter may find them no more
        done = 0
        for study in studies:
            try:
                verb(study, request.user)
                done += 1
            except workflow.WrongState:
                continue
        self.message_user(request, f"Done for {done} of {len(studies)} studies.")
