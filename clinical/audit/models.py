from django.conf import settings
from django.db import models
from django.db.models import Q
from django_scopes import ScopedManager

PLATFORM = 0  # the chain of what belongs to no hospital


class Unchangeable(Exception):
    """What is on record is on record."""


class AppendOnlyQuerySet(models.QuerySet):
    def update(self, **fields):
        raise Unchangeable("Access events are written once and never changed.")

    def delete(self):
        raise Unchangeable(
            "Access events are not deleted; see clinical.audit.chain for what is older than they are kept."
        )


class AccessEvent(models.Model):
    """Who saw, changed or took what, when. Written once by `record`, never changed.

    Rows outlive what they speak of: names and roles are copied, and no constraint of the database binds the keys of
    `hospital` and `actor`. `chain` fills in the last three fields within seconds, once; the database refuses any
    other change (`immutable`).
    """

    hospital = models.ForeignKey(
        "accounts.Hospital", on_delete=models.DO_NOTHING, db_constraint=False, null=True, related_name="access_events"
    )
    at = models.DateTimeField(auto_now_add=True, db_index=True)
    actor = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.DO_NOTHING, db_constraint=False, null=True, related_name="+"
    )
    actor_name = models.CharField(max_length=200)
    actor_role = models.CharField(max_length=20, blank=True, help_text="In that hospital, at that time.")
    verb = models.CharField(max_length=40, db_index=True)
    object_type = models.CharField(max_length=40)
    object_key = models.CharField(max_length=40)
    patient_key = models.CharField(max_length=40, blank=True, db_index=True)
    detail = models.CharField(max_length=200, blank=True)
    address = models.GenericIPAddressField(null=True)
    values_sha256 = models.CharField(
        max_length=64, blank=True, help_text="Fingerprint of what the changed fields held before and after."
    )

    sequence = models.PositiveBigIntegerField(null=True, editable=False, help_text="Place in the hospital's chain.")
    previous = models.CharField(max_length=64, blank=True, editable=False, help_text="SHA-256 of the one before.")
    sha256 = models.CharField(
        "SHA-256",
        max_length=64,
        blank=True,
        editable=False,
        help_text="Fingerprint of this event and of the one before.",
    )

    objects = ScopedManager(_manager_class=models.Manager.from_queryset(AppendOnlyQuerySet), hospital="hospital")

    class Meta:
        ordering = ["-at", "-pk"]
        constraints = [
            models.UniqueConstraint(fields=["hospital", "sequence"], name="one_event_per_place_in_chain"),
            models.UniqueConstraint(
                fields=["sequence"], condition=Q(hospital=None), name="one_event_per_place_in_chain_of_platform"
            ),
        ]
        indexes = [
            models.Index(fields=["object_type", "object_key"]),
            models.Index(fields=["hospital", "-at", "-id"]),
            models.Index(fields=["hospital", "id"], condition=Q(sequence=None), name="access_event_unsealed"),
        ]

    def __str__(self):
        return f"{self.actor_name} {self.verb} {self.object_type} {self.object_key}"

    def save(self, *args, **kwargs):
        if not self._state.adding:
            raise Unchangeable("Access events are written once and never changed.")
        super().save(*args, **kwargs)

    def delete(self, *args, **kwargs):
        raise Unchangeable(
            "Access events are not deleted; see clinical.audit.chain for what is older than they are kept."
        )


CONTENT = [
    field.attname for field in AccessEvent._meta.fields if field.name not in ("id", "sequence", "previous", "sha256")
]


class ChangedValues(models.Model):
    """What the fields that an event changed held before and after.

    Beside the chain, which knows their salted hash: they go when a patient is erased, and the chain stays whole.
    """

    event = models.OneToOneField(AccessEvent, on_delete=models.CASCADE, primary_key=True, related_name="changed_values")
    salt = models.CharField(max_length=32)
    values = models.JSONField(help_text="Field -> [before, after], as text.")

    def __str__(self):
        return f"Values of access event {self.pk}"


class Chain(models.Model):
    """The end of a hospital's chain of access events, signed, so that nobody cuts it off unnoticed.

    Events up to number `removed` were removed because of their age; the chain goes on from the hash of the last.
    """

    hospital_key = models.PositiveBigIntegerField(primary_key=True, help_text="0: what belongs to no hospital.")
    length = models.PositiveBigIntegerField(default=0)
    sha256 = models.CharField("SHA-256", max_length=64, blank=True, help_text="Of the last event.")
    removed = models.PositiveBigIntegerField(default=0)
    removed_sha256 = models.CharField(max_length=64, blank=True, help_text="Of the last removed event.")
    sealed_at = models.DateTimeField(auto_now=True)
    signature = models.CharField(max_length=64)

    def __str__(self):
        return f"Chain of {f'hospital {self.hospital_key}' if self.hospital_key else 'the platform'}"
