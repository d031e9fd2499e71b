from allauth.account.adapter import get_adapter
from django.core.exceptions import PermissionDenied
from django.db import models

from clinical.audit.models import AccessEvent


class Verb(models.TextChoices):
    """What an AccessEvent can say."""

    VIEW = "view"
    DOWNLOAD = "download"
    EXPORT = "export"
    CREATE = "create"
    EDIT = "edit"
    ARCHIVE = "archive"
    RESTORE = "restore"
    REMOVE = "remove"
    SUBMIT = "submit"
    START = "start"
    FINISH = "finish"
    REJECT = "reject"
    FAIL = "fail"
    REQUEUE = "requeue"
    RETRY = "retry"
    REANALYSE = "reanalyse"
    CANCEL = "cancel"
    REVIEW = "review"
    SIGN = "sign"
    RELEASE = "release"
    AMEND = "amend"
    INVITE = "invite"
    WITHDRAW_INVITATION = "withdraw invitation"
    JOIN = "join"
    CHANGE_ROLE = "change role"
    REMOVE_MEMBER = "remove member"
    REVOKE = "revoke access"
    REGISTER_MODEL = "register model"
    ACTIVATE_MODEL = "activate model"
    RETIRE_MODEL = "retire model"
    START_SHADOW_RUN = "start shadow run"
    END_SHADOW_RUN = "end shadow run"


def record(verb, obj, *, actor=None, request=None, detail=""):
    """Write one AccessEvent about `obj`: a hospital, or what has `.hospital` and, where it concerns one, `.patient`.

    What belongs to no hospital, a version of the model for one, belongs to the platform.

    `actor` is a user; None stands for the system (a worker, a sweep). `request`, where there is one, names
    the actor and the address. `detail` is a short word, never patient data.
    """
    if request is not None:
        actor = actor or request.user
    patient_key = obj.pk if obj._meta.model_name == "patient" else getattr(obj, "patient_id", "")
    return AccessEvent.objects.create(
        hospital_id=obj.pk if obj._meta.model_name == "hospital" else getattr(obj, "hospital_id", None),
        actor=actor,
        actor_name=str(actor) if actor else "system",
        verb=verb,
        object_type=obj._meta.model_name,
        object_key=str(obj.pk),
        patient_key=str(patient_key or ""),
        detail=detail,
        address=_address(request) if request is not None else None,
    )


def _address(request):
    """Where the request came from. allauth, which limits rates by it, knows whether a proxy stands in front."""
    try:
        return get_adapter(request).get_client_ip(request)
    except PermissionDenied:  # a unix socket has none
        return None
