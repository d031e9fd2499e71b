import secrets
import uuid
from copy import copy

from django.conf import settings
from django.db import models
from django.urls import reverse
from django.utils import timezone
from django_scopes import ScopedManager

from clinical.studies.models import REASON_LENGTH

CODE_ALPHABET = "23456789ABCDEFGHJKMNPQRSTVWXYZ"  # nothing that is misread on paper: no 0 and O, 1, I and L, no U


def new_code():
    """A check code of 59 bits, as it is printed: "7KQ4-M2XP-9RTD"."""
    return "-".join("".join(secrets.choice(CODE_ALPHABET) for _ in range(4)) for _ in range(3))


class State(models.TextChoices):
    MAKING = "making", "Being made"
    READY = "ready", "Ready"
    FAILED = "failed", "Failed"


class ReportManager(models.Manager):
    def current(self, study):
        """The report of `study` that counts now, in whatever state, or None."""
        return self.filter(study=study, superseded_at=None).first()


class Report(models.Model):
    """One version of the signed report of a study.

    Who signed which review when stands from its creation; the PDF is written once, its hash with it. An amended study
    gets another version of the same number, and this one the time at which it was superseded.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    hospital = models.ForeignKey("accounts.Hospital", on_delete=models.PROTECT, related_name="+")
    study = models.ForeignKey("studies.Study", on_delete=models.PROTECT, related_name="reports")
    review = models.ForeignKey("studies.Review", on_delete=models.PROTECT, related_name="reports")
    number = models.CharField(max_length=20, help_text="The same for every version of the report of a study.")
    version = models.PositiveSmallIntegerField()
    code = models.CharField("check code", max_length=14, unique=True, default=new_code, editable=False)
    signed_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    signed_at = models.DateTimeField(default=timezone.now)
    # What stood then: a study that is amended, and a record, may be corrected before the PDF is made.
    acquired_on = models.DateField("study date")
    indication = models.CharField(max_length=400, blank=True)
    date_of_birth = models.DateField()
    gestational_age = models.CharField("gestational age at birth", max_length=10, blank=True)

    state = models.CharField(max_length=10, choices=State, default=State.MAKING)
    attempt = models.PositiveSmallIntegerField(default=0)
    delivered_at = models.DateTimeField(null=True, help_text="When a message was last sent to the workers.")
    started_at = models.DateTimeField(null=True, help_text="When a worker last began with it.")
    reason = models.CharField(max_length=200, blank=True, help_text="Why it failed, for the user.")
    pdf = models.CharField(max_length=200, blank=True, help_text="Name of the file in the private storage.")
    sha256 = models.CharField("SHA-256", max_length=64, blank=True, help_text="Of the PDF.")

    released_at = models.DateTimeField(null=True)
    superseded_at = models.DateTimeField(null=True)
    superseded_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+")
    amendment_reason = models.CharField(max_length=REASON_LENGTH, blank=True, help_text="Why another version follows.")

    objects = ScopedManager(_manager_class=ReportManager, hospital="hospital")

    class Meta:
        ordering = ["-signed_at", "-version"]
        constraints = [
            models.UniqueConstraint(fields=["hospital", "number", "version"], name="one_report_per_number_and_version"),
            models.UniqueConstraint(fields=["study", "version"], name="one_report_per_study_and_version"),
            models.UniqueConstraint(
                fields=["study"], condition=models.Q(superseded_at=None), name="one_current_report_per_study"
            ),
        ]
        indexes = [models.Index(fields=["state", "delivered_at"])]

    def __str__(self):
        return f"{self.number}, version {self.version}"

    def get_absolute_url(self):
        return reverse("reports:pdf", args=[self.pk])

    @property
    def patient_id(self):
        return self.study.patient_id

    @property
    def predecessor(self):
        """The version before it, or None."""
        return Report.objects.filter(study=self.study_id, version=self.version - 1).first()

    @property
    def study_as_signed(self):
        """The study with its date, indication and birth as they stood at the signature; not to be saved."""
        study, study.patient = copy(self.study), copy(self.study.patient)
        study.acquired_on, study.indication = self.acquired_on, self.indication
        study.patient.date_of_birth, study.patient.gestational_age = self.date_of_birth, self.gestational_age
        return study

    @property
    def is_removed(self):
        """It was made, and may have been handed out; the portal has let go of the PDF since."""
        return self.state == State.FAILED and self.sha256 != ""

    @property
    def filename(self):
        return f"{self.number}-v{self.version}.pdf"


class DispatchState(models.TextChoices):
    WAITING = "waiting", "Being sent"
    SENT = "sent", "Sent"
    FAILED = "failed", "Not sent"


class Dispatch(models.Model):
    """One report on its way into one archive, as DICOM."""

    hospital = models.ForeignKey("accounts.Hospital", on_delete=models.PROTECT, related_name="+")
    report = models.ForeignKey(Report, on_delete=models.CASCADE, related_name="dispatches")
    archive = models.ForeignKey("dicom.Archive", on_delete=models.CASCADE, related_name="dispatches")
    state = models.CharField(max_length=10, choices=DispatchState, default=DispatchState.WAITING)
    attempt = models.PositiveSmallIntegerField(default=0)
    created_at = models.DateTimeField(auto_now_add=True)
    delivered_at = models.DateTimeField(null=True, help_text="When a message was last sent to the workers.")
    started_at = models.DateTimeField(null=True, help_text="When a worker last began with it.")
    sent_at = models.DateTimeField(null=True)
    reason = models.CharField(max_length=200, blank=True, help_text="Why it was not sent, for the user.")

    objects = ScopedManager(hospital="hospital")

    class Meta:
        ordering = ["-created_at", "-pk"]
        verbose_name_plural = "dispatches"
        constraints = [
            models.UniqueConstraint(fields=["report", "archive"], name="one_dispatch_per_report_and_archive")
        ]
        indexes = [models.Index(fields=["state", "delivered_at"])]

    def __str__(self):
        return f"{self.report} to {self.archive}"

    @property
    def patient_id(self):
        return self.report.patient_id
