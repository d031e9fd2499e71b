import uuid

from django.db import models
from django_scopes import ScopedManager


class ModelVersion(models.Model):
    """A model that has made results. Workers register the one they serve; a result keeps the one that made it."""

    name = models.CharField(max_length=100)
    version = models.CharField(max_length=40)
    card = models.JSONField(default=dict, help_text="The model card: data, training, metrics, limits.")
    registered_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-registered_at"]
        constraints = [models.UniqueConstraint(fields=["name", "version"], name="one_row_per_model_version")]

    def __str__(self):
        return f"{self.name} {self.version}"


class State(models.TextChoices):
    QUEUED = "queued", "Queued"
    ANALYSING = "analysing", "Analysing"
    ANALYSED = "analysed", "Analysed"
    REJECTED = "rejected", "Rejected"
    FAILED = "failed", "Failed"
    CANCELLED = "cancelled", "Cancelled"


PENDING = (State.QUEUED, State.ANALYSING)


class Analysis(models.Model):
    """One request to read the bone age of one radiograph, and what became of it. Knows no patient.

    `attempt` counts the automatic starts and is the fencing token: a worker that lost its lease cannot write
    over the one that took its place. A human's retry makes a new Analysis that names the `previous` one.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    hospital = models.ForeignKey("accounts.Hospital", on_delete=models.PROTECT, related_name="+")
    radiograph = models.CharField(max_length=200, help_text="Name of the picture in the private storage.")
    sex = models.CharField(max_length=1, choices=[("F", "Female"), ("M", "Male")])
    previous = models.OneToOneField("self", on_delete=models.PROTECT, null=True, related_name="next")

    state = models.CharField(max_length=10, choices=State, default=State.QUEUED)
    attempt = models.PositiveSmallIntegerField(default=0)
    worker = models.CharField(max_length=200, blank=True)
    queued_at = models.DateTimeField(auto_now_add=True)
    delivered_at = models.DateTimeField(null=True, help_text="When a message was last sent to the workers.")
    started_at = models.DateTimeField(null=True)
    lease_until = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    model_version = models.ForeignKey(ModelVersion, on_delete=models.PROTECT, null=True, related_name="analyses")
    bone_age_months = models.FloatField(null=True)
    low_months = models.FloatField(null=True, help_text="Lower end of the 90 % interval.")
    high_months = models.FloatField(null=True, help_text="Upper end of the 90 % interval.")
    regions = models.JSONField(default=dict, help_text="Boxes x0, y0, x1, y1 as fractions of width and height.")
    heat_map = models.CharField(max_length=200, blank=True, help_text="Name of a PNG in the private storage.")
    milliseconds = models.FloatField(null=True, help_text="Time in the model.")
    reason_code = models.CharField(max_length=40, blank=True)
    reason = models.CharField(max_length=400, blank=True, help_text="Why rejected or failed, for the user.")

    objects = ScopedManager(hospital="hospital")

    class Meta:
        ordering = ["-queued_at"]
        verbose_name_plural = "analyses"
        indexes = [models.Index(fields=["state", "lease_until"])]

    def __str__(self):
        return f"Analysis {self.pk}"

    @property
    def is_pending(self):
        return self.state in PENDING

    @property
    def seconds(self):
        """From the request to the result, or None before there is one."""
        return (self.finished_at - self.queued_at).total_seconds() if self.finished_at else None
