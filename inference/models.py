import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q
from django_scopes import ScopedManager

from inference.engine.orientation import notes


class VersionState(models.TextChoices):
    CANDIDATE = "candidate", "Candidate"
    ACTIVE = "active", "Active"
    RETIRED = "retired", "Retired"


class ModelVersion(models.Model):
    """A model that may make results, and its kept files; one is active. `inference.registry` changes the state.

    A result keeps the version that made it.
    """

    name = models.CharField(max_length=100)
    version = models.CharField(max_length=40)
    card = models.JSONField(default=dict, help_text="The model card: data, training, metrics, limits.")
    sha256 = models.CharField(
        "SHA-256", max_length=64, blank=True, help_text="Of the files that serve; empty where none were kept."
    )
    state = models.CharField(max_length=10, choices=VersionState, default=VersionState.CANDIDATE)
    shadows = models.BooleanField(
        "shadow run", default=False, help_text="Reads new studies beside the active version, seen by nobody."
    )
    registered_at = models.DateTimeField(auto_now_add=True)
    tried_at = models.DateTimeField(null=True, help_text="When a worker last loaded it and had it read a drawn hand.")
    problem = models.CharField(max_length=400, blank=True, help_text="Why it cannot serve: what went wrong then.")
    activated_at = models.DateTimeField(null=True, help_text="The last time.")
    activated_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.SET_NULL,
        null=True,
        related_name="+",
        help_text="Nobody: by a worker, at its start.",
    )

    class Meta:
        ordering = ["-registered_at", "-pk"]
        constraints = [
            models.UniqueConstraint(fields=["name", "version"], name="one_row_per_model_version"),
            models.UniqueConstraint(fields=["state"], condition=Q(state="active"), name="one_active_model_version"),
            models.UniqueConstraint(fields=["shadows"], condition=Q(shadows=True), name="one_shadowing_model_version"),
            models.CheckConstraint(condition=Q(shadows=False) | Q(state="candidate"), name="only_candidates_shadow"),
        ]

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


class Run(models.Model):
    """One reading of one radiograph by the workers, and what became of it. Knows no patient.

    `attempt` counts the automatic starts and is the fencing token: a worker that lost its lease cannot write
    over the one that took its place.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    hospital = models.ForeignKey("accounts.Hospital", on_delete=models.PROTECT, related_name="+")
    radiograph = models.CharField(max_length=200, help_text="Name of the picture in the private storage.")
    sex = models.CharField(max_length=1, choices=[("F", "Female"), ("M", "Male")])

    state = models.CharField(max_length=10, choices=State, default=State.QUEUED)
    attempt = models.PositiveSmallIntegerField(default=0)
    worker = models.CharField(max_length=200, blank=True)
    queued_at = models.DateTimeField(auto_now_add=True)
    delivered_at = models.DateTimeField(null=True, help_text="When a message was last sent to the workers.")
    started_at = models.DateTimeField(null=True)
    lease_until = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    bone_age_months = models.FloatField(null=True)
    low_months = models.FloatField(null=True, help_text="Lower end of the 90 % interval.")
    high_months = models.FloatField(null=True, help_text="Upper end of the 90 % interval.")
    regions = models.JSONField(default=dict, help_text="Boxes x0, y0, x1, y1 as fractions of width and height.")
    mirrored = models.BooleanField(default=False, help_text="It looked like a right hand and was read mirrored.")
    turned_degrees = models.PositiveSmallIntegerField(default=0, help_text="It was turned by, for reading.")
    milliseconds = models.FloatField(null=True, help_text="Time in the model.")
    reason_code = models.CharField(max_length=40, blank=True)
    reason = models.CharField(max_length=400, blank=True, help_text="Why rejected or failed, for the user.")

    objects = ScopedManager(hospital="hospital")

    class Meta:
        abstract = True
        ordering = ["-queued_at"]
        indexes = [models.Index(fields=["state", "lease_until"])]

    def __str__(self):
        return f"{self._meta.verbose_name.capitalize()} {self.pk}"

    @property
    def reading_notes(self):
        """Sentences on how the picture was read, where that was not as it lies."""
        return notes(self.mirrored, self.turned_degrees)

    @property
    def is_pending(self):
        return self.state in PENDING

    @property
    def seconds(self):
        """From the request to the result, or None before there is one."""
        return (self.finished_at - self.queued_at).total_seconds() if self.finished_at else None


class Analysis(Run):
    """A reading that is a study's result, or was asked for as one.

    A human's retry, or another reading by another version, makes a new Analysis that names the `previous` one.
    """

    previous = models.OneToOneField("self", on_delete=models.PROTECT, null=True, related_name="next")
    urgent = models.BooleanField(default=False, help_text="Read before the others that wait.")
    model_version = models.ForeignKey(ModelVersion, on_delete=models.PROTECT, null=True, related_name="analyses")
    heat_map = models.CharField(max_length=200, blank=True, help_text="Name of a PNG in the private storage.")

    class Meta(Run.Meta):
        verbose_name_plural = "analyses"
        indexes = [*Run.Meta.indexes, models.Index(fields=["queued_at"])]  # lists and dashboards are of a period


class ShadowAnalysis(Run):
    """The same picture read by a candidate, to be compared with what the active version made of it.

    In a table of its own, which nothing that a clinician or a family sees is made from.
    """

    analysis = models.ForeignKey(Analysis, on_delete=models.CASCADE, related_name="+")
    model_version = models.ForeignKey(ModelVersion, on_delete=models.PROTECT, related_name="+")

    class Meta(Run.Meta):
        verbose_name_plural = "shadow analyses"
        constraints = [
            models.UniqueConstraint(fields=["analysis", "model_version"], name="one_shadow_per_analysis_and_version")
        ]
