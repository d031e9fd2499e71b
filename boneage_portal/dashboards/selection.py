"""What a dashboard is about: the days and, for platform staff, the hospital; and the lists behind its numbers."""

from dataclasses import dataclass
from datetime import UTC, date, timedelta

from django import forms
from django.db import connection
from django.db.models import Case, DateField, Func, When
from django.db.models.functions import TruncDate, TruncWeek
from django.http import QueryDict
from django.urls import reverse
from django.utils import timezone

from clinical.accounts.models import Hospital
from clinical.administration.filters import begin_of
from clinical.administration.site import administers

DAYS = 30  # of a first look
MOST_DAYS = 5 * 366
DAILY = 92  # a longer time is shown week by week


@dataclass(frozen=True)
class Selection:
    """Days from `first` to `last`, both included, of one hospital, or of all that the reader may see (None)."""

    first: date
    last: date
    hospital: Hospital | None = None

    @property
    def is_weekly(self):
        return (self.last - self.first).days >= DAILY

    def rows(self, queryset, moment):
        """The rows of `queryset` whose column `moment` is in these days."""
        until = begin_of(self.last + timedelta(days=1))
        queryset = queryset.order_by().filter(**{f"{moment}__gte": begin_of(self.first), f"{moment}__lt": until})
        return queryset.filter(hospital=self.hospital) if self.hospital else queryset

    def period(self, moment, weekly=None):
        """The day of the column `moment` in the portal's time zone, or the Monday of its week."""
        return first_day(moment, self, self.is_weekly if weekly is None else weekly)

    def end_of(self, period, weekly=None):
        """The last day of a period, as far as it is selected."""
        weekly = self.is_weekly if weekly is None else weekly
        return min(period + timedelta(days=6), self.last) if weekly else period

    def periods(self):
        """First day of each period, those without a row included."""
        if not self.is_weekly:
            return [self.first + timedelta(days=number) for number in range((self.last - self.first).days + 1)]
        monday = self.first - timedelta(days=self.first.weekday())
        return [monday + timedelta(days=7 * week) for week in range((self.last - monday).days // 7 + 1)]

    def link(self, rows, moment, first=None, last=None, hospital=None, **filters):
        """The list of `rows` ("studies_study") for these days, or a part of them, with further filters."""
        query = QueryDict(mutable=True)
        query[f"{moment}_from"] = max(first or self.first, self.first).isoformat()
        query[f"{moment}_to"] = (last or self.last).isoformat()
        if hospital or self.hospital:
            query["hospital__id__exact"] = hospital or self.hospital.pk
        query.update({name: value for name, value in filters.items() if value is not None})
        return f"{reverse(f'admin:{rows}_changelist')}?{query.urlencode()}"

    def studies(self, **filters):
        return self.link("studies_study", "submitted", **filters)


class SelectionForm(forms.Form):
    first = forms.DateField(label="From", widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"))
    last = forms.DateField(label="To", widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"))
    hospital = forms.ModelChoiceField(Hospital.objects.all(), required=False, empty_label="All hospitals")

    def __init__(self, request, days=DAYS):
        """`days`: how many, up to today, when the reader has chosen none."""
        today = timezone.localdate()
        default = {"first": today - timedelta(days=days - 1), "last": today}
        given = {name: request.GET[name] for name in self.base_fields if request.GET.get(name)}
        super().__init__(default | given)
        if administers(request):  # the scope of the request has one hospital only
            del self.fields["hospital"]

    def clean(self):
        cleaned = super().clean()
        first, last = cleaned.get("first"), cleaned.get("last")
        if first and last and last < first:
            raise forms.ValidationError("The first day is after the last. Choose them the other way round.")
        if first and last and (last - first).days > MOST_DAYS:
            raise forms.ValidationError("Choose at most five years.")
        if (first and first.year < 1900) or (last and last.year > 2200):
            raise forms.ValidationError("Choose days of this century.")
        return cleaned

    @property
    def selection(self):
        """None when it is filled in wrongly."""
        return Selection(**self.cleaned_data) if self.is_valid() else None


def first_day(moment, selection, weekly):
    if connection.vendor != "sqlite":
        return (TruncWeek if weekly else TruncDate)(moment, output_field=DateField())
    # Django's own is a Python function there, called for every row: too slow for many. SQLite's knows no time zones,
    # so each stretch between two changes of the clock gets its own offset.
    *changes, (_, offset) = _offsets(selection)
    cases = [When(**{f"{moment}__lt": until}, then=_SqliteDay(moment, before, weekly)) for until, before in changes]
    return Case(*cases, default=_SqliteDay(moment, offset, weekly), output_field=DateField())


class _SqliteDay(Func):
    output_field = DateField()

    def __init__(self, moment, offset, weekly):
        monday = ", 'weekday 0', '-6 days'" if weekly else ""
        super().__init__(moment, template=f"date(%(expressions)s, '{offset:+d} seconds'{monday})")


def _offsets(selection):
    """Pairs (until, seconds from UTC) of the portal's time zone, in order."""
    zone, step = timezone.get_current_timezone(), timedelta(minutes=30)

    def offset(at):
        return round(at.astimezone(zone).utcoffset().total_seconds())

    at = begin_of(selection.first).astimezone(UTC)
    end = begin_of(selection.last + timedelta(days=1))
    found = []
    while at < end:
        following = at + timedelta(days=1)
        if offset(at) != offset(following):
            while offset(at) == offset(at + step):
                at += step
            found.append((at + step, offset(at)))
            at += step
        else:
            at = following
    return [*found, (end, offset(end))]
