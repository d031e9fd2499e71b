import uuid

from django.conf import settings
from django.db import models
from django.db.models import Case, Q, Value, When
from django.utils import timezone
from django_scopes import ScopedManager

from clinical.growth.ages import difference_shown
from clinical.growth.bone_age import assess
from clinical.growth.preterm import CORRECTED_MONTHS, reference_age
from clinical.patients.models import Sex
from clinical.studies.impression import impression
from inference.engine.explanation import GRID
from inference.models import PENDING
from inference.models import State as AnalysisState


class State(models.TextChoices):
    """Where a study stands: first as its analysis does, then as the doctors have left it."""

    QUEUED = AnalysisState.QUEUED.value, AnalysisState.QUEUED.label
    ANALYSING = AnalysisState.ANALYSING.value, AnalysisState.ANALYSING.label
    ANALYSED = AnalysisState.ANALYSED.value, AnalysisState.ANALYSED.label
    REJECTED = AnalysisState.REJECTED.value, AnalysisState.REJECTED.label
    FAILED = AnalysisState.FAILED.value, AnalysisState.FAILED.label
    CANCELLED = AnalysisState.CANCELLED.value, AnalysisState.CANCELLED.label
    REVIEWED = "reviewed", "Reviewed"
    SIGNED = "signed", "Signed"
    RELEASED = "released", "Released"


TROUBLE = (State.FAILED, State.REJECTED)
SIGNED = (State.SIGNED, State.RELEASED)
DONE = (*SIGNED, State.CANCELLED)
WAITS_URGENTLY = Q(~Q(state__in=DONE), urgent=True)  # what is done is urgent no more
URGENT = 10
"""By how many places what is urgent goes before the rest on a worklist."""
RIGHT_HAND = "The file says right hand. Bone age is read from the left hand."  # the report tells, nobody is asked
REASON_LENGTH = 300  # of why a study is taken back or a report amended


def _rank(*groups):
    """A stored column: the place of the state's group among `groups`, which come in order; other states come last.

    What is urgent and not done goes before all that is not, in the same order.
    """
    places = [When(state__in=group, then=Value(place)) for place, group in enumerate(groups)]
    ahead = Case(When(WAITS_URGENTLY, then=Value(URGENT)), default=Value(0))
    return models.GeneratedField(
        expression=Case(*places, default=Value(len(groups))) - ahead,
        output_field=models.SmallIntegerField(),
        db_persist=True,
    )


EXTENSIONS = {"jpeg": "jpg", "dicom": "dcm"}  # of the formats that are not called like their files


class Radiograph(models.Model):
    """One picture as it was uploaded, stored once in a hospital however often it is submitted."""

    hospital = models.ForeignKey("accounts.Hospital", on_delete=models.PROTECT, related_name="+")
    sha256 = models.CharField("SHA-256", max_length=64)
    name = models.CharField(max_length=200, help_text="Name of the file in the private storage.")
    format = models.CharField(max_length=10)
    width = models.PositiveIntegerField()
    height = models.PositiveIntegerField()
    size_bytes = models.PositiveIntegerField()
    # How it looks, for the drift of a site's pictures; see `image_statistics`.
    mean = models.FloatField(null=True, editable=False, help_text="Mean brightness, 0 black to 1 white.")
    sd = models.FloatField("SD", null=True, editable=False, help_text="Standard deviation of the brightness.")
    sharpness = models.FloatField(null=True, editable=False, help_text="Standard deviation of the Laplacian.")
    stored_at = models.DateTimeField(auto_now_add=True)

    objects = ScopedManager(hospital="hospital")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["hospital", "sha256"], name="stored_once_per_hospital")]

    def __str__(self):
        return f"Radiograph {self.pk}"

    @property
    def extension(self):
        return EXTENSIONS.get(self.format, self.format)


class Study(models.Model):
    """A bone-age examination: one radiograph of one patient on one day, on its way through the clinic.

    `state` is that of the current `analysis` until a doctor takes over, so that lists sort by one column.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    hospital = models.ForeignKey("accounts.Hospital", on_delete=models.PROTECT, related_name="studies")
    patient = models.ForeignKey("patients.Patient", on_delete=models.PROTECT, related_name="studies")
    radiograph = models.ForeignKey(Radiograph, on_delete=models.PROTECT, related_name="studies")
    analysis = models.OneToOneField("inference.Analysis", on_delete=models.PROTECT, related_name="study")
    reanalysis = models.OneToOneField(
        "inference.Analysis",
        on_delete=models.PROTECT,
        null=True,
        related_name="+",
        help_text="Under way with another version of the model; takes the place of the analysis if it succeeds.",
    )
    state = models.CharField(max_length=10, choices=State, default=State.QUEUED)
    sex = models.CharField(max_length=1, choices=Sex, help_text="The sex whose reference is used.")
    acquired_on = models.DateField("study date")
    indication = models.CharField(max_length=400, blank=True)
    urgent = models.BooleanField(
        default=False, help_text="Read before the others that wait, by the model and by doctors."
    )
    review = models.ForeignKey(
        "studies.Review", on_delete=models.PROTECT, null=True, related_name="+", help_text="The one that counts now."
    )
    notices = models.JSONField(default=list, help_text="What in the file does not fit the record, in sentences.")
    comparison_due = models.BooleanField(
        default=False, editable=False, help_text="The record was corrected since the file was compared with it."
    )
    sds = models.FloatField(
        "SDS", null=True, editable=False, help_text="Standard deviation score of the bone age that counts."
    )
    # What needs whom first. Columns, so that the worklist is read off an index however long it is.
    doctors_turn = _rank(TROUBLE, [State.ANALYSED], [State.REVIEWED], [State.SIGNED], PENDING)
    technicians_turn = _rank(TROUBLE, PENDING, [State.ANALYSED], [State.REVIEWED], [State.SIGNED])
    submission = models.UUIDField(
        default=uuid.uuid4, editable=False, help_text="The upload form's own key: sent twice, it is one study."
    )
    submitted_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    submitted_at = models.DateTimeField(auto_now_add=True)
    # Cancelled before a worker began, or withdrawn later; both end the study.
    cancelled_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+")
    cancelled_at = models.DateTimeField(null=True)
    cancellation_reason = models.CharField(max_length=REASON_LENGTH, blank=True)
    film_of_another = models.BooleanField(
        default=False, editable=False, help_text="It was taken back, and its film was filed for another patient since."
    )

    objects = ScopedManager(hospital="hospital")

    class Meta:
        ordering = ["-submitted_at", "-pk"]
        verbose_name_plural = "studies"
        constraints = [
            models.UniqueConstraint(fields=["patient", "radiograph", "submission"], name="one_study_per_submitted_file")
        ]
        indexes = [
            models.Index(fields=["-submitted_at", "-id"]),
            models.Index(fields=["hospital", "-submitted_at", "-id"]),
            models.Index(fields=["hospital", "state"]),
            models.Index(fields=["hospital", "acquired_on"]),
            models.Index(fields=["hospital", "doctors_turn", "-submitted_at", "-id"]),
            models.Index(fields=["hospital", "technicians_turn", "-submitted_at", "-id"]),
            models.Index(fields=["hospital", "sds"]),
            models.Index(fields=["hospital", "submission"]),
            models.Index(fields=["id"], condition=Q(comparison_due=True), name="study_comparison_due"),
        ]

    def __str__(self):
        return f"Study {self.pk}"

    @property
    def is_pending(self):
        return self.state in PENDING

    @property
    def waits_urgently(self):
        return self.urgent and self.state not in DONE

    @property
    def questions(self):
        """The notices that each reading asks about."""
        return [notice for notice in self.notices if notice != RIGHT_HAND]

    @property
    def is_in_question(self):
        """Whether the file does not fit the record, and no doctor has said yet that it is meant: each reading asks."""
        return bool(self.questions) and self.review_id is None and self.state != State.CANCELLED

    @property
    def film_is_gone(self):
        """Whether a worker looked for the stored file, and there was none."""
        return self.analysis.reason_code == "file-missing"

    @property
    def chronological_age_months(self):
        return self.patient.age_on(self.acquired_on)

    @property
    def corrected_age_months(self):
        """The age corrected for a preterm birth, or None where the chronological one counts."""
        return self.patient.corrected_age_on(self.acquired_on)

    @property
    def reference_age_months(self):
        """The age by which the bone age is judged."""
        return reference_age(self.chronological_age_months, self.patient.gestational_age)

    @property
    def bone_age_months(self):
        """What counts: the doctor's bone age where there is a review, else the model's, else None.

        Of a study that was withdrawn, neither.
        """
        if self.state == State.CANCELLED:
            return None
        return self.review.bone_age_months if self.review else self.analysis.bone_age_months

    @property
    def difference_months(self):
        """Bone age minus the age that judges it as both are shown, or None while there is no bone age."""
        bone_age = self.bone_age_months
        return None if bone_age is None else difference_shown(bone_age, self.reference_age_months)

    @property
    def assessment(self):
        """The bone age judged by the hospital's reference table, or None while there is no bone age."""
        return None if self.bone_age_months is None else self.assess(self.bone_age_months)

    def assess(self, bone_age_months):
        """Judge a bone age of this child on the day of the study by the hospital's reference table."""
        return assess(
            bone_age_months,
            self.chronological_age_months,
            self.sex,
            self.hospital.bone_age_reference,
            self.patient.gestational_age,
        )

    def impression(self, bone_age_months):
        """The report's conclusion from a bone age, unless the doctor writes another."""
        return impression(bone_age_months, self.chronological_age_months, self.assess(bone_age_months))

    def judged(self, bone_age_months, **fields):
        """A Review of that bone age, not saved, as it is judged now."""
        return Review(
            hospital=self.hospital,
            study=self,
            analysis=self.analysis,
            bone_age_months=bone_age_months,
            age_months=self.chronological_age_months,
            gestational_age=self.patient.gestational_age,
            sex=self.sex,
            reference=self.hospital.bone_age_reference,
            **fields,
        )

    @property
    def estimate_is_of_this_sex(self):
        """Whether the model read the picture as that of a child of the sex that the record has now."""
        return self.analysis.sex == self.sex

    @property
    def corrections(self):
        """What has changed since the reading that counts and would be judged otherwise now, in words."""
        if self.review is None:
            return []
        changes = []
        if self.review.age_months != self.chronological_age_months:
            changes.append("the date of birth or of the study was corrected")
        is_young = self.chronological_age_months < CORRECTED_MONTHS
        if is_young and self.review.gestational_age != self.patient.gestational_age:
            changes.append("the gestational age at birth was corrected")
        if self.review.sex != self.patient.sex:
            changes.append("the sex was corrected")
        # A signed report stands on the table that it names.
        if self.state not in SIGNED and self.review.reference != self.hospital.bone_age_reference:
            changes.append("the hospital chose another reference table")
        return changes


class Method(models.TextChoices):
    AI = "ai", "AI estimate, accepted by the doctor"
    ATLAS = "atlas", "Atlas of Greulich and Pyle, read by the doctor"
    OWN = "own", "Read by the doctor"


class Review(models.Model):
    """A doctor's reading of a study. Never changed: a second thought is another Review, and the AI's value stays."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    hospital = models.ForeignKey("accounts.Hospital", on_delete=models.PROTECT, related_name="+")
    study = models.ForeignKey(Study, on_delete=models.PROTECT, related_name="reviews")
    analysis = models.ForeignKey("inference.Analysis", on_delete=models.PROTECT, related_name="+")
    doctor = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    method = models.CharField(max_length=10, choices=Method)
    bone_age_months = models.FloatField("bone age")
    # What it was judged by. Records are corrected and hospitals choose other tables; what was signed stays as it was.
    age_months = models.FloatField("chronological age")
    gestational_age = models.CharField("gestational age at birth", max_length=10, blank=True)
    sex = models.CharField(max_length=1, choices=Sex)
    reference = models.CharField(max_length=20, help_text="Key of the table of bone ages.")
    impression = models.CharField(max_length=600, help_text="The report's conclusion, in a sentence.")
    comment = models.TextField(blank=True, max_length=4000)
    reviewed_at = models.DateTimeField(auto_now_add=True)

    objects = ScopedManager(hospital="hospital")

    class Meta:
        ordering = ["-reviewed_at"]
        indexes = [models.Index(fields=["hospital", "doctor"])]

    def __str__(self):
        return f"Review {self.pk}"

    @property
    def patient_id(self):
        return self.study.patient_id

    @property
    def assessment(self):
        return assess(self.bone_age_months, self.age_months, self.sex, self.reference, self.gestational_age)

    @property
    def own_impression(self):
        """The conclusion as far as the doctor wrote it; empty where it is the one that follows from the bone age."""
        follows = impression(self.bone_age_months, self.age_months, self.assessment)
        return "" if self.impression == follows else self.impression


class OcclusionMap(models.Model):
    """By how many months a reading moves when one place of the picture is hidden: see `occlusion`."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    hospital = models.ForeignKey("accounts.Hospital", on_delete=models.PROTECT, related_name="+")
    analysis = models.OneToOneField("inference.Analysis", on_delete=models.CASCADE, related_name="occlusion_map")
    asked_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    asked_at = models.DateTimeField(auto_now_add=True)
    heard_at = models.DateTimeField(default=timezone.now, help_text="The last sign of life.")
    done = models.PositiveSmallIntegerField(default=0, help_text="Rows.")
    moved = models.JSONField(default=list, help_text="Rows of months, of the upright picture.")
    months = models.FloatField(null=True, help_text="The farthest.")
    file = models.CharField(max_length=200, blank=True, help_text="Name of a PNG in the private storage.")
    failure = models.CharField(max_length=200, blank=True, help_text="For the user.")

    objects = ScopedManager(hospital="hospital")

    def __str__(self):
        return f"Occlusion map {self.pk}"

    @property
    def is_pending(self):
        return not self.file and not self.failure

    @property
    def percent(self):
        return round(100 * self.done / GRID)
