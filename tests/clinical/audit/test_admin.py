"""Access events in the administration."""

from datetime import UTC, datetime

import pytest

from clinical.audit.models import AccessEvent
from clinical.audit.record import Verb, record

pytestmark = pytest.mark.usefixtures("unscoped")


def test_moments_are_written_by_24_hours_and_those_of_events_to_the_second(as_user, root, patient):
    record(Verb.VIEW, patient, actor=root)
    type(root).objects.filter(pk=root.pk).update(date_joined=datetime(2026, 11, 27, 21, 5, tzinfo=UTC))
    client = as_user(root)
    assert "27 Nov 2026, 21:05" in client.get("/admin/accounts/user/").content.decode()
    at = AccessEvent.objects.filter(verb=Verb.VIEW).latest("pk").at
    assert f"{at:%H:%M:%S}" in client.get("/admin/audit/accessevent/").content.decode()


def test_roles_have_their_names(as_user, root, ada, patient):
    as_user(ada).get(f"/patients/{patient.pk}/privacy/")
    page = as_user(root).get("/admin/audit/accessevent/").content.decode()
    assert "Hospital administrator</td>" in page
    assert "hospital_admin" not in page
