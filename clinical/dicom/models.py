import uuid

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models
from django.urls import reverse
from django_scopes import ScopedManager

from clinical.accounts.permissions import CLINICAL_ROLES
from clinical.patients.models import Sex

AE_TITLE = RegexValidator(
    r"\A[!-\[\]-~]([ -\[\]-~]{0,14}[!-\[\]-~])?\Z",
    "An AE title has 1 to 16 letters, digits and signs, no backslash, and no space at its ends.",
)  # DICOM PS3.5, value representation AE


TITLE = "BONEAGE"


def title_of(hospital_id):
    """The AE title by which a hospital is called: "BONEAGE7"."""
    return f"{TITLE}{hospital_id}"


class Sender(models.Model):
    """A modality or PACS that films are taken from, each in the name of a member of the hospital.

    DICOM asks for no password. So a sender is who calls itself by this AE title, from this address.
    """

    hospital = models.ForeignKey("accounts.Hospital", on_delete=models.CASCADE, related_name="senders")
    name = models.CharField(max_length=60, help_text="What people call it, such as: X-ray room 2.")
    ae_title = models.CharField("AE title", max_length=16, validators=[AE_TITLE], help_text="By which it calls itself.")
    address = models.GenericIPAddressField("IP address", help_text="From which it calls.")
    membership = models.ForeignKey(
        "accounts.Membership",
        on_delete=models.SET_NULL,
        null=True,
        related_name="+",
        verbose_name="in the name of",
        help_text="Who stands in the record for what it sends.",
    )
    last_called_at = models.DateTimeField(null=True, editable=False)
    last_film_at = models.DateTimeField(null=True, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)

    objects = ScopedManager(hospital="hospital")

    class Meta:
        ordering = ["name", "pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["hospital", "ae_title", "address"],
                name="one_sender_per_title_and_address",
                violation_error_message="A sender with this AE title and address is on the list already.",
            )
        ]

    def __str__(self):
        return self.name

    @property
    def is_heard(self):
        """Nothing is taken in the name of somebody who has left, cannot sign in or works with no films any more."""
        member = self.membership
        return member is not None and member.user.is_active and member.role in CLINICAL_ROLES


class Archive(models.Model):
    """A PACS that the signed reports of a hospital are sent to.

    The platform's staff keep it, since the portal connects to whatever stands here.
    """

    hospital = models.ForeignKey("accounts.Hospital", on_delete=models.CASCADE, related_name="archives")
    name = models.CharField(max_length=60, help_text="What people call it, such as: PACS.")
    ae_title = models.CharField("AE title", max_length=16, validators=[AE_TITLE], help_text="By which it is called.")
    host = models.CharField(max_length=253, help_text="Its name in the network, or its IP address.")
    port = models.PositiveIntegerField(default=104, validators=[MinValueValidator(1), MaxValueValidator(65535)])
    encrypted = models.BooleanField(default=False, help_text="It speaks TLS.")
    created_at = models.DateTimeField(auto_now_add=True)

    objects = ScopedManager(hospital="hospital")

    class Meta:
        ordering = ["name", "pk"]

    def __str__(self):
        return self.name


IN_ANOTHER_FILE = "This film is filed already, from a file with another header or compression."


class Arrival(models.Model):
    """A film that a sender has sent and the portal could file for nobody: it waits until somebody says whose it is.

    What its header says is copied, so that it can be listed. The row goes when the film is filed.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    hospital = models.ForeignKey("accounts.Hospital", on_delete=models.PROTECT, related_name="+")
    sender = models.ForeignKey(Sender, on_delete=models.SET_NULL, null=True, related_name="arrivals")
    radiograph = models.ForeignKey("studies.Radiograph", on_delete=models.PROTECT, related_name="arrivals")
    submission = models.UUIDField(help_text="Of its SOP instance, so that one film makes one study.")
    mrn = models.CharField("patient ID", max_length=64, blank=True)
    family_name = models.CharField(max_length=64, blank=True)
    given_name = models.CharField(max_length=64, blank=True)
    sex = models.CharField(max_length=1, choices=Sex, blank=True)
    date_of_birth = models.DateField(null=True)
    acquired_on = models.DateField("study date", null=True)
    for_another = models.BooleanField(default=False, help_text="The very picture is filed for another patient.")
    doubts = models.CharField(max_length=400, blank=True, help_text="Why else it could not be filed, in sentences.")
    received_at = models.DateTimeField(auto_now_add=True)
    discarded_at = models.DateTimeField(null=True)
    discarded_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+")

    objects = ScopedManager(hospital="hospital")

    class Meta:
        ordering = ["-received_at", "-pk"]
        constraints = [
            models.UniqueConstraint(fields=["hospital", "radiograph"], name="one_arrival_per_radiograph"),
        ]
        indexes = [
            models.Index(fields=["hospital", "discarded_at", "-received_at"]),
            models.Index(fields=["hospital", "submission"]),
        ]

    def __str__(self):
        return f"Arrival {str(self.pk)[:8]}"

    def get_absolute_url(self):
        return reverse("dicom:arrival", args=[self.pk])

    @property
    def full_name(self):
        return ", ".join(filter(None, [self.family_name, self.given_name]))

    @property
    def reason(self):
        """Why it waits, in sentences."""
        return "This very picture is filed for another patient of the hospital." if self.for_another else self.doubts
