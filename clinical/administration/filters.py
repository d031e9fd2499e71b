"""Filters of lists beside Django's: with fields to fill in, from here to there for one."""

from datetime import date, datetime, time, timedelta

from django.contrib import admin, messages
from django.db.models.lookups import GreaterThanOrEqual, LessThan, LessThanOrEqual
from django.utils import timezone

MOST = 1e12  # a number in a filter; databases have no whole ones without end


class FieldsFilter(admin.ListFilter):
    """With `fields` in a form of its own, which sends along what else the list is filtered by."""

    def has_output(self):
        return True

    def choices(self, changelist):
        """One "choice", the form."""
        names = self.expected_parameters()
        kept = [(name, each) for name, given in changelist.filter_params.items() if name not in names for each in given]
        yield {"fields": self.fields, "kept": kept, "selected": bool(self.used_parameters)}


class RangeFilter(FieldsFilter):
    """Two fields, `<parameter>_from` and `<parameter>_to`, both ends included unless a subclass says otherwise."""

    template = "admin/range_filter.html"
    parameter = ""
    input_type, example = "number", "a number"
    labels = ("From", "To")

    def __init__(self, request, params, model, model_admin):
        super().__init__(request, params, model, model_admin)
        self.ends = {}
        for name in self.expected_parameters():
            given = params.pop(name, [""])[-1]
            try:
                self.ends[name] = self.parse(given) if given else None
            except ValueError:
                messages.error(request, f"The filter “{self.title}” was left out: it is given as {self.example}.")
                self.ends[name], given = None, ""
            if given:
                self.used_parameters[name] = given

    def parse(self, text):
        number = float(text)
        if not abs(number) < MOST:  # nor is what is no number
            raise ValueError("No row has such a number.")
        return number

    def expected_parameters(self):
        return [f"{self.parameter}_from", f"{self.parameter}_to"]

    @property
    def fields(self):
        """(name, label, value) of both ends."""
        names = zip(self.expected_parameters(), self.labels, strict=True)
        return [(name, label, self.used_parameters.get(name, "")) for name, label in names]

    def queryset(self, request, queryset):
        low, high = self.ends.values()
        return queryset if low is None and high is None else self.within(queryset, low, high)

    def within(self, queryset, low, high):
        """The rows from `low` to `high`, either of which may be None."""
        raise NotImplementedError


class HalfOpenFilter(RangeFilter):
    """Without the row that is exactly at the upper end, as the bars of the dashboards count."""

    labels = ("From", "Below")


class PersonFilter(admin.RelatedOnlyFieldListFilter):
    """Those that there are rows of. Django drops the filter, and what it is set to, where there is only one."""

    def has_output(self):
        return True


def between(queryset, expression, low, high, below=False):
    """Rows whose `expression` is from `low` to `high`; `below`: less than `high`."""
    if low is not None:
        queryset = queryset.filter(GreaterThanOrEqual(expression, low))
    if high is not None:
        queryset = queryset.filter((LessThan if below else LessThanOrEqual)(expression, high))
    return queryset


def begin_of(day):
    """The first moment of a day in the portal's time zone."""
    return timezone.make_aware(datetime.combine(day, time.min))


class DayFilter(RangeFilter):
    """Of a moment: the days, in the portal's time zone."""

    input_type, example = "date", "a day such as 2026-01-31"
    field = ""

    def parse(self, text):
        day = date.fromisoformat(text)
        if not 1900 <= day.year < 2200:
            raise ValueError("No study is of that day.")
        return day

    def within(self, queryset, low, high):
        if low is not None:
            queryset = queryset.filter(**{f"{self.field}__gte": begin_of(low)})
        if high is not None:
            queryset = queryset.filter(**{f"{self.field}__lt": begin_of(high + timedelta(days=1))})
        return queryset


def of_days(name, parameter, field):
    """A DayFilter of the moment in `field`."""
    return type("Days", (DayFilter,), {"title": name, "parameter": parameter, "field": field})
