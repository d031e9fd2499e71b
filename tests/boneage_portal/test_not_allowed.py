"""What is seen at an address that only takes forms, entered as that of a page."""

import pytest
from django.urls import reverse

pytestmark = pytest.mark.usefixtures("unscoped")


@pytest.mark.parametrize("method", ["get", "head"])
def test_the_address_of_a_button_is_a_page_that_says_so(as_user, tess, patient, method):
    response = getattr(as_user(tess), method)(reverse("patients:archive", args=[patient.pk]))
    assert (response.status_code, response["Allow"]) == (405, "POST")
    assert ("This is no page to open" in response.content.decode()) == (method == "get")
    patient.refresh_from_db()
    assert patient.archived_at is None


def test_it_names_no_patient(as_user, tess, patient):
    page = as_user(tess).get(reverse("patients:archive", args=[patient.pk])).content.decode()
    assert patient.family_name not in page


def test_a_program_is_answered_in_its_own_way(client):
    response = client.get("/api/v1/studies/00000000-0000-0000-0000-000000000000/cancel/")
    assert response["Content-Type"] == "application/json"
