import django_filters
from django.db.models import Count

from clinical.patients.models import Sex
from clinical.patients.queries import matching
from clinical.studies.models import State, Study

SORTS = {
    "submitted": ("submitted_at", "pk"),
    "patient": ("patient__family_name", "patient__given_name", "pk"),
    "mrn": ("patient__mrn", "pk"),
    "date": ("acquired_on", "pk"),
    "state": ("state", "pk"),
    "bone_age": ("analysis__bone_age_months?", "pk"),
}


class StudyFilter(django_filters.FilterSet):
    q = django_filters.CharFilter(method="search", label="Name or MRN")
    state = django_filters.ChoiceFilter(choices=State, empty_label="Any state")
    sex = django_filters.ChoiceFilter(choices=Sex, empty_label="Any sex")
    acquired_after = django_filters.DateFilter(field_name="acquired_on", lookup_expr="gte", label="From")
    acquired_before = django_filters.DateFilter(field_name="acquired_on", lookup_expr="lte", label="To")

    class Meta:
        model = Study
        fields = []

    def search(self, studies, name, value):
        return studies.filter(matching(value, prefix="patient__"))


def with_row_facts(studies):
    """What a row of a list shows, in one query."""
    return studies.select_related(
        "hospital", "patient", "analysis__model_version", "radiograph", "submitted_by", "review__doctor"
    )


def counts_by_state():
    """Number of studies of the hospital in each state, zeros included."""
    found = dict(Study.objects.order_by().values_list("state").annotate(number=Count("*")))
    return {state: found.get(state, 0) for state in State.values}


def attempts(analysis):
    """The analyses before `analysis`, newest first."""
    earlier = []
    while analysis := analysis.previous:
        earlier.append(analysis)
    return earlier
