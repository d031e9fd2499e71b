"""Who is shown a patient's name is on record, page by page, forms that are sent back included."""

import pytest

from clinical.audit.models import AccessEvent
from tests.boneage_portal.test_routes import PEOPLE, ROUTES, path_to

PAGES = [(name, method) for name in ROUTES for method in ("get", "post")]


@pytest.mark.parametrize(("name", "method"), PAGES)
def test_a_page_with_a_patients_name_leaves_an_access_event(request, unscoped, sent, patient, name, method):
    route = ROUTES[name]
    row = request.getfixturevalue(route.of or "hospital")
    for person, answer in zip(PEOPLE, getattr(route, method), strict=True):
        if answer not in (200, 422):
            continue
        before = set(AccessEvent.objects.values_list("pk", flat=True))
        response = sent(person, method, path_to(name, route.of, row))
        if not response.streaming and b"Doe, Jane" in response.content:
            event = AccessEvent.objects.exclude(pk__in=before).latest("pk")
            assert event.actor == request.getfixturevalue(person)
            assert event.patient_key in (str(patient.pk), "")  # a list is one event of the hospital
