"""Who saw, changed or took what: for the hospital's administrators, for a child's doctors, and for the family."""

from datetime import date, timedelta

import django_filters
from django import forms
from django.core.paginator import Paginator
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db.models import Count, Max
from django.db.models.functions import TruncDate
from django.shortcuts import get_object_or_404, render
from django.utils import timezone
from django.views.decorators.http import require_GET

from clinical.accounts.models import Role
from clinical.accounts.permissions import hospital_admin_required, role_required, user_required
from clinical.administration.filters import begin_of
from clinical.audit.models import AccessEvent
from clinical.audit.record import ROLES, Verb, record
from clinical.csv_file import csv_file, plain
from clinical.listing import PAGE_SIZE, arranged, listing
from clinical.patients.models import Patient

SORTS = {"at": ("at", "pk"), "who": ("actor_name", "-at", "-pk"), "what": ("verb", "-at", "-pk")}
NEWEST_FIRST = "-at"
KINDS = {
    "familyinvitation": "invitation",
    "guardianship": "family",
    "membership": "member",
    "patientexport": "copy of the record",
}
COLUMNS = ["At", "Who", "Role", "What", "Of what", "Key", "Patient's key", "Detail", "Address", "Number", "SHA-256"]

# What the family is told, of people alone: what the portal itself does with a picture is no access of anybody's.
PLAIN = {
    Verb.VIEW: "looked at the record",
    Verb.DOWNLOAD: "downloaded a picture or a report",
    Verb.EXPORT: "took a copy of data",
    Verb.CREATE: "added something to the record",
    Verb.EDIT: "changed the record",
    Verb.REMOVE: "removed something from the record",
    Verb.RESTORE: "put something back into the record",
    Verb.ARCHIVE: "archived the record",
    Verb.SUBMIT: "uploaded an X-ray",
    Verb.RETRY: "had something made again",
    Verb.REANALYSE: "had the X-ray read by a newer computer program",
    Verb.CANCEL: "cancelled the reading of an X-ray",
    Verb.WITHDRAW: "withdrew an X-ray",
    Verb.REVIEW: "read the X-ray",
    Verb.SIGN: "signed the report",
    Verb.RELEASE: "released the report to you",
    Verb.AMEND: "took the report back to read the X-ray again",
    Verb.INVITE: "invited somebody of the family",
    Verb.WITHDRAW_INVITATION: "withdrew an invitation",
    Verb.JOIN: "accepted the invitation to this page",
    Verb.REVOKE: "ended somebody's access to this page",
    Verb.ADMINISTER: "changed something in the administration",
    Verb.SCHEDULE_ERASURE: "decided to erase the record",
    Verb.CANCEL_ERASURE: "decided not to erase the record",
}

# Moments of the first and the last years that a date may have do not exist in every time zone.
DAYS = [MinValueValidator(date(1900, 1, 1)), MaxValueValidator(date(2199, 12, 31))]


class AccessFilter(django_filters.FilterSet):
    who = django_filters.CharFilter(field_name="actor_name", lookup_expr="icontains", label="Who", max_length=200)
    verb = django_filters.ChoiceFilter(
        choices=[(verb, verb.label) for verb in Verb], label="What", empty_label="Anything"
    )
    since = django_filters.DateFilter(
        method="filter_since", label="From", widget=forms.DateInput(attrs={"type": "date"}), validators=DAYS
    )
    until = django_filters.DateFilter(
        method="filter_until", label="To", widget=forms.DateInput(attrs={"type": "date"}), validators=DAYS
    )

    class Meta:
        model = AccessEvent
        fields = []

    def filter_since(self, events, name, day):
        return events.filter(at__gte=begin_of(day))

    def filter_until(self, events, name, day):
        return events.filter(at__lt=begin_of(day) + timedelta(days=1))

    @property
    def in_use(self):
        return any(self.data.get(name) for name in self.filters)


class HospitalAccessFilter(AccessFilter):
    mrn = django_filters.CharFilter(method="filter_mrn", label="MRN", max_length=40)

    def filter_mrn(self, events, name, mrn):
        keys = Patient.objects.filter(mrn__iexact=mrn.strip()).values_list("pk", flat=True)
        return events.filter(patient_key__in=[str(key) for key in keys])


def row_of(event):
    """An event as the cells of COLUMNS, no text among them that a spreadsheet takes for a formula."""
    return [
        timezone.localtime(event.at).isoformat(timespec="seconds"),
        plain(event.actor_name),
        ROLES.get(event.actor_role, ""),
        event.verb,
        event.object_type,
        event.object_key,
        event.patient_key,
        plain(event.detail),
        event.address or "",
        event.sequence or "",
        event.sha256,
    ]


def _show(request, template, filterset, **context):
    context |= listing(request, filterset, SORTS, NEWEST_FIRST)
    keys = {event.patient_key for event in context["page_obj"] if event.patient_key}
    patients = {str(key): patient for key, patient in Patient.objects.in_bulk(keys).items()}
    for event in context["page_obj"]:
        event.kind = KINDS.get(event.object_type, event.object_type)
        event.role = ROLES.get(event.actor_role, "")
        event.patient = patients.get(event.patient_key)
    return render(request, template, context)


def _csv(request, filterset, name):
    """What is filtered, as a file."""
    keys = list(arranged(filterset, SORTS, request.GET.get("sort", NEWEST_FIRST), NEWEST_FIRST)[0])

    def rows(chunk):
        events = AccessEvent.objects.in_bulk(chunk)
        # The retention may have taken an event since the keys were listed.
        return [row_of(events[key]) for key in chunk if key in events]

    return csv_file(name, request.hospital, COLUMNS, keys, rows)


@hospital_admin_required
@require_GET
def of_hospital(request):
    events = AccessEvent.objects.select_related("changed_values")
    record(Verb.VIEW, request.hospital, request=request, detail="record of access")
    return _show(request, "patients/hospital_accesses.html", HospitalAccessFilter(request.GET, events))


@hospital_admin_required
@require_GET
def of_hospital_csv(request):
    record(Verb.EXPORT, request.hospital, request=request, detail="record of access")
    return _csv(request, HospitalAccessFilter(request.GET, AccessEvent.objects.all()), "accesses")


def _of(patient):
    return AccessEvent.objects.filter(patient_key=str(patient.pk))


@role_required(Role.DOCTOR, Role.HOSPITAL_ADMIN)
@require_GET
def of_patient(request, pk):
    patient = get_object_or_404(Patient, pk=pk)
    record(Verb.VIEW, patient, request=request, detail="record of access")
    filterset = AccessFilter(request.GET, _of(patient).select_related("changed_values"))
    return _show(request, "patients/accesses.html", filterset, patient=patient)


@role_required(Role.DOCTOR, Role.HOSPITAL_ADMIN)
@require_GET
def of_patient_csv(request, pk):
    patient = get_object_or_404(Patient, pk=pk)
    record(Verb.EXPORT, patient, request=request, detail="record of access")
    return _csv(request, AccessFilter(request.GET, _of(patient)), "accesses-of-a-patient")


@user_required
@require_GET
def of_child(request, pk):
    """Who looked when, in plain words: one line for what one person did of one kind on one day."""
    guardianship = get_object_or_404(request.user.guardianships.select_related("patient", "hospital"), patient=pk)
    record(Verb.VIEW, guardianship.patient, request=request, detail="record of access")
    events = _of(guardianship.patient).filter(actor__isnull=False, verb__in=PLAIN)
    days = events.annotate(day=TruncDate("at")).order_by().values("day", "actor", "actor_name", "actor_role", "verb")
    lines = days.annotate(times=Count("*"), last=Max("at")).order_by("-last", "actor_name", "verb")
    page = Paginator(lines, PAGE_SIZE).get_page(request.GET.get("page"))
    for line in page.object_list:
        line["role"] = ROLES.get(line["actor_role"], "")
        line["words"] = PLAIN[Verb(line["verb"])]
        line["is_reader"] = line["actor"] == request.user.pk
    context = {"guardianship": guardianship, "patient": guardianship.patient, "page_obj": page}
    return render(request, "patients/family_accesses.html", context)
