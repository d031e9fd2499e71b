"""Patients and their measurements for programs; what is valid, the forms of the pages say. See `accounts.api`."""

import json

import django_filters
from django.db import IntegrityError, transaction
from django.shortcuts import get_object_or_404
from django.utils.html import strip_tags
from drf_spectacular.utils import OpenApiResponse, extend_schema, extend_schema_view
from rest_framework import mixins, serializers, status
from rest_framework.decorators import action
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from clinical.accounts.api import Conflict
from clinical.audit.record import Verb, record, record_each
from clinical.patients.forms import MeasurementForm, PatientForm
from clinical.patients.measurements import keep
from clinical.patients.models import Measurement, Patient
from clinical.patients.queries import SORTS, PatientFilter

CONFIRMED = "True, sent once more after the answer 409: it is meant."
DOUBTS = OpenApiResponse(description="It asks whether this is meant; nothing was saved.")


class PatientSerializer(serializers.ModelSerializer):
    archived = serializers.SerializerMethodField(help_text="An archived record takes no new study.")
    confirmed = serializers.BooleanField(write_only=True, default=False, help_text=CONFIRMED)

    class Meta:
        model = Patient
        fields = ["id", *PatientForm.Meta.fields, "archived", "created_at", "confirmed"]
        extra_kwargs = {"gestational_age": {"max_length": None}}  # one sentence, which says how it is written

    def get_archived(self, patient) -> bool:
        return patient.archived_at is not None


class MeasurementSerializer(serializers.ModelSerializer):
    entered_by = serializers.CharField(source="entered_by.name", read_only=True)
    confirmed = serializers.BooleanField(write_only=True, default=False, help_text=CONFIRMED)

    class Meta:
        model = Measurement
        fields = ["id", *MeasurementForm.Meta.fields, "entered_by", "entered_at", "confirmed"]
        read_only_fields = ["entered_at"]


class PatientApiFilter(PatientFilter):
    mrn = django_filters.CharFilter(lookup_expr="iexact", label="The whole MRN")


@extend_schema_view(list=extend_schema(summary="Patients"), retrieve=extend_schema(summary="One patient"))
class PatientViewSet(
    mixins.ListModelMixin,
    mixins.RetrieveModelMixin,
    mixins.CreateModelMixin,
    mixins.UpdateModelMixin,
    GenericViewSet,
):
    """Children in the hospital's care."""

    queryset = Patient.objects.none()  # for the description, which is made outside of a scope, too
    serializer_class = PatientSerializer
    filterset_class = PatientApiFilter
    sorts = {name: SORTS[name] for name in ("name", "mrn", "born")}
    default_sort = "name"
    http_method_names = ["get", "post", "patch", "head", "options"]
    lookup_value_converter = "uuid"

    def get_queryset(self):
        return Patient.objects.all()

    def list(self, request):
        record(Verb.VIEW, request.hospital, request=request, detail="list of patients")
        return super().list(request)

    def retrieve(self, request, pk):
        patient = self.get_object()
        record(Verb.VIEW, patient, request=request)
        return Response(self.get_serializer(patient).data)

    @extend_schema(summary="Register a patient", responses={201: PatientSerializer, 409: DOUBTS})
    def create(self, request):
        return self._save(request, Patient(hospital=request.hospital), status.HTTP_201_CREATED)

    @extend_schema(summary="Correct a record", responses={200: PatientSerializer, 409: DOUBTS})
    @transaction.atomic
    def partial_update(self, request, pk):
        # Locked, as on the page; what is not sent stays as it is.
        patient = get_object_or_404(Patient.objects.select_for_update(), pk=pk, anonymised_at=None)
        return self._save(request, patient, status.HTTP_200_OK)

    def _save(self, request, patient, answer):
        is_new = patient._state.adding
        serializer = self.get_serializer(patient, data=request.data, partial=not is_new)
        serializer.is_valid(raise_exception=True)
        now = PatientForm(instance=patient).now
        form = PatientForm(now | serializer.validated_data | {"seen": json.dumps(now)}, instance=patient)
        if not form.is_valid() and form.alike and _asks(form):
            record_each(Verb.VIEW, form.alike, request=request, detail="perhaps the same child as a new patient")
            keys = ", ".join(str(each.pk) for each in form.alike)
            raise Conflict(f"This child may be on record already: {keys}. If it is another, send it with confirmed.")
        _refuse_mistakes(form)
        try:
            with transaction.atomic():
                form.save()
                # Edits are on record field by field, `audit.changes`; the answer shows the whole record.
                record(Verb.CREATE if is_new else Verb.VIEW, patient, request=request)
        except IntegrityError:
            raise Conflict("This MRN was just given to another patient of the hospital.") from None
        return Response(self.get_serializer(patient).data, status=answer)

    @extend_schema(
        summary="Heights and weights of a patient", responses=MeasurementSerializer(many=True), filters=False
    )
    @action(detail=True, pagination_class=None, filter_backends=[])
    def measurements(self, request, pk):
        patient = self.get_object()
        record(Verb.VIEW, patient, request=request, detail="measurements")
        return Response(MeasurementSerializer(patient.measurements.select_related("entered_by"), many=True).data)

    @extend_schema(
        summary="Enter a height, a weight or both",
        request=MeasurementSerializer,
        responses={201: MeasurementSerializer, 409: DOUBTS},
    )
    @measurements.mapping.post
    @transaction.atomic
    def add_measurement(self, request, pk):
        patient = get_object_or_404(Patient.objects.select_for_update(), pk=pk, anonymised_at=None)
        serializer = MeasurementSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        measurement = Measurement(hospital=request.hospital, patient=patient)
        form = MeasurementForm({"source": measurement.source, **serializer.validated_data}, instance=measurement)
        if not form.is_valid() and form.doubts and _asks(form):
            raise Conflict(" ".join([*form.doubts, "If it was measured so, send it with confirmed."]))
        _refuse_mistakes(form)
        keep(form, request, Verb.CREATE)
        return Response(MeasurementSerializer(measurement).data, status=status.HTTP_201_CREATED)


def _asks(form):
    """Whether nothing is wrong with `form` but that it asks whether it is meant."""
    return set(form.errors) == {"__all__"}


def _refuse_mistakes(form):
    if form.errors:  # a page's sentence may hold a link
        raise serializers.ValidationError(
            {name: [strip_tags(error) for error in errors] for name, errors in form.errors.items()}
        )
