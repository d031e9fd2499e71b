"""What lists and dashboards compute of studies in the database, alike on SQLite and PostgreSQL."""

from django.db.models import CharField, F, FloatField, Func, IntegerField, Q, Value
from django.db.models.functions import Cast, Replace


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


def digits(day):
    """The date in the column `day` as the number 20240501."""
    return Cast(Replace(Cast(day, CharField()), Value("-"), Value("")), IntegerField())


def completed_years():
    """The child's age on the day of the study, as a whole number."""
    return (digits("acquired_on") - digits("patient__date_of_birth")) / Value(10_000)


# What the doctor whose review counts saw and made of it.
AI_MONTHS, DOCTOR_MONTHS = F("review__analysis__bone_age_months"), F("review__bone_age_months")
READ_WITH_AI = Q(review__isnull=False, review__analysis__bone_age_months__isnull=False)
AGREED_MONTHS = 0.5  # nearer than this is the same reading, however it was typed in
