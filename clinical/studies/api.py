"""Studies for programs: a radiograph goes in, a bone age comes out. Reading and signing stay with doctors, on their
pages. See `accounts.api`.
"""

import uuid

import django_filters
from django.shortcuts import get_object_or_404
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import (
    OpenApiParameter,
    OpenApiResponse,
    extend_schema,
    extend_schema_field,
    extend_schema_view,
)
from rest_framework import mixins, serializers, status
from rest_framework.decorators import action
from rest_framework.parsers import JSONParser, MultiPartParser
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from clinical.accounts.api import Conflict, Rounded, SinceFilter, binary
from clinical.audit.downloads import deliver
from clinical.audit.record import Verb, record
from clinical.patients import fhir
from clinical.patients.models import Patient
from clinical.studies import bulk, intake, workflow
from clinical.studies.forms import UploadForm, check_study_date
from clinical.studies.models import Method, Study
from clinical.studies.outcome import LONGEST_WAIT, outcome, preferred_wait
from clinical.studies.queries import SORTS, StudyFilter, with_row_facts
from clinical.studies.upload import ARCHIVED, submit_file

WAIT = OpenApiParameter(
    "Prefer",
    str,
    OpenApiParameter.HEADER,
    description=f"wait=10: answer once there is an outcome, or after so many seconds, at most {LONGEST_WAIT}.",
)
MOVED_ON = OpenApiResponse(description="The study has moved on and takes this no more.")
CORRECTED = OpenApiResponse(description="It is signed, or was corrected since it was `seen`.")


class EstimateSerializer(serializers.Serializer):
    """What the model has read; nobody has verified it."""

    bone_age_months = Rounded()
    low_months = Rounded(help_text="Lower end of the 90 % interval.", allow_null=True)
    high_months = Rounded(help_text="Upper end of the 90 % interval.", allow_null=True)
    model = serializers.CharField(source="model_version")
    notes = serializers.ListField(child=serializers.CharField(), source="reading_notes")
    finished_at = serializers.DateTimeField()


class ReadingSerializer(serializers.Serializer):
    """What a doctor has read; it counts instead of the estimate."""

    bone_age_months = Rounded()
    method = serializers.ChoiceField(Method.choices)
    impression = serializers.CharField()
    comment = serializers.CharField()
    doctor = serializers.CharField(source="doctor.name")
    reviewed_at = serializers.DateTimeField()


class AssessmentSerializer(serializers.Serializer):
    """The bone age that counts, judged by the hospital's reference table."""

    sds = Rounded(2, allow_null=True)
    determination = serializers.ChoiceField(["delayed", "normal", "advanced", "indeterminate"])
    reference = serializers.CharField(source="reference.name")
    reason = serializers.CharField(help_text="Why there is no SDS, if there is none.")
    caution = serializers.CharField(help_text="Of a young child: whether and how the age is corrected.")


class StudySerializer(serializers.ModelSerializer):
    mrn = serializers.CharField(source="patient.mrn")
    reason = serializers.CharField(source="analysis.reason", help_text="Why it was rejected or failed.")
    chronological_age_months = Rounded(help_text="On the study date.")
    corrected_age_months = Rounded(
        allow_null=True,
        help_text="Of a child born before 37 weeks, under three years; then the bone age is judged by this age.",
    )
    bone_age_months = Rounded(
        allow_null=True, help_text="What counts: the doctor's reading, else the estimate; of a withdrawn study neither."
    )
    assessment = AssessmentSerializer(allow_null=True)
    estimate = serializers.SerializerMethodField()
    reading = ReadingSerializer(source="review", allow_null=True)
    submitted_by = serializers.CharField(source="submitted_by.name")

    class Meta:
        model = Study
        fields = [
            *("id", "patient", "mrn", "state", "urgent", "reason", "acquired_on", "indication", "sex"),
            *("chronological_age_months", "corrected_age_months", "bone_age_months"),
            *("assessment", "estimate", "reading"),
            *("notices", "submitted_by", "submitted_at"),
        ]
        read_only_fields = fields
        extra_kwargs = {"notices": {"help_text": "What in the file does not fit the record."}}

    @extend_schema_field(EstimateSerializer(allow_null=True))
    def get_estimate(self, study):
        return None if study.analysis.bone_age_months is None else EstimateSerializer(study.analysis).data


class SubmissionSerializer(serializers.Serializer):
    """A radiograph, and whose it is: by key, by MRN, or, with neither, as its DICOM header says."""

    file = serializers.FileField(help_text="PNG, JPEG, TIFF, WebP or DICOM.", allow_empty_file=True)
    patient = serializers.UUIDField(required=False)
    mrn = serializers.CharField(required=False, max_length=40)
    acquired_on = serializers.DateField(
        required=False, allow_null=True, help_text="The study date; else that of the DICOM header, else today."
    )
    indication = serializers.CharField(
        required=False, allow_blank=True, default="", max_length=UploadForm.base_fields["indication"].max_length
    )
    urgent = serializers.BooleanField(default=False, help_text="Read before the others that wait.")
    submission = serializers.UUIDField(
        default=uuid.uuid4, help_text="A key of your own: the same file sent twice with it is one study."
    )
    confirmed = serializers.BooleanField(
        default=False, help_text="True, sent once more after the answer 409: this picture is meant to be filed again."
    )

    def validate(self, values):
        if "patient" in values and "mrn" in values:
            raise serializers.ValidationError("Give the patient or the MRN, not both.")
        return {"acquired_on": None, **values}


class SeenSerializer(serializers.Serializer):
    acquired_on = serializers.DateField()
    indication = serializers.CharField(allow_blank=True, trim_whitespace=False)


class CorrectionSerializer(serializers.Serializer):
    """A study date, an indication or both; what is not sent stays as it is."""

    acquired_on = serializers.DateField(required=False, help_text="The study date.")
    indication = serializers.CharField(
        required=False, allow_blank=True, max_length=UploadForm.base_fields["indication"].max_length
    )
    seen = SeenSerializer(
        help_text="Both as the study showed them last: where others stand by now, nothing is changed, and it is a 409."
    )

    def validate_acquired_on(self, day):
        return check_study_date(day, self.context["patient"])


class UrgencySerializer(serializers.Serializer):
    urgent = serializers.BooleanField()


class NotTakenSerializer(serializers.Serializer):
    """The picture is filed already, or the patient is archived."""

    detail = serializers.CharField()
    earlier = serializers.UUIDField(required=False, help_text="The study in which this picture is filed already.")


class StudyApiFilter(StudyFilter):
    patient = django_filters.UUIDFilter()
    mrn = django_filters.CharFilter(field_name="patient__mrn", lookup_expr="iexact", label="The whole MRN")
    submitted_since = SinceFilter("submitted_at")


@extend_schema_view(list=extend_schema(summary="Studies"))
class StudyViewSet(mixins.ListModelMixin, GenericViewSet):
    """Bone-age studies: one radiograph of one patient on one day."""

    queryset = Study.objects.none()  # for the description, which is made outside of a scope, too
    serializer_class = StudySerializer
    parser_classes = [MultiPartParser]
    filterset_class = StudyApiFilter
    sorts = SORTS
    default_sort = "-submitted"
    lookup_value_converter = "uuid"

    def get_parsers(self):
        return [JSONParser()] if self.request and self.request.method == "PATCH" else super().get_parsers()

    def get_queryset(self):
        return with_row_facts(Study.objects.all())

    def list(self, request):
        record(Verb.VIEW, request.hospital, request=request, detail="worklist")
        return super().list(request)

    @extend_schema(summary="One study, with its bone age", parameters=[WAIT])
    def retrieve(self, request, pk):
        outcome(pk, preferred_wait(request))
        study = self.get_object()
        record(Verb.VIEW, study, request=request)
        return Response(self.get_serializer(study).data)

    @extend_schema(
        summary="Submit a radiograph",
        request={"multipart/form-data": SubmissionSerializer},
        responses={
            201: StudySerializer,
            409: NotTakenSerializer,
            422: OpenApiResponse(description="The file is no radiograph, or nobody's: `detail` says what to do."),
        },
    )
    def create(self, request):
        began = timezone.now()
        serializer = SubmissionSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        sent = serializer.validated_data
        patient = None
        if "patient" in sent:
            patient = get_object_or_404(Patient, pk=sent["patient"], anonymised_at=None)

        def place(picture, file_name, shared):
            day = intake.study_date(picture, sent["acquired_on"])
            return patient or bulk.patient_of(picture, sent.get("mrn", "").strip(), "MRN"), day

        if patient and patient.archived_at:
            raise Conflict(ARCHIVED)
        result = submit_file(request, sent["file"], sent, place, confirmed=sent["confirmed"])
        if result.status == "duplicate":
            return Response(
                {"detail": f"{result.message} If so, send it with confirmed.", "earlier": result.earlier.pk},
                status=result.http_status,
            )
        if result.study is None:
            if result.message == ARCHIVED:  # whoever named the patient by MRN, or before they were archived
                raise Conflict(ARCHIVED)
            return Response({"detail": result.message}, status=result.http_status)
        study = self.get_queryset().get(pk=result.study.pk)
        if study.submitted_at < began:  # sent before: of this request nothing else is on record
            record(Verb.VIEW, study, request=request)
        return Response(self.get_serializer(study).data, status=status.HTTP_201_CREATED)

    @extend_schema(
        summary="Correct the study date or the indication",
        request={"application/json": CorrectionSerializer},
        responses={200: StudySerializer, 409: CORRECTED},
    )
    def partial_update(self, request, pk):
        study = self.get_object()
        serializer = CorrectionSerializer(data=request.data, context={"patient": study.patient})
        serializer.is_valid(raise_exception=True)
        sent = serializer.validated_data
        seen = sent.pop("seen")
        after = {**seen, **sent}
        notices = intake.notices_of(study, after["acquired_on"])
        try:
            workflow.correct(
                study, request.user, seen=(seen["acquired_on"], seen["indication"]), **after, notices=notices
            )
        except workflow.WrongState as error:
            raise Conflict(str(error)) from None
        record(Verb.VIEW, study, request=request)  # the answer shows it
        return Response(self.get_serializer(self.get_object()).data)

    @extend_schema(
        summary="Take a study out of the queue", request=None, responses={200: StudySerializer, 409: MOVED_ON}
    )
    @action(detail=True, methods=["post"])
    def cancel(self, request, pk):
        return self._act(request, self.get_object(), workflow.cancel)

    @extend_schema(
        summary="Read a failed or rejected radiograph once more",
        request=None,
        responses={200: StudySerializer, 409: MOVED_ON},
    )
    @action(detail=True, methods=["post"])
    def retry(self, request, pk):
        return self._act(request, self.get_object(), workflow.retry)

    @extend_schema(
        summary="Have a study read before the others, or in its turn",
        request={"application/json": UrgencySerializer},
        responses={200: StudySerializer, 409: MOVED_ON},
    )
    @action(detail=True, methods=["put"], parser_classes=[JSONParser])
    def urgency(self, request, pk):
        study = self.get_object()
        serializer = UrgencySerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        answer = self._act(request, study, workflow.set_urgency, serializer.validated_data["urgent"])
        record(Verb.VIEW, study, request=request)  # the answer shows it, changed or not
        return answer

    def _act(self, request, study, verb, *arguments):
        try:
            verb(study, request.user, *arguments)
        except workflow.WrongState as error:
            raise Conflict(str(error)) from None
        return Response(self.get_serializer(self.get_object()).data)

    @extend_schema(summary="The file as it was submitted", responses=binary("application/octet-stream"))
    @action(detail=True)
    def radiograph(self, request, pk):
        study = self.get_object()
        kind = {"content_type": "application/octet-stream", "filename": f"original.{study.radiograph.extension}"}
        return deliver(request, study, Verb.DOWNLOAD, study.radiograph.name, **kind, as_attachment=True)

    @extend_schema(summary="Where the model looked", responses=binary("image/png"))
    @action(detail=True, url_path="heat-map")
    def heat_map(self, request, pk):
        study = self.get_object()
        kind = {"content_type": "image/png", "filename": "heat-map.png"}
        return deliver(request, study, Verb.VIEW, study.analysis.heat_map, **kind, as_attachment=True)

    @extend_schema(
        summary="The study as a FHIR Bundle",
        description="Patient, imaging study, observations of the bone age (LOINC 85151-9) and diagnostic reports, R4.",
        responses={(200, "application/fhir+json"): OpenApiTypes.OBJECT},
    )
    @action(detail=True)
    def fhir(self, request, pk):
        study = self.get_object()
        record(Verb.EXPORT, study, request=request, detail="FHIR")
        return Response(fhir.study_bundle(study, timezone.now()), content_type="application/fhir+json")
