"""A form that is opened in one hospital does not write into another that was chosen meanwhile, in another tab."""

import re
from html import unescape

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from clinical.accounts.models import Invitation
from clinical.patients.models import Patient, Retention
from clinical.studies.models import Study
from tests import radiograph_files
from tests.factories import MembershipFactory, PatientFactory, ReviewFactory, StudyFactory

pytestmark = pytest.mark.usefixtures("unscoped")

CHILD = {"mrn": "B-2", "family_name": "Roe", "given_name": "Kim", "sex": "F", "date_of_birth": "2014-03-09"}
# What is made -> who makes it, the page with the form, where it goes, what is filled in.
FORMS = {
    Patient: ("tess", "/patients/new/", "/patients/new/", CHILD),
    Study: ("tess", "/studies/upload/", "/studies/upload/", {"acquired_on": "2024-06-03", "indication": "Short"}),
    Invitation: ("ada", "/members/", "/members/invite/", {"email": "new@example.org", "role": "doctor"}),
    Retention: ("ada", "/privacy/", "/privacy/", {"years": "37", "until_age": "29"}),
}


@pytest.fixture
def two_tabs(request, as_user, hospital, other_hospital):
    """Open a form in the hospital; returns `send(role, **further)`, which sends it after going over to the other."""
    for each in (hospital, other_hospital):
        PatientFactory(hospital=each, mrn="A-1")

    def open_form(model):
        person, page, path, fields = FORMS[model]
        user = request.getfixturevalue(person)
        client = as_user(user)
        opened = client.get(page).content.decode()
        # Tokens and keys as the browser sends them back.
        hidden = dict(re.findall(r'<input type="hidden"\s+name="(hospital|submission)"\s+value="(.+?)"', opened))

        def send(hospital, role=None, **headers):
            membership = user.memberships.filter(hospital=hospital).first()
            membership = membership or MembershipFactory(user=user, hospital=hospital, role=role)
            client.post("/hospital/", {"membership": membership.pk})
            files = {"files": SimpleUploadedFile("A-1.png", radiograph_files.png())} if model is Study else {}
            return client.post(path, fields | hidden | files, headers=headers)

        return send

    return open_form


def roles(model):
    return "hospital_admin" if FORMS[model][0] == "ada" else "technician"


@pytest.mark.parametrize("model", FORMS)
def test_it_is_refused_as_it_was_filled_in_and_taken_after_changing_back(two_tabs, hospital, other_hospital, model):
    before = model.objects.count()
    send = two_tabs(model)
    response = send(other_hospital, roles(model))
    page = response.content.decode()
    assert response.status_code == 409
    assert f"You work in {other_hospital} now. This was opened in {hospital}:".replace("'", "&#x27;") in page
    for typed in FORMS[model][3].values():
        assert typed in page
    assert f'name="hospital"\n         value="{hospital.pk}"' in page
    assert model.objects.count() == before
    assert send(hospital).status_code in (200, 302)
    assert [made.hospital for made in model.objects.all()][before:] == [hospital]


@pytest.mark.parametrize("headers", [{}, {"HX-Request": "true"}])
def test_whoever_has_another_role_there_is_told_the_same(two_tabs, other_hospital, headers):
    response = two_tabs(Study)(other_hospital, "hospital_admin", **headers)
    assert response.status_code == 409
    assert "change back to it in another tab" in response.content.decode()


def test_the_script_that_uploads_gets_the_sentence_for_its_file(two_tabs, hospital, other_hospital):
    response = two_tabs(Study)(other_hospital, "technician", **{"HX-Request": "true"})
    assert response.status_code == 409
    assert "<html" not in response.content.decode()
    assert f"<p>You work in {other_hospital} now." in response.content.decode()


def test_the_question_about_a_duplicate_is_of_its_hospital_too(two_tabs, hospital, as_user, tess):
    two_tabs(Study)(hospital)
    PatientFactory(hospital=hospital, mrn="A-2")
    upload = {"files": SimpleUploadedFile("A-2.png", radiograph_files.png()), "submission": "0" * 32}
    asked = as_user(tess).post("/studies/upload/", {"acquired_on": "2024-06-03"} | upload)
    question = asked.content.decode().split('hx-post=""')[1]
    assert f'name="hospital"\n         value="{hospital.pk}"' in question


@pytest.fixture
def working_elsewhere(as_user, tess, hospital, other_hospital):
    """The browser of Tess, who has gone over to the other hospital; it can `change_to(hospital)` again."""
    MembershipFactory(user=tess, hospital=other_hospital, role="technician")
    client = as_user(tess)

    def change_to(hospital):
        client.post("/hospital/", {"membership": tess.memberships.get(hospital=hospital).pk})

    change_to(other_hospital)
    client.change_to = change_to
    return client


@pytest.mark.parametrize("headers", [{}, {"HX-Request": "true"}])
def test_a_patients_upload_page_that_was_left_open_says_so_too_and_is_taken_after_changing_back(
    working_elsewhere, patient, hospital, headers
):
    path = f"/patients/{patient.pk}/upload/"

    def send():
        fields = {"hospital": hospital.pk, "submission": "0" * 32}
        fields["files"] = SimpleUploadedFile("A-1.png", radiograph_files.png())
        return working_elsewhere.post(path, fields, headers=headers)

    assert working_elsewhere.get(path).status_code == 404
    refused = send()
    assert refused.status_code == 409
    assert "change back to it in another tab, then send this again." in refused.content.decode()
    # A question about a duplicate stays, above the sentence.
    assert refused.get("HX-Reswap") == ("beforeend" if headers else None)
    assert not Study.objects.exists()
    working_elsewhere.change_to(hospital)
    assert send().status_code == 200
    assert Study.objects.get().patient == patient


def test_so_does_the_form_of_a_patient(working_elsewhere, patient, hospital):
    response = working_elsewhere.post(f"/patients/{patient.pk}/edit/", CHILD | {"hospital": hospital.pk})
    assert response.status_code == 409
    assert f"This was opened in {hospital}:".replace("'", "&#x27;") in response.content.decode()


@pytest.mark.parametrize("opened_in", ["0", "x", "²"])
def test_a_hospital_that_is_not_ones_own_is_not_named(as_user, tess, other_hospital, hospital, opened_in):
    for key in (opened_in, str(other_hospital.pk)):
        response = as_user(tess).post("/patients/new/", CHILD | {"hospital": key})
        assert response.status_code == 409
        assert "in another hospital: open it anew" in response.content.decode()
        assert other_hospital.name not in response.content.decode()
    assert not Patient.objects.exists()


def test_a_form_that_does_not_say_where_it_was_opened_is_taken_from_whoever_works_in_one_hospital_only(
    as_user, tess, hospital, other_hospital
):
    client = as_user(tess)
    assert client.post("/patients/new/", CHILD).status_code == 302
    MembershipFactory(user=tess, hospital=other_hospital, role="technician")
    response = client.post("/patients/new/", CHILD | {"mrn": "C-3"})
    assert response.status_code == 409
    assert "This does not say where it was opened" in response.content.decode()
    assert Patient.objects.count() == 1


@pytest.mark.parametrize("form", ["review", "sign", "withdraw", "measurement"])
def test_what_is_typed_into_a_page_of_a_child_says_where_it_was_opened(
    as_user, alice, patient, hospital, other_hospital, form
):
    MembershipFactory(user=alice, hospital=other_hospital, role="doctor")
    analysis = {"analysis__state": "analysed", "analysis__bone_age_months": 120.0}
    study = StudyFactory(patient=patient, state="reviewed" if form == "sign" else "analysed", **analysis)
    if form == "sign":
        ReviewFactory(study=study)
    measuring = f"/patients/{patient.pk}/measurements/new/"
    page = {"withdraw": f"/studies/{study.pk}/withdraw/", "measurement": measuring}.get(form, f"/studies/{study.pk}/")
    sent_to = {"measurement": measuring}.get(form, f"/studies/{study.pk}/{form}/")
    client = as_user(alice)
    client.post("/hospital/", {"membership": alice.memberships.get(hospital=hospital).pk})
    opened = re.findall(r"<form.*?</form>", client.get(page).content.decode(), re.DOTALL)
    inside = f'action="{sent_to}' if page != sent_to else 'name="hospital"'
    shown = next(each for each in opened if inside in each)
    hidden = dict(re.findall(r'<input type="hidden"\s+name="(\w+)"\s+value="(.*?)"', shown))
    client.post("/hospital/", {"membership": alice.memberships.get(hospital=other_hospital).pk})
    response = client.post(sent_to, hidden)
    assert response.status_code == 409
    assert f"This was opened in {hospital}" in unescape(response.content.decode())
