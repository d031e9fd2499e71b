import uuid
from datetime import date, timedelta

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models.functions import Upper
from django.utils import timezone
from django_scopes import ScopedManager

from clinical.accounts.models import InvitationLink
from clinical.growth.ages import age_in_months, birthday, completed, in_words
from clinical.growth.preterm import corrected_age, gestation_days
from clinical.patients.search_text import search_text


class Sex(models.TextChoices):
    FEMALE = "F", "Female"
    MALE = "M", "Male"


SELF_FROM_YEARS = 12  # from this age a patient may be invited to read the reports themselves
ADULT_HEIGHT = [
    MinValueValidator(100, "A parent's height is given in centimetres, at least 100."),
    MaxValueValidator(250, "A parent's height is given in centimetres, at most 250."),
]


def check_gestation(value):
    try:
        gestation_days(value)
    except ValueError as error:
        raise ValidationError(str(error)) from None


class Patient(models.Model):
    """A child in one hospital's care. The same child in two hospitals is two patients."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    hospital = models.ForeignKey("accounts.Hospital", on_delete=models.PROTECT, related_name="patients")
    mrn = models.CharField("MRN", max_length=40, help_text="Medical record number, unique in the hospital.")
    family_name = models.CharField(max_length=200)
    given_name = models.CharField(max_length=200, blank=True)
    sex = models.CharField(max_length=1, choices=Sex, help_text="The sex whose reference is used.")
    date_of_birth = models.DateField()
    gestational_age = models.CharField(
        "gestational age at birth",
        max_length=10,
        blank=True,
        validators=[check_gestation],
        help_text="In weeks, with days if they are known: 34 or 34+2. The age of a child born before 37 weeks is "
        "corrected until three years.",
    )
    mother_height_cm = models.FloatField("mother's height (cm)", null=True, blank=True, validators=ADULT_HEIGHT)
    father_height_cm = models.FloatField("father's height (cm)", null=True, blank=True, validators=ADULT_HEIGHT)
    notes = models.TextField(blank=True, max_length=4000)
    search_text = models.TextField(editable=False, default="")  # kept by `save`; neither shown nor exported
    archived_at = models.DateTimeField(null=True, editable=False)
    anonymised_at = models.DateTimeField(null=True, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)

    objects = ScopedManager(hospital="hospital")

    class Meta:
        ordering = ["family_name", "given_name", "pk"]
        constraints = [models.UniqueConstraint("hospital", Upper("mrn"), name="mrn_unique_in_hospital")]
        indexes = [models.Index(fields=["hospital", "family_name", "given_name", "id"])]

    def __str__(self):
        return self.full_name

    def save(self, *args, update_fields=None, **kwargs):
        if update_fields is None or {"family_name", "given_name", "mrn"} & {*update_fields}:
            self.search_text = search_text(self.family_name, self.given_name, self.mrn)
            update_fields = update_fields and {*update_fields, "search_text"}
        super().save(*args, update_fields=update_fields, **kwargs)

    @property
    def full_name(self):
        return ", ".join(filter(None, [self.family_name, self.given_name]))

    @property
    def called(self):
        """As a sentence names the patient: not everybody has a given name."""
        return self.given_name or self.family_name

    def age_on(self, day):
        """Chronological age on `day` in months."""
        return age_in_months(self.date_of_birth, day)

    def corrected_age_on(self, day):
        """The age in months corrected for a preterm birth, or None where the chronological one counts."""
        return corrected_age(self.age_on(day), self.gestational_age)

    @property
    def age(self):
        return in_words(completed(self.age_on(date.today())))

    @property
    def may_read_own_reports(self):
        return self.age_on(date.today()) >= 12 * SELF_FROM_YEARS

    @property
    def of_age_on(self):
        """The day from which parents no longer read the reports."""
        return birthday(self.date_of_birth, self.hospital.age_of_majority)

    @property
    def is_of_age(self):
        return self.of_age_on <= date.today()


class Relation(models.TextChoices):
    SELF = "self", "Patient"
    MOTHER = "mother", "Mother"
    FATHER = "father", "Father"
    GUARDIAN = "guardian", "Guardian"
    OF_ADULT = "of_adult", "Guardian by order of a court"


OF_A_CHILD = [Relation.MOTHER, Relation.FATHER, Relation.GUARDIAN]  # their access ends when the patient is of age


class Guardianship(models.Model):
    """Lets one user see one patient's released reports.

    Like Membership it decides which hospitals a request may enter, so its manager is plain: always read it
    through the user or the patient.
    """

    hospital = models.ForeignKey("accounts.Hospital", on_delete=models.CASCADE, related_name="guardianships")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="guardianships")
    patient = models.ForeignKey(Patient, on_delete=models.CASCADE, related_name="guardianships")
    relation = models.CharField(max_length=10, choices=Relation)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["patient__family_name", "patient__given_name", "pk"]
        constraints = [models.UniqueConstraint(fields=["user", "patient"], name="one_relation_per_patient")]

    def __str__(self):
        return f"{self.user}, {self.get_relation_display()}"

    @property
    def ends_on(self):
        """The first day without access, or None where none is foreseen."""
        return self.patient.of_age_on if self.relation in OF_A_CHILD else None

    @property
    def ends_soon(self):
        return self.ends_on is not None and self.ends_on <= date.today() + timedelta(days=365)


class FamilyInvitation(InvitationLink):
    """Makes whoever accepts it family of the patient. Read before a scope exists, so its manager is plain, too."""

    hospital = models.ForeignKey("accounts.Hospital", on_delete=models.CASCADE, related_name="family_invitations")
    patient = models.ForeignKey(Patient, on_delete=models.CASCADE, related_name="family_invitations")
    relation = models.CharField(max_length=10, choices=Relation)

    def __str__(self):
        return f"{self.email}, {self.get_relation_display()}"

    @property
    def right(self):
        return self.relation

    def holders(self):
        return self.patient.guardianships

    def alike(self):
        return self.patient.family_invitations

    def grant(self, user):
        return self.holders().get_or_create(
            user=user, defaults={"relation": self.relation, "hospital_id": self.hospital_id}
        )


class Source(models.TextChoices):
    CLINIC = "clinic", "Measured in the clinic"
    PARENTS = "parents", "Told by the parents"
    RECORDS = "records", "Taken from records"


class MeasuredValues(models.Model):
    """Height, weight or both as measured on one day, and who entered them when."""

    hospital = models.ForeignKey("accounts.Hospital", on_delete=models.PROTECT, related_name="+")
    measured_on = models.DateField("date")
    height_cm = models.FloatField("height (cm)", null=True, blank=True)
    weight_kg = models.FloatField("weight (kg)", null=True, blank=True)
    source = models.CharField(max_length=10, choices=Source, default=Source.CLINIC)
    entered_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    entered_at = models.DateTimeField(default=timezone.now, editable=False)

    objects = ScopedManager(hospital="hospital")

    class Meta:
        abstract = True

    def __str__(self):
        return f"{self._meta.verbose_name} {self.pk}"

    @property
    def values_in_words(self):
        values = (self.height_cm, "cm"), (self.weight_kg, "kg")
        return ", ".join(f"{value:g} {unit}" for value, unit in values if value is not None)


class Measurement(MeasuredValues):
    """What counts now. An edit or a removal leaves the values before it as a FormerMeasurement."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    patient = models.ForeignKey(Patient, on_delete=models.PROTECT, related_name="measurements")

    class Meta:
        ordering = ["-measured_on", "-entered_at"]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(height_cm__isnull=False) | models.Q(weight_kg__isnull=False),
                name="height_or_weight_measured",
            )
        ]


class FormerMeasurement(MeasuredValues):
    """Values of a measurement until somebody changed or removed it. Never changed itself.

    It names its measurement by key, not by a foreign key, so that it outlives the removal.
    """

    patient = models.ForeignKey(Patient, on_delete=models.PROTECT, related_name="former_measurements")
    measurement_key = models.UUIDField(db_index=True)
    replaced_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    replaced_at = models.DateTimeField(default=timezone.now)
    removed = models.BooleanField(default=False, help_text="Removed, not edited.")

    class Meta:
        ordering = ["-replaced_at", "-pk"]


class Retention(models.Model):
    """How long a hospital must keep signed reports and what they were made from. Without a row: the defaults.

    The defaults are Germany's for radiographs of minors (StrlSchG section 85 (2)): ten years, and until the age of 28.
    """

    hospital = models.OneToOneField("accounts.Hospital", on_delete=models.CASCADE, primary_key=True, related_name="+")
    years = models.PositiveSmallIntegerField(
        "years after the last signed report", default=10, validators=[MaxValueValidator(100)]
    )
    until_age = models.PositiveSmallIntegerField(
        "and until the patient is of age", default=28, validators=[MaxValueValidator(100)]
    )

    objects = ScopedManager(hospital="hospital")

    def __str__(self):
        return f"{self.years} years, and until the age of {self.until_age}"


class ErasureMode(models.TextChoices):
    ANONYMISE = "anonymise", "Anonymise: keep ages, readings and states for statistics"
    ERASE = "erase", "Erase: keep nothing but the record of access"


class ErasureQuerySet(models.QuerySet):
    def scheduled(self):
        return self.filter(cancelled_at=None, done_at=None)


class Erasure(models.Model):
    """What an administrator has decided about a patient's data, and what became of it. See `erasure`."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    hospital = models.ForeignKey("accounts.Hospital", on_delete=models.PROTECT, related_name="+")
    patient = models.ForeignKey(Patient, on_delete=models.SET_NULL, null=True, related_name="erasures")
    patient_key = models.UUIDField(editable=False)
    mode = models.CharField(max_length=10, choices=ErasureMode)
    reason = models.CharField(max_length=400, help_text="Stays on record: no names, no findings.")
    override = models.CharField(
        "why before the end of retention",
        max_length=400,
        blank=True,
        help_text="Stays on record: no names, no findings.",
    )
    requested_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    requested_at = models.DateTimeField(auto_now_add=True)
    due_at = models.DateTimeField()
    cancelled_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+")
    cancelled_at = models.DateTimeField(null=True)
    done_at = models.DateTimeField(null=True)
    files = models.JSONField(default=list, help_text="Names in the private storage that are still to be deleted.")

    objects = ScopedManager(_manager_class=models.Manager.from_queryset(ErasureQuerySet), hospital="hospital")

    class Meta:
        ordering = ["-requested_at"]
        constraints = [
            models.UniqueConstraint(
                fields=["patient"], condition=models.Q(cancelled_at=None, done_at=None), name="one_scheduled_erasure"
            )
        ]

    def __str__(self):
        return f"Erasure {self.pk}"


class ExportState(models.TextChoices):
    MAKING = "making", "Being made"
    READY = "ready", "Ready"
    FAILED = "failed", "Failed"
    EXPIRED = "expired", "Expired"


class PatientExport(models.Model):
    """A copy of all that is held about a patient, in one ZIP file, for a limited time. See `copies`."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    hospital = models.ForeignKey("accounts.Hospital", on_delete=models.PROTECT, related_name="+")
    patient = models.ForeignKey(Patient, on_delete=models.CASCADE, related_name="exports")
    requested_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    requested_at = models.DateTimeField(auto_now_add=True)
    state = models.CharField(max_length=10, choices=ExportState, default=ExportState.MAKING)
    attempt = models.PositiveSmallIntegerField(default=0)
    delivered_at = models.DateTimeField(null=True, help_text="When a message was last sent to the workers.")
    started_at = models.DateTimeField(null=True, help_text="When a worker last began with it.")
    done = models.PositiveIntegerField(default=0, help_text="Files that are in it.")
    total = models.PositiveIntegerField(default=0, help_text="Files that will be.")
    reason = models.CharField(max_length=200, blank=True, help_text="Why it failed, for the user.")
    file = models.CharField(max_length=200, blank=True, help_text="Name in the private storage.")
    size_bytes = models.PositiveBigIntegerField(default=0)
    expires_at = models.DateTimeField(null=True)

    objects = ScopedManager(hospital="hospital")

    class Meta:
        ordering = ["-requested_at"]
        constraints = [
            models.UniqueConstraint(
                fields=["patient"], condition=models.Q(state="making"), name="one_export_of_a_patient_at_a_time"
            )
        ]
        indexes = [models.Index(fields=["state", "delivered_at"]), models.Index(fields=["state", "expires_at"])]

    def __str__(self):
        return f"Export {self.pk}"
