"""What somebody may do ends when it is taken from them, in whatever they are in the middle of."""

import pytest
from django.urls import reverse
from django.utils import timezone

from clinical.audit.models import AccessEvent
from clinical.patients import families
from tests.boneage_portal.test_routes import OWN_CLINICIANS, OWN_DOCTOR, ROUTES, answering, as_stored, path_to

STAFF_ONLY = {OWN_CLINICIANS, OWN_DOCTOR, answering(302, OWN_CLINICIANS), answering(302, OWN_DOCTOR)}
BY_STAFF = [name for name, route in ROUTES.items() if route.of and {route.get, route.post} & STAFF_ONLY]


@pytest.mark.usefixtures("unscoped")
@pytest.mark.parametrize("name", BY_STAFF)
def test_who_leaves_in_the_middle_of_a_session_neither_sees_nor_does_more(request, as_user, alice, hospital, name):
    row = request.getfixturevalue(ROUTES[name].of)
    client = as_user(alice)
    path = path_to(name, ROUTES[name].of, row)
    client.get(path).getvalue()
    before = as_stored(row)
    alice.memberships.all().delete()
    for response in (client.get(path), client.post(path)):
        assert response.status_code == 403
        assert b"Doe, Jane" not in response.content
    assert as_stored(row) == before


@pytest.mark.usefixtures("unscoped")
def test_who_is_a_doctor_no_longer_cannot_sign_what_they_opened_as_one(as_user, alice, study, report):
    client = as_user(alice)
    assert client.get(reverse("studies:detail", args=[study.pk])).status_code == 200
    alice.memberships.update(role="technician")
    before = as_stored(study)
    assert client.post(reverse("studies:sign", args=[study.pk]), {"seen": str(report.review_id)}).status_code == 403
    assert as_stored(study) == before


@pytest.mark.usefixtures("unscoped")
def test_a_download_that_has_begun_ends_and_is_the_last(as_user, mother, alice, patient, report):
    client = as_user(mother)
    address = reverse("reports:family_pdf", args=[report.pk])
    under_way = client.get(address)
    families.revoke(mother.guardianships.get(patient=patient), alice)
    assert under_way.getvalue() == b"%PDF-"
    assert client.get(address).status_code == 404
    assert AccessEvent.objects.filter(actor=mother, verb="download").count() == 1


@pytest.mark.usefixtures("unscoped")
def test_access_that_is_revoked_between_the_list_and_the_click_is_gone(as_user, mother, alice, patient, report):
    client = as_user(mother)
    assert client.get(reverse("patients:child", args=[patient.pk])).status_code == 200
    families.revoke(mother.guardianships.get(patient=patient), alice)
    for name, key in (("patients:child", patient.pk), ("reports:family_pdf", report.pk)):
        assert client.get(reverse(name, args=[key])).status_code == 404


@pytest.mark.usefixtures("unscoped")
def test_a_report_that_is_superseded_while_it_is_read_is_not_handed_out_again(as_user, mother, report):
    client = as_user(mother)
    address = reverse("reports:family_pdf", args=[report.pk])
    client.get(address).getvalue()
    type(report).objects.filter(pk=report.pk).update(superseded_at=timezone.now())
    assert client.get(address).status_code == 404
