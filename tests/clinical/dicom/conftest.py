import pytest
from django_scopes import scope

from tests.factories import SenderFactory


@pytest.fixture
def room(tess):
    """The X-ray room of the hospital, which sends in Tess' name."""
    return SenderFactory(name="X-ray room 2", ae_title="ROOM_2", membership=tess.memberships.get())


@pytest.fixture
def in_hospital(hospital):
    with scope(hospital=[hospital.pk]):
        yield
