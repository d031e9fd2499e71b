"""What lists and dashboards compute of studies in the database, alike on SQLite and PostgreSQL."""

from django.db.models import Case, CharField, DateTimeField, F, FloatField, Func, IntegerField, Q, Value, When
from django.db.models.functions import Cast, Replace

from clinical.studies.models import State


class Seconds(Func):
    """Seconds from the moment `earlier` to the moment `later`: Seconds(later, earlier)."""

    arity = 2
    template = "EXTRACT(EPOCH FROM (%(expressions)s))"
    arg_joiner = " - "
    output_field = FloatField()

    def as_sqlite(self, compiler, connection, **context):
        # Django's own difference of two moments is a Python function there, called for every row.
        (later, later_params), (earlier, earlier_params) = map(compiler.compile, self.source_expressions)
        return f"((julianday({later}) - julianday({earlier})) * 86400.0)", [*later_params, *earlier_params]


class FirstResult(Func):
    """When the first result was there, of an Analysis and all those that it names as `previous`: FirstResult(key).

    Tries that failed come before it, readings by later versions after it. A recursive query, as a chain has any length.
    """

    arity = 1
    output_field = DateTimeField()
    template = """(
        WITH RECURSIVE chain(previous_id, finished_at, bone_age_months) AS (
            SELECT previous_id, finished_at, bone_age_months FROM inference_analysis WHERE id = %(expressions)s
            UNION ALL
            SELECT earlier.previous_id, earlier.finished_at, earlier.bone_age_months
            FROM chain JOIN inference_analysis earlier ON earlier.id = chain.previous_id
        )
        SELECT MIN(finished_at) FROM chain WHERE bone_age_months IS NOT NULL
    )"""


def digits(day):
    """The date in the column `day` as the number 20240501."""
    return Cast(Replace(Cast(day, CharField()), Value("-"), Value("")), IntegerField())


def completed_years():
    """The child's age on the day of the study, as a whole number."""
    return (digits("acquired_on") - digits("patient__date_of_birth")) / Value(10_000)


# A child and its doctor waited for the first result. Most analyses name no other: those cost no query of their own.
RESULT_AT = Case(When(analysis__previous=None, then=F("analysis__finished_at")), default=FirstResult(F("analysis")))
SECONDS_TO_RESULT = Seconds(RESULT_AT, F("submitted_at"))

# What the doctor whose review counts saw and made of it. A study that was withdrawn counts for nothing.
AI_MONTHS, DOCTOR_MONTHS = F("review__analysis__bone_age_months"), F("review__bone_age_months")
READ_WITH_AI = Q(review__isnull=False, review__analysis__bone_age_months__isnull=False) & ~Q(state=State.CANCELLED)
AGREED_MONTHS = 0.5  # nearer than this is the same reading, however it was typed in
