"""Changes of fields, wherever they are made: which on record, what they held before and after beside it.

Only rows that are edited in place are here. All else changes by verbs of a workflow, each on record, and leaves a
former row: measurements, readings, reports, analyses.
"""

from allauth.core import context
from django.contrib.admin.models import ADDITION, CHANGE, DELETION, LogEntry
from django.db.models.signals import post_delete, post_save, pre_save
from django.dispatch import receiver

from clinical.audit.record import Verb, record
from clinical.audit.sign_ins import record_person

TRACKED = {
    "accounts.User": ("name", "email", "is_staff", "is_superuser", "is_active"),
    "accounts.Hospital": ("name", "address", "logo", "paper", "bone_age_reference", "age_of_majority"),
    "dicom.Archive": ("name", "ae_title", "host", "port", "encrypted"),
    "dicom.Sender": ("name", "ae_title", "address", "membership"),
    "patients.Patient": (
        *("mrn", "family_name", "given_name", "sex", "date_of_birth"),
        *("gestational_age", "mother_height_cm", "father_height_cm", "notes"),
    ),
}


@receiver(pre_save)
def remember(sender, instance, raw=False, **kwargs):
    """What the fields hold in the database, for `note`."""
    fields = TRACKED.get(sender._meta.label)
    if fields and not raw and not instance._state.adding:
        instance._stored = sender._base_manager.filter(pk=instance.pk).values(*fields).first()


@receiver(post_save)
def note(sender, instance, **kwargs):
    stored = instance.__dict__.pop("_stored", None)
    if stored is None:
        return
    # As the database gives them: a form may have left text where there is a number.
    now = sender._base_manager.filter(pk=instance.pk).values(*stored).get()
    changes = {name: (before, now[name]) for name, before in stored.items() if now[name] != before}
    if changes:
        _record(Verb.EDIT, instance, ", ".join(changes), changes)


@receiver(post_delete)
def note_removal(sender, instance, **kwargs):
    if sender._meta.label in TRACKED:
        _record(Verb.REMOVE, instance)


def _record(verb, instance, detail="", changes=None):
    actor = context.request.user if context.request and context.request.user.is_authenticated else None
    about = {"actor": actor, "detail": detail, "changes": changes}
    if instance._meta.model_name == "user":
        record_person(verb, instance, **about)
    else:
        record(verb, instance, **about)


ACTS = {ADDITION: "add", CHANGE: "change", DELETION: "delete"}


@receiver(post_save, sender=LogEntry)
def note_act(sender, instance, created, **kwargs):
    """An act in the administration. The text of Django's own log quotes the row; here is which row, and no more."""
    model = instance.content_type and instance.content_type.model_class()
    if not created or model is None:
        return
    row = model._base_manager.filter(pk=instance.object_id).first() or model(pk=instance.object_id)
    membership = context.request and getattr(context.request, "membership", None)
    at_home = None if instance.user.is_staff else membership and membership.hospital_id
    record(Verb.ADMINISTER, row, actor=instance.user, detail=ACTS[instance.action_flag], hospital_id=at_home)
