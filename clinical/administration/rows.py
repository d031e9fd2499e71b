"""What every list and form of the administration has in common: whose rows they show, and that it is on record."""

from functools import cache

from django.contrib import admin
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.utils import flatten_fieldsets
from django.http import Http404

from clinical.administration.site import Administration, administers
from clinical.audit.record import Verb, record, record_each
from clinical.growth.ages import in_words

EMPTY = Administration.empty_value_display  # said by displays themselves: of theirs, Django writes None in a form


def in_months(months):
    """A bone age as a list and a form show it: "8 y 9 m (105 m)"."""
    return EMPTY if months is None else f"{in_words(months)} ({months:.0f} m)"


@cache
def _as_text(model, name):
    """A display of the related row `name` without a link, or None where `name` is no relation."""
    field = next((field for field in model._meta.fields if field.name == name and field.is_relation), None)
    if field is None:
        return None

    @admin.display(description=field.verbose_name, empty_value=EMPTY)
    def text(row):
        return getattr(row, name)

    text.__name__ = name
    return text


class PortalAdmin(admin.ModelAdmin):
    """Platform staff see every hospital, as far as their permissions go.

    A hospital's administrator may do what `hospital_administrators` names ("view", "change", "delete"), with the rows
    whose `hospital` is theirs; another hospital's are not found. `of_patients`: to open a row is to look at a patient,
    to open the list at those of the hospitals in it.
    """

    hospital_administrators = frozenset()
    of_patients = False
    list_per_page = 50
    show_full_result_count = False  # counts the whole table beside what a search finds
    view_on_site = False

    def get_queryset(self, request):
        rows = super().get_queryset(request)
        if not administers(request):
            return rows
        # The scope of the request says the same; managers of some models are outside of any scope.
        return rows.filter(hospital=request.hospital) if self.hospital_administrators else rows.none()

    def get_object(self, request, object_id, from_field=None):
        found = super().get_object(request, object_id, from_field)
        if found is None:
            raise Http404(f"There is no such {self.opts.verbose_name}.")
        return found

    def has_module_permission(self, request):
        if administers(request):
            return bool(self.hospital_administrators)
        return super().has_module_permission(request)

    def has_view_permission(self, request, obj=None):
        if administers(request):
            return "view" in self.hospital_administrators
        return super().has_view_permission(request, obj)

    def has_add_permission(self, request):
        return not administers(request) and super().has_add_permission(request)

    def has_change_permission(self, request, obj=None):
        if administers(request):
            return "change" in self.hospital_administrators
        return super().has_change_permission(request, obj)

    def has_delete_permission(self, request, obj=None):
        if administers(request):
            return "delete" in self.hospital_administrators
        return super().has_delete_permission(request, obj)

    def has_operate_permission(self, request):
        """For actions that use the workflow of clinicians: platform staff step in, hospitals' administrators do not."""
        return request.user.has_perm(f"{self.opts.app_label}.change_{self.opts.model_name}")

    # One hospital needs no column, filter or field of it, and the names of the others are none of its business.

    def get_list_display(self, request):
        return self._of_one(request, super().get_list_display(request))

    def get_list_filter(self, request):
        return self._of_one(request, super().get_list_filter(request))

    def _of_one(self, request, names):
        return [name for name in names if name != "hospital"] if administers(request) else names

    def get_fieldsets(self, request, obj=None):
        fieldsets = super().get_fieldsets(request, obj)
        if not administers(request):
            return fieldsets
        own = []
        for title, options in fieldsets:
            names = self._of_one(request, flatten_fieldsets([(title, options)]))
            own.append((title, {**options, "fields": self._without_links(request, obj, names)}))
        return own

    def get_readonly_fields(self, request, obj=None):
        fields = super().get_readonly_fields(request, obj)
        if not administers(request):
            return fields
        # As text, too: which of both a form shows is up to `get_fieldsets`.
        return [*fields, *filter(None, (_as_text(self.model, name) for name in fields))]

    def _without_links(self, request, obj, names):
        """Related rows in words: Django would link to their pages, be they such that the reader may not open."""
        is_fixed = not self.has_change_permission(request, obj)
        fixed = names if is_fixed else super().get_readonly_fields(request, obj)
        return [(name in fixed and _as_text(self.model, name)) or name for name in names]

    def get_changelist_instance(self, request):
        """Django shows the list without filters where one makes no sense, but for these two."""
        if any("\0" in value for _, values in request.GET.lists() for value in values):
            raise IncorrectLookupParameters("PostgreSQL knows no text with NUL.")
        try:
            return super().get_changelist_instance(request)
        except OverflowError as error:  # a year of twenty digits
            raise IncorrectLookupParameters(str(error)) from error

    def changelist_view(self, request, extra_context=None):
        response = super().changelist_view(request, extra_context)
        context = getattr(response, "context_data", {})
        if self.of_patients and request.method == "GET" and "cl" in context:
            hospitals = {row.hospital for row in context["cl"].result_list}
            record_each(Verb.VIEW, hospitals, request=request, detail=f"list of {self.opts.verbose_name_plural}")
        return response

    def change_view(self, request, object_id, form_url="", extra_context=None):
        response = super().change_view(request, object_id, form_url, extra_context)
        return self._on_record(request, object_id, response, "administration")

    def history_view(self, request, object_id, extra_context=None):
        response = super().history_view(request, object_id, extra_context)
        return self._on_record(request, object_id, response, "history in the administration")

    def _on_record(self, request, object_id, response, detail):
        if self.of_patients and request.method == "GET" and response.status_code == 200:
            record(Verb.VIEW, self.get_object(request, object_id), request=request, detail=detail)
        return response


class ReadOnlyAdmin(PortalAdmin):
    """For rows that the workflow owns: the administration looks, it does not write."""

    def has_add_permission(self, request):
        return False

    def has_change_permission(self, request, obj=None):
        return False

    def has_delete_permission(self, request, obj=None):
        return False


class ShownInline(admin.TabularInline):
    """Rows that belong to the one above them, to look at."""

    extra = 0
    can_delete = False

    def has_view_permission(self, request, obj=None):
        return administers(request) or super().has_view_permission(request, obj)

    def has_add_permission(self, request, obj=None):
        return False

    def has_change_permission(self, request, obj=None):
        return False
