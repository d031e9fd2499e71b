"""Signed reports for programs, such as a hospital's archive. See `accounts.api`."""

import django_filters
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import mixins, serializers
from rest_framework.decorators import action
from rest_framework.exceptions import NotFound
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from clinical.accounts.api import Rounded, SinceFilter, binary
from clinical.audit.downloads import deliver
from clinical.audit.record import Verb, record
from reports.dicom_downloads import deliver_encapsulated_pdf, deliver_structured_report
from reports.models import Report, State


class ReportSerializer(serializers.ModelSerializer):
    patient = serializers.UUIDField(source="patient_id")
    signed_by = serializers.CharField(source="signed_by.name")
    bone_age_months = Rounded(source="review.bone_age_months")
    impression = serializers.CharField(source="review.impression")

    class Meta:
        model = Report
        fields = [
            *("id", "study", "patient", "number", "version", "state", "bone_age_months", "impression"),
            *("signed_by", "signed_at", "released_at", "superseded_at", "sha256"),
        ]
        read_only_fields = fields
        extra_kwargs = {"superseded_at": {"help_text": "Once the study was amended: this version counts no more."}}


class ReportFilter(django_filters.FilterSet):
    study = django_filters.UUIDFilter()
    patient = django_filters.UUIDFilter(field_name="study__patient")
    state = django_filters.ChoiceFilter(choices=State)
    signed_since = SinceFilter("signed_at")
    superseded = django_filters.BooleanFilter(field_name="superseded_at", lookup_expr="isnull", exclude=True)

    class Meta:
        model = Report
        fields = []


@extend_schema_view(list=extend_schema(summary="Signed reports"))
class ReportViewSet(mixins.ListModelMixin, GenericViewSet):
    """Every version of every signed report."""

    queryset = Report.objects.none()  # for the description, which is made outside of a scope, too
    serializer_class = ReportSerializer
    filterset_class = ReportFilter
    sorts = {"signed": ("signed_at", "pk")}
    default_sort = "-signed"
    lookup_value_converter = "uuid"

    def get_queryset(self):
        return Report.objects.select_related("study", "review", "signed_by")

    def list(self, request):
        record(Verb.VIEW, request.hospital, request=request, detail="list of reports")
        return super().list(request)

    @extend_schema(summary="One version of a report")
    def retrieve(self, request, pk):
        report = self.get_object()
        record(Verb.VIEW, report, request=request)
        return Response(self.get_serializer(report).data)

    @extend_schema(summary="The report as PDF", responses=binary("application/pdf"))
    @action(detail=True)
    def pdf(self, request, pk):
        report = self._ready()
        kind = {"content_type": "application/pdf", "filename": report.filename, "as_attachment": True}
        return deliver(request, report, Verb.DOWNLOAD, report.pdf, **kind)

    @extend_schema(summary="The report as DICOM Structured Report", responses=binary("application/dicom"))
    @action(detail=True, url_path="structured-report")
    def structured_report(self, request, pk):
        return deliver_structured_report(request, self._ready())

    @extend_schema(summary="The PDF as DICOM Encapsulated PDF", responses=binary("application/dicom"))
    @action(detail=True, url_path="encapsulated-pdf")
    def encapsulated_pdf(self, request, pk):
        return deliver_encapsulated_pdf(request, self._ready())

    def _ready(self):
        report = self.get_object()
        if report.state != State.READY:
            raise NotFound("There is no file of this report: it is being made, or could not be.")
        return report
