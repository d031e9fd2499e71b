"""Pictures that were stored and filed for nobody go after a while, and no others."""

from datetime import timedelta

import pytest
from django.conf import settings
from django.core.files.base import ContentFile
from django.core.files.storage import storages
from django.utils import timezone

from boneage_portal.celery import app
from clinical.audit.models import AccessEvent
from clinical.studies import unfiled
from clinical.studies.intake import store
from clinical.studies.models import Radiograph
from clinical.studies.tasks import remove_unfiled
from clinical.studies.unfiled import KEPT_DAYS
from tests import radiograph_files
from tests.factories import ArrivalFactory, StudyFactory

pytestmark = pytest.mark.usefixtures("unscoped")
PICTURE = radiograph_files.png()


@pytest.fixture
def picture(hospital):
    """Stored long ago, and looked at."""
    radiograph, _ = store(hospital, PICTURE)
    storages["private"].save(radiograph.name.replace("radiographs/", "display/") + ".png", ContentFile(b"shown"))
    grow_old()
    return radiograph


def grow_old():
    Radiograph.objects.update(stored_at=timezone.now() - timedelta(days=KEPT_DAYS, minutes=1))


def files(radiograph):
    shown = radiograph.name.replace("radiographs/", "display/") + ".png"
    return [storages["private"].exists(name) for name in (radiograph.name, shown)]


def test_an_old_one_goes_with_its_files_and_on_record(picture):
    remove_unfiled.apply()
    assert not Radiograph.objects.exists()
    assert files(picture) == [False, False]
    assert AccessEvent.objects.get(verb="remove").object_key == str(picture.pk)


@pytest.mark.parametrize("state", ["queued", "cancelled"])
def test_one_that_was_filed_stays(picture, patient, state):
    StudyFactory(patient=patient, radiograph=picture, state=state)
    remove_unfiled.apply()
    assert files(picture) == [True, True]


def test_one_that_waits_for_its_patient_stays(picture, hospital):
    ArrivalFactory(hospital=hospital, radiograph=picture)
    remove_unfiled.apply()
    assert files(picture) == [True, True]


def test_one_that_was_sent_again_stays_for_as_long_again(picture, hospital):
    store(hospital, PICTURE)
    remove_unfiled.apply()
    assert files(picture) == [True, True]
    grow_old()
    remove_unfiled.apply()
    assert not Radiograph.objects.exists()


def test_one_that_is_sent_again_while_old_ones_are_removed_stays(picture, hospital, monkeypatch):
    remove = unfiled._remove
    monkeypatch.setattr(unfiled, "_remove", lambda key: store(hospital, PICTURE) and remove(key))
    remove_unfiled.apply()
    assert files(picture) == [True, True]


def test_the_day_on_which_a_filed_one_was_stored_stays(picture, patient, hospital):
    StudyFactory(patient=patient, radiograph=picture)
    before = Radiograph.objects.get().stored_at
    store(hospital, PICTURE)
    assert Radiograph.objects.get().stored_at == before


def test_what_the_storage_does_not_let_go_of_keeps_its_row(picture, monkeypatch):
    def refuse(name):
        raise PermissionError(name)

    monkeypatch.setattr(storages["private"], "delete", refuse)
    assert isinstance(remove_unfiled.apply().result, PermissionError)
    assert Radiograph.objects.get() == picture


def test_every_task_that_beat_starts_is_there():
    app.loader.import_default_modules()
    scheduled = {each["task"] for each in settings.CELERY_BEAT_SCHEDULE.values()}
    assert "clinical.studies.tasks.remove_unfiled" in scheduled
    assert scheduled <= set(app.tasks)
