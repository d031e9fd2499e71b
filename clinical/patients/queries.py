import django_filters
from django.db.models import Count, Max, OuterRef, Q, Subquery
from django.db.models.functions import Coalesce

from clinical.patients.models import Patient, Sex
from clinical.patients.search_text import folded
from clinical.studies.models import State, Study

SORTS = {
    "name": ("family_name", "given_name", "pk"),
    "mrn": ("mrn",),
    "born": ("date_of_birth", "pk"),
    "studies": ("study_count", "pk"),
    "last": ("last_study_on?", "pk"),
}


class PatientFilter(django_filters.FilterSet):
    q = django_filters.CharFilter(method="search", label="Name or MRN")
    sex = django_filters.ChoiceFilter(choices=Sex, empty_label="Any sex")
    archived = django_filters.BooleanFilter(method="filter_archived", label="Archived")

    class Meta:
        model = Patient
        fields = []

    def search(self, patients, name, value):
        return patients.filter(matching(value))

    def filter_archived(self, patients, name, value):
        return patients.filter(archived_at__isnull=not value)


def matching(text):
    """Every word must be found in the names or the MRN, however it is typed: see `search_text`.

    What is no word, an apostrophe alone, is found nowhere.
    """
    words = folded(text).replace(",", " ").split()[:8]
    condition = Q() if words else Q(pk__in=[])
    for word in words:
        condition &= Q(search_text__contains=word)
    return condition


def with_mrn(mrn):
    """The patient whose MRN that is, in whichever letters, or None; an anonymised record is nobody's."""
    if not mrn or "\0" in mrn:  # which PostgreSQL cannot even look for
        return None
    return Patient.objects.filter(mrn__iexact=mrn, anonymised_at=None).first()


def with_study_facts(patients):
    """Annotate `study_count` and `last_study_on`; as subqueries, so that a page pays for its own rows only.

    What was withdrawn or cancelled counts for nothing.
    """
    counting = Study.objects.exclude(state=State.CANCELLED)
    studies = counting.filter(patient=OuterRef("pk")).order_by().values("patient")
    return patients.annotate(
        study_count=Coalesce(Subquery(studies.values(count=Count("*"))), 0),
        last_study_on=Subquery(studies.values(day=Max("acquired_on"))),
    )


def removed_measurements(patient):
    """The last values of each measurement that was removed and not put back, newest removal first."""
    rows = patient.former_measurements.filter(removed=True).select_related("replaced_by")
    last = {}
    for former in rows.exclude(measurement_key__in=patient.measurements.values("pk")):
        last.setdefault(former.measurement_key, former)
    return list(last.values())
