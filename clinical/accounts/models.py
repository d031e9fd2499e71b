"""Hospitals (the tenants), the people who sign in, and what each may do where.

Membership and Invitation decide which hospital a request may enter, so they are read before a scope exists:
they, and what families have in their place, are the tenant-owned tables with plain managers.
"""

import secrets
from datetime import timedelta

from allauth.account.models import EmailAddress
from django.conf import settings
from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.models import PermissionsMixin
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.utils import timezone
from knox.models import AbstractAuthToken

from clinical.growth.bone_age import REFERENCES


class Paper(models.TextChoices):
    A4 = "a4", "A4"
    LETTER = "letter", "Letter"


class Hospital(models.Model):
    name = models.CharField(max_length=200, unique=True)
    address = models.TextField(blank=True, max_length=400, help_text="As it stands in the letterhead of reports.")
    logo = models.CharField(
        max_length=200,
        blank=True,
        editable=False,
        help_text="Name of a PNG in the private storage, for the letterhead.",
    )
    paper = models.CharField(max_length=10, choices=Paper, default=Paper.A4, help_text="Of printed reports.")
    bone_age_reference = models.CharField(
        max_length=20,
        choices=[(key, table.name) for key, table in REFERENCES.items()],
        default="brush",
        help_text="The table that standard deviation scores are taken from.",
    )
    age_of_majority = models.PositiveSmallIntegerField(
        default=18,
        validators=[MinValueValidator(16), MaxValueValidator(21)],
        help_text="In years. From that birthday on parents no longer read a patient's reports.",
    )
    judged_to = models.UUIDField(
        null=True,
        editable=False,
        help_text="Since another table was chosen, studies are judged up to this key; empty: all are.",
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["name"]

    def __str__(self):
        return self.name


class UserManager(BaseUserManager):
    def create_user(self, email, password=None, **fields):
        """Create a user whose address counts as verified: there is no self sign-up, so it was either
        invited by mail or typed in by an operator."""
        user = self.model(email=email.lower(), **fields)
        user.set_password(password)
        user.save(using=self._db)
        EmailAddress.objects.create(user=user, email=user.email, primary=True, verified=True)
        return user

    def create_superuser(self, email, password=None, **fields):
        return self.create_user(email, password, is_staff=True, is_superuser=True, **fields)

    def get_by_natural_key(self, email):
        return self.get(email=email.lower())

    def with_address(self, email):
        """The user who signs in with `email`, be it their second address, or None."""
        return self.filter(emailaddress__email=email.lower(), emailaddress__verified=True).first()


class User(AbstractBaseUser, PermissionsMixin):
    """Somebody who signs in by e-mail: staff of hospitals, family of patients, or platform staff."""

    email = models.EmailField(
        "e-mail address", unique=True, error_messages={"unique": "Somebody with this address exists already."}
    )
    name = models.CharField(max_length=200)
    is_staff = models.BooleanField("platform staff", default=False, help_text="May sign in to the administration.")
    is_active = models.BooleanField("active", default=True)
    date_joined = models.DateTimeField(auto_now_add=True)

    objects = UserManager()
    USERNAME_FIELD = EMAIL_FIELD = "email"
    REQUIRED_FIELDS = ["name"]

    class Meta:
        ordering = ["name", "email"]

    def __str__(self):
        return self.name or self.email


class Role(models.TextChoices):
    TECHNICIAN = "technician", "Technician"
    DOCTOR = "doctor", "Doctor"
    HOSPITAL_ADMIN = "hospital_admin", "Hospital administrator"


class Membership(models.Model):
    """One role of one user in one hospital."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="memberships")
    hospital = models.ForeignKey(Hospital, on_delete=models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=20, choices=Role)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["hospital__name", "user__name", "pk"]
        constraints = [models.UniqueConstraint(fields=["user", "hospital"], name="one_role_per_hospital")]

    def __str__(self):
        return f"{self.user}, {self.get_role_display()} of {self.hospital}"


class Right(models.TextChoices):
    READ = "read", "Read"
    WRITE = "write", "Read and submit"


class AccessToken(AbstractAuthToken):
    """Lets a program do through the API what `membership` may, as far as `right` goes. The portal keeps its hash.

    It ends with the membership, and changes with its role. Like Membership it is read before there is a scope.
    """

    SOON = timedelta(days=14)  # before it ends people are told

    membership = models.ForeignKey(Membership, on_delete=models.CASCADE, related_name="access_tokens")
    name = models.CharField(max_length=60, help_text="What uses it, such as: PACS gateway.")
    right = models.CharField("rights", max_length=10, choices=Right, default=Right.READ)
    last_used_at = models.DateTimeField(null=True, editable=False)
    told_at = models.DateTimeField(null=True, editable=False, help_text="When people were told that it ends soon.")

    class Meta:
        ordering = ["-created"]

    def __str__(self):
        return f"{self.name}, of {self.membership}"

    @property
    def ends_soon(self):
        return self.expiry <= timezone.now() + self.SOON


class InvitationQuerySet(models.QuerySet):
    def unanswered(self):
        """Also what has expired, so that people see who never came."""
        return self.filter(accepted_at=None)

    def pending(self):
        return self.unanswered().filter(expires_at__gt=timezone.now())


def new_token():
    return secrets.token_urlsafe(32)


def invitation_expiry():
    return timezone.now() + timedelta(days=settings.INVITATION_DAYS)


class InvitationLink(models.Model):
    """A link sent by e-mail, the only way to an account. Whoever opens it may take what it offers, once.

    A subclass has a `hospital` and says what it offers: `right` in one word, the rows of its `holders()`, the
    invitations `alike()`, and `grant(user)`, which returns (row, whether it is new).
    """

    email = models.EmailField("e-mail address")
    token = models.CharField(max_length=64, unique=True, default=new_token, editable=False)
    invited_by = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField(default=invitation_expiry)
    accepted_at = models.DateTimeField(null=True, blank=True)

    objects = InvitationQuerySet.as_manager()

    class Meta:
        abstract = True
        ordering = ["-created_at"]

    @property
    def is_pending(self):
        return self.accepted_at is None and self.expires_at > timezone.now()


class Invitation(InvitationLink):
    """Makes whoever accepts it a member of the hospital, in the given role."""

    hospital = models.ForeignKey(Hospital, on_delete=models.CASCADE, related_name="invitations")
    role = models.CharField(max_length=20, choices=Role)

    def __str__(self):
        return f"{self.email}, {self.get_role_display()} of {self.hospital}"

    @property
    def right(self):
        return self.role

    def holders(self):
        return self.hospital.memberships

    def alike(self):
        return self.hospital.invitations

    def grant(self, user):
        return self.holders().get_or_create(user=user, defaults={"role": self.role})
