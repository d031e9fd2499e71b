"""What people are told, in the portal and by mail. Nothing here names a patient.

Notifications belong to their user, whichever hospital sent them: always read them through the user.
"""

from datetime import timedelta

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone


class Kind(models.TextChoices):
    REPORT_READY = "report ready", "Reports of my family"
    STUDY_STOPPED = "study stopped", "Radiographs I submitted that could not be read"
    READING_DUE = "reading due", "Studies that are ready for a doctor to read"
    URGENT_READING = "urgent reading", "Urgent studies that are ready for a doctor to read"
    TOKEN_ENDS = "token ends", "Access tokens that end soon"

    @property
    def frequencies(self):
        """How often a mail of this kind may be had; the first is what nobody had to choose.

        What comes in numbers is never mailed one by one, unless it is urgent.
        """
        match self:
            case Kind.REPORT_READY:
                return (Frequency.AT_ONCE, Frequency.DAILY, Frequency.NEVER)
            case Kind.STUDY_STOPPED:
                return (Frequency.HOURLY, Frequency.DAILY, Frequency.NEVER)
            case Kind.READING_DUE:
                return (Frequency.DAILY, Frequency.HOURLY, Frequency.NEVER)
            case Kind.URGENT_READING:
                return (Frequency.AT_ONCE, Frequency.HOURLY, Frequency.NEVER)
            case Kind.TOKEN_ENDS:
                return (Frequency.DAILY, Frequency.NEVER)

    def in_a_mail(self, number):
        """All that a mail says of `number` such notifications."""
        match self:
            case Kind.REPORT_READY:
                return "A report is ready." if number == 1 else f"{number} reports are ready."
            case Kind.STUDY_STOPPED:
                what = "A radiograph" if number == 1 else f"{number} radiographs"
                return f"{what} that you submitted could not be read."
            case Kind.READING_DUE:
                return "Studies are ready for reading."
            case Kind.URGENT_READING:
                return (
                    "An urgent study is ready for reading."
                    if number == 1
                    else f"{number} urgent studies are ready for reading."
                )
            case Kind.TOKEN_ENDS:
                return "An access token ends soon." if number == 1 else f"{number} access tokens end soon."


DAILY_HOUR = 7


class Frequency(models.TextChoices):
    AT_ONCE = "at once", "At once"
    HOURLY = "hourly", "At most once an hour"
    DAILY = "daily", "Once a day"
    NEVER = "never", "Never"

    def next_mail(self, now):
        """When something of `now` is mailed, or None. What waits for the same hour or day goes in one mail."""
        local = timezone.localtime(now)
        match self:
            case Frequency.AT_ONCE:
                return now
            case Frequency.HOURLY:
                return local.replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
            case Frequency.DAILY:
                morning = local.replace(hour=DAILY_HOUR, minute=0, second=0, microsecond=0)
                return morning if morning > local else morning + timedelta(days=1)
            case Frequency.NEVER:
                return None


class MailPreference(models.Model):
    """How often one user wants mail of one kind. Without a row: as the kind's first frequency."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="mail_preferences")
    kind = models.CharField(max_length=20, choices=Kind)
    frequency = models.CharField(max_length=10, choices=Frequency)

    class Meta:
        ordering = ["user", "kind"]
        constraints = [models.UniqueConstraint(fields=["user", "kind"], name="one_preference_per_kind")]

    def __str__(self):
        return f"{self.get_kind_display()}: {self.get_frequency_display()}"


class NotificationQuerySet(models.QuerySet):
    def unread(self):
        return self.filter(read_at=None)

    def about(self, path):
        """Those that lead to `path` or to a part of it."""
        return self.filter(url__startswith=path)

    def mark_read(self):
        return self.unread().update(read_at=timezone.now())


class Notification(models.Model):
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="notifications")
    hospital = models.ForeignKey("accounts.Hospital", on_delete=models.CASCADE, related_name="+")
    kind = models.CharField(max_length=20, choices=Kind)
    message = models.CharField(max_length=500, help_text="Never patient data.")
    url = models.CharField(max_length=200, help_text="The page of the portal that it leads to.")
    created_at = models.DateTimeField(auto_now_add=True)
    read_at = models.DateTimeField(null=True)
    mail_due_at = models.DateTimeField(null=True, help_text="When it is to be mailed; empty: no more, or never.")

    objects = NotificationQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at", "-pk"]
        constraints = [
            # Told of the same thing once, until it is read. Serves the count of the unread, too.
            models.UniqueConstraint(
                fields=["user", "kind", "hospital", "url"], condition=Q(read_at=None), name="one_unread_of_a_thing"
            )
        ]
        indexes = [
            models.Index(fields=["user", "-created_at", "-id"]),
            models.Index(fields=["mail_due_at"], condition=Q(mail_due_at__isnull=False), name="mail_due"),
        ]

    def __str__(self):
        return f"{self.user}: {self.get_kind_display()}"
