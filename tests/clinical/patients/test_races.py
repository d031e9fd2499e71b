"""Many at once on PostgreSQL, where statements really run side by side."""

import pytest
from django.urls import reverse

from clinical.accounts.scope import every_hospital
from tests.conftest import Visitor
from tests.crowd import CROWD, at_once
from tests.factories import MeasurementFactory

pytestmark = [pytest.mark.servers, pytest.mark.django_db(transaction=True)]


def test_of_many_who_change_a_measurement_at_once_all_but_one_are_shown_what_stands_there(as_user, alice, patient):
    with every_hospital():
        measurement = MeasurementFactory(patient=patient, entered_by=alice)
    path = reverse("patients:edit_measurement", args=[measurement.pk])
    client = as_user(alice)
    form = client.get(path).context["form"]
    sent = {name: form[name].value() or "" for name in form.fields}
    clients = [Visitor() for _ in range(CROWD)]
    for each in clients:
        each.cookies = client.cookies
    came = at_once(lambda number: clients[number].post(path, sent | {"height_cm": f"{140 + number}"}))
    assert sorted(response.status_code for response in came) == [302] + [422] * (CROWD - 1)
    with every_hospital():
        [former] = patient.former_measurements.all()
        [kept] = patient.measurements.all()
    assert former.height_cm == measurement.height_cm
    assert came[int(kept.height_cm) - 140].status_code == 302
