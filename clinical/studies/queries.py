"""Reads of studies: the worklist's filters and sorts, and what its rows, its counts and its export show."""

import django_filters
from django import forms
from django.db import connection
from django.db.models import Case, Count, Q, When
from django.db.models.expressions import RawSQL
from django.db.models.functions import Coalesce
from django.utils.functional import cached_property

from clinical.accounts.models import Role, User
from clinical.patients.models import Patient, Sex
from clinical.patients.queries import matching
from clinical.studies.expressions import digits
from clinical.studies.models import TROUBLE, URGENT, WAITS_URGENTLY, Review, State, Study
from inference.models import PENDING, Analysis, ModelVersion, VersionState

# What counts: the doctor's, else the AI's, and of what was withdrawn neither.
BONE_AGE = Case(When(~Q(state=State.CANCELLED), then=Coalesce("review__bone_age_months", "analysis__bone_age_months")))
SORTS = {
    "submitted": ("submitted_at", "pk"),
    "patient": ("patient__family_name", "patient__given_name", "pk"),
    "mrn": ("patient__mrn", "pk"),
    "date": ("acquired_on", "pk"),
    "bone_age": (BONE_AGE, "pk"),
    "sds": ("sds?", "pk"),
}
IN_ORDER_OF_NEED = [*TROUBLE, State.ANALYSED, State.REVIEWED, State.SIGNED, *PENDING, State.RELEASED, State.CANCELLED]
NEEDS_ME = "state"  # sorted by state, the list begins with what waits for one's own role


def sorts_for(role):
    """The sorts of the worklist for a doctor or a technician."""
    turn = "technicians_turn" if role == Role.TECHNICIAN else "doctors_turn"
    return {NEEDS_ME: (turn, "-submitted_at", "-pk"), **SORTS}


EDGE = 2 + 1e-9  # a bone age on the very edge of the normal band stays inside, however its SDS is rounded
HAS_BONE_AGE = (Q(review__isnull=False) | Q(analysis__bone_age_months__isnull=False)) & ~Q(state=State.CANCELLED)
DETERMINATIONS = {
    "delayed": Q(sds__lt=-EDGE),
    "normal": Q(sds__range=(-EDGE, EDGE)),
    "advanced": Q(sds__gt=EDGE),
    "indeterminate": Q(sds=None) & HAS_BONE_AGE,
}


def _doctors(request):
    return User.objects.filter(pk__in=Review.objects.order_by().values("doctor").distinct())


def _models(request):
    return ModelVersion.objects.exclude(state=VersionState.CANDIDATE)  # those have made no result


def _day(lookup, label):
    widget = forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d")
    return django_filters.DateFilter(field_name="acquired_on", lookup_expr=lookup, label=label, widget=widget)


class _Years(django_filters.NumberFilter):
    field_class = forms.IntegerField


FOLDED = ("urgency", "age_from", "age_to", "acquired_after", "acquired_before", "doctor", "model")


class StudyFilter(django_filters.FilterSet):
    q = django_filters.CharFilter(method="search", label="Name or MRN", max_length=200)
    state = django_filters.ChoiceFilter(choices=State, empty_label="Any")
    determination = django_filters.ChoiceFilter(
        choices=[(key, key.capitalize()) for key in DETERMINATIONS],
        method="filter_determination",
        label="Determination",
        empty_label="Any",
    )
    sex = django_filters.ChoiceFilter(choices=Sex, empty_label="Any")
    urgency = django_filters.ChoiceFilter(
        choices=[("urgent", "Urgent"), ("routine", "Not urgent")],
        method="filter_urgency",
        label="Urgency",
        empty_label="Any",
    )
    age_from = _Years(method="filter_age", label="Age from (years)", min_value=0, max_value=150)
    age_to = _Years(method="filter_age", label="Age to (years)", min_value=0, max_value=150)
    acquired_after = _day("gte", "Studied from")
    acquired_before = _day("lte", "Studied to")
    doctor = django_filters.ModelChoiceFilter(
        field_name="review__doctor", queryset=_doctors, label="Read by", empty_label="Anybody"
    )
    model = django_filters.ModelChoiceFilter(
        field_name="analysis__model_version", queryset=_models, label="Model", empty_label="Any"
    )

    class Meta:
        model = Study
        fields = []

    @cached_property
    def in_any_state(self):
        """What every filter but the state's leaves; nothing where one is filled in wrongly."""
        if not self.is_valid():
            return self.queryset.none()
        studies = self.queryset.all()
        for name, value in self.form.cleaned_data.items():
            if name != "state":
                studies = self.filters[name].filter(studies, value)
        return studies

    def filter_queryset(self, studies):
        return self.filters["state"].filter(self.in_any_state, self.form.cleaned_data["state"])

    def search(self, studies, name, value):
        return studies.filter(patient__in=Patient.objects.filter(matching(value)))

    def filter_determination(self, studies, name, value):
        return studies.filter(DETERMINATIONS[value])

    def filter_urgency(self, studies, name, value):
        return studies.filter(WAITS_URGENTLY if value == "urgent" else ~WAITS_URGENTLY)

    def filter_age(self, studies, name, value):
        """Completed years on the day of the study; 10 to 10 are the children of ten."""
        studies = studies.alias(age=digits("acquired_on") - digits("patient__date_of_birth"))
        if name == "age_from":
            return studies.filter(age__gte=value * 10_000)
        return studies.filter(age__lt=(value + 1) * 10_000)

    @property
    def in_use(self):
        """Whether a filter is filled in, be it wrongly."""
        return any(self.data.get(name) for name in self.filters)

    @property
    def more_in_use(self):
        """Whether one is that the page folds away."""
        return any(self.data.get(name) for name in FOLDED)


def with_row_facts(studies):
    """What a row of a list shows, in one query."""
    return studies.select_related(
        "hospital", "patient", "analysis__model_version", "radiograph", "submitted_by", "review__doctor"
    )


def filed_elsewhere(study):
    """The studies, for other patients, that the film of `study` counts as."""
    others = Study.objects.filter(radiograph=study.radiograph_id, patient__anonymised_at=None)
    return others.exclude(patient=study.patient_id).exclude(state=State.CANCELLED)


def counts_by_state(filterset):
    """Number of studies in each state, zeros included, that the other filters leave."""
    found = dict(filterset.in_any_state.order_by().values_list("state").annotate(number=Count("*")))
    return {state: found.get(state, 0) for state in IN_ORDER_OF_NEED}


def next_in_turn(study, role, taken=()):
    """The next study after `study`, from newer to older and then from the newest on, that waits to be read by a doctor
    or that a technician has to look into, and is none of those `taken`; the urgent ones first. None where there is no
    other.
    """
    turn, place = ("technicians_turn", 0) if role == Role.TECHNICIAN else ("doctors_turn", 1)  # trouble; analysed
    newest_first = Study.objects.exclude(pk__in=[study.pk, *taken]).order_by("-submitted_at", "-pk").only("pk")
    for now in (place - URGENT, place):
        waiting = newest_first.filter(**{turn: now})
        if found := waiting.filter(submitted_at__lte=study.submitted_at).first() or waiting.first():
            return found
    return None


# An analysis, those before it and those after it; a recursive query, as a chain has any length.
CHAIN = """
    WITH RECURSIVE chain(id, previous_id) AS (
        SELECT id, previous_id FROM inference_analysis WHERE id = %s
        UNION
        SELECT other.id, other.previous_id
        FROM chain JOIN inference_analysis other ON other.id = chain.previous_id OR other.previous_id = chain.id
    )
    SELECT id FROM chain"""


def other_analyses(study):
    """What else became of the picture, newest first: tries that failed, readings by other versions of the model."""
    key = Analysis._meta.pk.get_db_prep_value(study.analysis_id, connection)
    chain = Analysis.objects.filter(pk__in=RawSQL(CHAIN, [key])).select_related("model_version")
    return list(chain.exclude(pk__in=[study.analysis_id, study.reanalysis_id]).order_by("-queued_at"))
