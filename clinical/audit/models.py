from django.conf import settings
from django.db import models
from django_scopes import ScopedManager


class AccessEvent(models.Model):
    """Who saw, changed or took what, when. Written once by `record`, never changed.

    Rows outlive what they speak of: the actor's name and the object's key are copied, foreign keys go null.
    """

    hospital = models.ForeignKey(
        "accounts.Hospital", on_delete=models.SET_NULL, null=True, related_name="access_events"
    )
    at = models.DateTimeField(auto_now_add=True, db_index=True)
    actor = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+")
    actor_name = models.CharField(max_length=200)
    verb = models.CharField(max_length=40, db_index=True)
    object_type = models.CharField(max_length=40)
    object_key = models.CharField(max_length=40)
    patient_key = models.CharField(max_length=40, blank=True, db_index=True)
    detail = models.CharField(max_length=200, blank=True)
    address = models.GenericIPAddressField(null=True)

    objects = ScopedManager(hospital="hospital")

    class Meta:
        ordering = ["-at", "-pk"]
        indexes = [models.Index(fields=["object_type", "object_key"])]

    def __str__(self):
        return f"{self.actor_name} {self.verb} {self.object_type} {self.object_key}"
