"""A patient whom every row and file that can names, and how one sees that nothing does any more."""

import json

from django.apps import apps
from django.core.files.base import ContentFile
from django.core.files.storage import storages
from django.db.models import QuerySet
from django.utils import timezone

from clinical.patients import erasure, tasks
from clinical.patients.models import Erasure, Patient
from tests import radiograph_files

SECRET = "Xanthippe"  # in every field that may name the patient
PICTURE = radiograph_files.png()


def kept(name, content=b"file"):
    return storages["private"].save(name, ContentFile(content))


def files():
    storage, folders, found = storages["private"], [""], []
    while folders:
        folder = folders.pop()
        inner, names = storage.listdir(folder)
        folders += [f"{folder}{name}/" for name in inner]
        found += [f"{folder}{name}" for name in names]
    return found


def everything():
    """All rows of all tables, as text."""
    models = [model for model in apps.get_models(include_auto_created=True) if model._meta.app_label != "sessions"]
    return json.dumps([list(QuerySet(model).values()) for model in models], default=str)


def carry_out(patient, mode, actor):
    scheduled = erasure.schedule(patient, mode, "The family asked for it.", actor, override="A court said so.")
    tasks.carry_out_erasures()
    assert Patient.objects.filter(family_name=SECRET).exists()  # not before its time
    Erasure.objects.update(due_at=timezone.now())
    tasks.carry_out_erasures()
    scheduled.refresh_from_db()
    assert scheduled.done_at is not None
