"""The worklist as CSV: exactly what is filtered, in its order, for spreadsheets and for research."""

from django.utils.timezone import localtime
from django.views.decorators.http import require_GET

from clinical.accounts.permissions import clinician_required
from clinical.audit.record import Verb, record, record_each
from clinical.csv_file import csv_file, plain
from clinical.listing import arranged
from clinical.studies.models import Study
from clinical.studies.queries import NEEDS_ME, StudyFilter, sorts_for

COLUMNS = [
    "MRN",
    "Name",
    "Sex",
    "Date of birth",
    "Study date",
    "Chronological age (months)",
    "Gestational age at birth (weeks+days)",
    "Corrected age (months)",
    "AI bone age (months)",
    "AI 90 % interval, low (months)",
    "AI 90 % interval, high (months)",
    "Doctor's bone age (months)",
    "Doctor's method",
    "SDS",
    "Reference table",
    "Determination",
    "State",
    "Urgent",
    "Model",
    "Signed by",
    "Signed at",
]


@clinician_required
@require_GET
def export(request):
    filterset = StudyFilter(request.GET, Study.objects.all())
    sort = request.GET.get("sort", NEEDS_ME)
    keys, _ = arranged(filterset, sorts_for(request.membership.role), sort, NEEDS_ME)
    keys = list(keys)
    record(Verb.EXPORT, request.hospital, request=request, detail=f"{len(keys)} studies as CSV")

    def rows(chunk):
        studies = _with_columns(Study.objects.all()).in_bulk(chunk)
        record_each(Verb.EXPORT, studies.values(), request=request, detail="studies as CSV")
        # An erasure may have taken a study since the keys were listed.
        return [_row(studies[key]) for key in chunk if key in studies]

    return csv_file("studies", request.hospital, COLUMNS, keys, rows)


def _with_columns(studies):
    """The fields that the columns are made of and no others: a long list would spend its time on the rest."""
    studies = studies.select_related("hospital", "patient", "analysis__model_version", "review")
    return studies.prefetch_related("reports__signed_by").only(
        *("state", "urgent", "sex", "acquired_on", "hospital__bone_age_reference"),
        *(f"patient__{name}" for name in ("mrn", "family_name", "given_name", "date_of_birth", "gestational_age")),
        *(f"analysis__{name}" for name in ("bone_age_months", "low_months", "high_months")),
        *("analysis__model_version__name", "analysis__model_version__version"),
        *("review__bone_age_months", "review__method"),
    )


def _row(study):
    patient, analysis, review, assessment = study.patient, study.analysis, study.review, study.assessment
    report = next((each for each in study.reports.all() if each.superseded_at is None), None)
    return [
        plain(patient.mrn),
        plain(patient.full_name),
        study.sex,
        patient.date_of_birth.isoformat(),
        study.acquired_on.isoformat(),
        _months(study.chronological_age_months),
        plain(patient.gestational_age),
        _months(study.corrected_age_months),
        _months(analysis.bone_age_months),
        _months(analysis.low_months),
        _months(analysis.high_months),
        _months(review and review.bone_age_months),
        review.get_method_display() if review else "",
        "" if assessment is None or assessment.sds is None else f"{assessment.sds:.2f}",
        assessment.reference.name if assessment else "",
        assessment.determination if assessment else "",
        study.state,
        "yes" if study.urgent else "no",
        plain(str(analysis.model_version or "")),
        plain(report.signed_by.name) if report else "",
        localtime(report.signed_at).isoformat(timespec="seconds") if report else "",
    ]


def _months(value):
    return "" if value is None else f"{value:.1f}"
