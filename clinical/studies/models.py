import uuid

from django.conf import settings
from django.db import models
from django_scopes import ScopedManager

from clinical.growth.bone_age import assess
from clinical.patients.models import Sex
from inference.models import PENDING, State


class Radiograph(models.Model):
    """One picture as it was uploaded, stored once in a hospital however often it is submitted."""

    hospital = models.ForeignKey("accounts.Hospital", on_delete=models.PROTECT, related_name="+")
    sha256 = models.CharField("SHA-256", max_length=64)
    name = models.CharField(max_length=200, help_text="Name of the file in the private storage.")
    format = models.CharField(max_length=10)
    width = models.PositiveIntegerField()
    height = models.PositiveIntegerField()
    size_bytes = models.PositiveIntegerField()
    stored_at = models.DateTimeField(auto_now_add=True)

    objects = ScopedManager(hospital="hospital")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["hospital", "sha256"], name="stored_once_per_hospital")]

    def __str__(self):
        return f"Radiograph {self.pk}"


class Study(models.Model):
    """A bone-age examination: one radiograph of one patient on one day, on its way through the clinic.

    `state` mirrors the state of the current `analysis`, so that lists sort and filter by one column.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    hospital = models.ForeignKey("accounts.Hospital", on_delete=models.PROTECT, related_name="studies")
    patient = models.ForeignKey("patients.Patient", on_delete=models.PROTECT, related_name="studies")
    radiograph = models.ForeignKey(Radiograph, on_delete=models.PROTECT, related_name="studies")
    analysis = models.OneToOneField("inference.Analysis", on_delete=models.PROTECT, related_name="study")
    state = models.CharField(max_length=10, choices=State, default=State.QUEUED)
    sex = models.CharField(max_length=1, choices=Sex, help_text="The sex whose reference is used.")
    acquired_on = models.DateField("study date")
    indication = models.CharField(max_length=400, blank=True)
    notices = models.JSONField(default=list, help_text="What in the file does not fit the record, in sentences.")
    submission = models.UUIDField(
        default=uuid.uuid4, editable=False, help_text="The upload form's own key: sent twice, it is one study."
    )
    submitted_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    submitted_at = models.DateTimeField(auto_now_add=True)

    objects = ScopedManager(hospital="hospital")

    class Meta:
        ordering = ["-submitted_at", "-pk"]
        verbose_name_plural = "studies"
        constraints = [
            models.UniqueConstraint(fields=["patient", "radiograph", "submission"], name="one_study_per_submitted_file")
        ]
        indexes = [
            models.Index(fields=["hospital", "-submitted_at", "-id"]),
            models.Index(fields=["hospital", "state"]),
            models.Index(fields=["hospital", "acquired_on"]),
        ]

    def __str__(self):
        return f"Study {self.pk}"

    @property
    def is_pending(self):
        return self.state in PENDING

    @property
    def chronological_age_months(self):
        return self.patient.age_on(self.acquired_on)

    @property
    def difference_months(self):
        """Bone age minus chronological age, or None while there is no bone age."""
        bone_age = self.analysis.bone_age_months
        return None if bone_age is None else bone_age - self.chronological_age_months

    @property
    def assessment(self):
        """The bone age judged by the hospital's reference table, or None while there is no bone age."""
        bone_age = self.analysis.bone_age_months
        if bone_age is None:
            return None
        return assess(bone_age, self.chronological_age_months, self.sex, self.hospital.bone_age_reference)
