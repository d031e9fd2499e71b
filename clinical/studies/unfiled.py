"""Pictures that were stored and filed for nobody: an upload was refused at the last, or a question never answered."""

from datetime import timedelta

from django.core.files.storage import storages
from django.db import transaction
from django.utils import timezone

from clinical.audit.record import Verb, record
from clinical.studies.display import png_name
from clinical.studies.models import Radiograph

KEPT_DAYS = 7
"""For so long the question whether a picture is meant can be answered."""


def remove_unfiled():
    """Let go of them. Returns their number."""
    return sum(_remove(key) for key in list(_unfiled().values_list("pk", flat=True)))


def _unfiled():
    """What no row refers to, of whichever floor, and has not done for a while."""
    nobodys = Radiograph.objects.filter(**{each.name: None for each in Radiograph._meta.related_objects})
    return nobodys.filter(stored_at__lt=timezone.now() - timedelta(days=KEPT_DAYS))


@transaction.atomic
def _remove(key):
    """Remove one with its files, inside the transaction: what the storage does not let go of keeps its row."""
    radiograph = Radiograph.objects.select_for_update().filter(pk=key).first()
    if not _unfiled().filter(pk=key).exists():  # asked once it is locked: somebody may have sent or filed it since
        return False
    record(Verb.REMOVE, radiograph, detail="filed for nobody")
    names = radiograph.name, png_name(radiograph)
    radiograph.delete()
    for name in names:
        storages["private"].delete(name)
    return True
