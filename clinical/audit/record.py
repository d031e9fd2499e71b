"""Writing access events. Whatever happens to patient data, or to who may see it, says so here."""

import secrets
from contextlib import nullcontext

from allauth.account.adapter import get_adapter
from allauth.core import context
from django.core.exceptions import PermissionDenied
from django.db import models, transaction
from django.urls import reverse
from django_scopes import scopes_disabled

from clinical.accounts.models import Role
from clinical.audit.chain import values_digest
from clinical.audit.models import AccessEvent, ChangedValues


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
    WITHDRAW = "withdraw"
    REVIEW = "review"
    SIGN = "sign"
    RELEASE = "release"
    AMEND = "amend"
    INVITE = "invite"
    WITHDRAW_INVITATION = "withdraw invitation"
    MAKE_TOKEN = "make access token"
    REVOKE_TOKEN = "revoke access token"
    JOIN = "join"
    CHANGE_ROLE = "change role"
    REMOVE_MEMBER = "remove member"
    REVOKE = "revoke access"
    REGISTER_MODEL = "register model"
    ACTIVATE_MODEL = "activate model"
    RETIRE_MODEL = "retire model"
    START_SHADOW_RUN = "start shadow run"
    END_SHADOW_RUN = "end shadow run"
    SIGN_IN = "sign in"
    FAIL_TO_SIGN_IN = "fail to sign in"
    SIGN_OUT = "sign out"
    END_SESSION = "end session"
    CHANGE_PASSWORD = "change password"
    CHANGE_ADDRESS = "change address"
    CHANGE_SECOND_FACTOR = "change second factor"
    CHANGE_IDENTITY = "change identity"
    ADMINISTER = "administer"
    CONFIGURE = "configure"
    SCHEDULE_ERASURE = "schedule erasure"
    CANCEL_ERASURE = "cancel erasure"
    ANONYMISE = "anonymise"
    ERASE = "erase"
    REMOVE_OLD_EVENTS = "remove old events"


SYSTEM, NOBODY = "system", "not signed in"
FAMILY, STAFF = "family", "platform_staff"
ROLES = {**dict(Role.choices), FAMILY: "Family", STAFF: "Platform staff"}


def record(verb, obj, *, actor=None, request=None, detail="", hospital_id=None, changes=None):
    """Write one AccessEvent about `obj`: a hospital, or what has `.hospital` and, where it concerns one, `.patient`.

    What belongs to no hospital, a version of the model for one, belongs to the platform; of a person who belongs to
    several, `hospital_id` says whose record it is.

    `actor` is a user; None stands for the system (a worker, a sweep). `request`, where there is one, names
    the actor and the address, and the access token of a program. `detail` is a short word, never patient data.
    `changes`: field -> (before, after); they are kept beside the event.
    """
    event = _event(verb, obj, actor, request, detail, hospital_id)
    # The platform's rows are in no hospital's scope.
    with nullcontext() if event.hospital_id else scopes_disabled():
        if not changes:
            event.save()
            return event
        salt = secrets.token_hex(16)
        values = {name: [_text(value) for value in pair] for name, pair in changes.items()}
        event.values_sha256 = values_digest(salt, values)
        with transaction.atomic():
            event.save()
            ChangedValues.objects.create(event=event, salt=salt, values=values)
    return event


def record_each(verb, objects, *, request, detail=""):
    """Write one AccessEvent about each of many `objects` of hospitals, in few statements."""
    AccessEvent.objects.bulk_create([_event(verb, obj, None, request, detail, None) for obj in objects], batch_size=500)


def _event(verb, obj, actor, request, detail, hospital_id):
    if request is not None and request.user.is_authenticated:
        actor = actor or request.user
    elif request is None and actor is not None and context.request is not None and context.request.user == actor:
        request = context.request
    kind = obj._meta.model_name
    if hospital_id is None:
        hospital_id = obj.pk if kind == "hospital" else getattr(obj, "hospital_id", None)
    patient_key = obj.pk if kind == "patient" else getattr(obj, "patient_id", "")
    if token := getattr(request, "access_token", None):
        detail = ", ".join(filter(None, [detail, f"by {token.name}"]))
    return AccessEvent(
        hospital_id=hospital_id,
        actor=actor,
        actor_name=str(actor) if actor else SYSTEM if request is None else NOBODY,
        actor_role=_role(actor, hospital_id, request) if actor and request is not None else "",
        verb=verb,
        object_type=kind,
        object_key=str(obj.pk or ""),
        patient_key=str(patient_key or ""),
        detail=detail[:200],
        address=_address(request) if request is not None else None,
    )


def _role(actor, hospital_id, request):
    """As what somebody acts: a doctor who reads about a child of theirs on the family's pages is family there."""
    membership = getattr(request, "membership", None)
    if request.path.startswith(reverse("patients:family")):
        return FAMILY
    if membership is not None and membership.hospital_id == hospital_id and membership.user_id == actor.pk:
        return membership.role
    if actor.is_staff:
        return STAFF
    return FAMILY if getattr(request, "is_family", False) else ""


def _text(value):
    return None if value is None else str(value)


def _address(request):
    """Where the request came from. allauth, which limits rates by it, knows whether a proxy stands in front."""
    try:
        return get_adapter(request).get_client_ip(request)
    except PermissionDenied:  # a unix socket has none
        return None
