"""Files that are kept once, also where two come at once or one breaks off."""

import pytest
from django.core.files.storage import storages

from clinical.studies import display, intake
from clinical.studies.models import Radiograph
from inference.engine import read_radiograph
from tests import radiograph_files

pytestmark = pytest.mark.usefixtures("unscoped")
PICTURE = radiograph_files.png()


def keep(hospital):
    return intake.keep(hospital, PICTURE, read_radiograph(PICTURE))


def lying_in(folder):
    return storages["private"].listdir(folder)[1]


def test_a_file_that_comes_twice_at_once_is_stored_once(hospital, monkeypatch):
    save, other = storages["private"].save, []

    def second(name, content):
        if not other:
            other.append(True)
            other[0] = keep(hospital)
        return save(name, content)

    monkeypatch.setattr(storages["private"], "save", second)
    assert keep(hospital) == other[0] == Radiograph.objects.get()
    assert [f"radiographs/{hospital.pk}/{name}" for name in lying_in(f"radiographs/{hospital.pk}")] == [other[0].name]


def test_two_first_looks_at_once_leave_one_picture(hospital, monkeypatch):
    radiograph, looks = keep(hospital), []

    def reread(row):
        looks.append(row)
        if len(looks) == 1:
            display.display_name(row)
        return intake.reread(row)

    monkeypatch.setattr(display, "reread", reread)
    assert display.display_name(radiograph) == f"display/{hospital.pk}/{radiograph.sha256}.png"
    assert lying_in(f"display/{hospital.pk}") == [f"{radiograph.sha256}.png"]


def test_of_a_write_that_is_cut_off_nothing_is_kept(hospital, monkeypatch):
    def cut_off(content):
        yield content.read(100)
        raise SystemExit  # as a server does that is told to go while it writes

    with monkeypatch.context() as patched:
        patched.setattr("django.core.files.base.ContentFile.chunks", cut_off, raising=False)
        with pytest.raises(SystemExit):
            keep(hospital)
    assert lying_in(f"radiographs/{hospital.pk}") == []
    assert storages["private"].size(keep(hospital).name) == len(PICTURE)


def test_what_a_killed_process_left_is_written_anew(hospital):
    row = keep(hospital)
    row.delete()
    with storages["private"].open(row.name, "wb") as file:
        file.write(PICTURE[:100])
    with storages["private"].open(keep(hospital).name) as file:
        assert file.read() == PICTURE
