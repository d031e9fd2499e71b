import pytest

from clinical.audit.models import AccessEvent
from clinical.patients.models import Measurement, Patient
from tests.factories import MeasurementFactory, PatientFactory

pytestmark = pytest.mark.usefixtures("unscoped")
LIST = "/api/v1/patients/"
JANE = {"mrn": "N-1", "family_name": "Roe", "given_name": "Jane", "sex": "F", "date_of_birth": "2015-02-03"}
JSON = "application/json"


@pytest.fixture
def gateway(program, tess):
    return program(tess)


def test_a_program_registers_a_patient(gateway, hospital, tess):
    response = gateway.post(LIST, JANE, content_type=JSON)
    assert response.status_code == 201
    patient = Patient.objects.get()
    assert (patient.hospital, patient.full_name, patient.search_text) == (hospital, "Roe, Jane", "roe jane n-1")
    assert response.json() == JANE | {
        "id": str(patient.pk),
        "gestational_age": "",
        "mother_height_cm": None,
        "father_height_cm": None,
        "notes": "",
        "archived": False,
        "created_at": response.json()["created_at"],
    }
    event = AccessEvent.objects.get(verb="create")
    assert (event.actor, event.patient_key, event.detail) == (tess, str(patient.pk), "by PACS gateway")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("mrn", ""),
        ("family_name", None),
        ("sex", "X"),
        ("sex", "\ud83d"),  # half a character, which JSON can hold and no answer
        ("date_of_birth", "2999-01-01"),
        ("date_of_birth", "1.2.2015"),
        ("mother_height_cm", 1.68),
        ("gestational_age", "34 weeks"),
        ("gestational_age", 34.2),
        ("gestational_age", None),
    ],
)
def test_what_the_form_refuses_is_refused_by_field(gateway, hospital, field, value):
    response = gateway.post(LIST, JANE | {field: value}, content_type=JSON)
    assert (response.status_code, list(response.json()["fields"])) == (400, [field])
    assert Patient.objects.count() == 0


def test_what_is_no_gestational_age_is_refused_in_one_sentence(gateway, hospital):
    response = gateway.post(LIST, JANE | {"gestational_age": "34 weeks and 2 days"}, content_type=JSON)
    [sentence] = response.json()["fields"]["gestational_age"]
    assert sentence.startswith("Give the gestational age in completed weeks, 21 to 44")


def test_an_mrn_that_is_taken_is_told_without_a_link(gateway, patient):
    response = gateway.post(LIST, JANE | {"mrn": "a-1"}, content_type=JSON)
    assert response.status_code == 400
    [sentence] = response.json()["fields"]["mrn"]
    assert sentence.startswith("This MRN belongs to another patient")
    assert "<" not in sentence


def test_a_child_who_may_be_on_record_is_asked_about(gateway, hospital):
    known = PatientFactory(hospital=hospital, family_name="ROE", date_of_birth="2015-02-03")
    asked = gateway.post(LIST, JANE, content_type=JSON)
    assert asked.status_code == 409
    assert str(known.pk) in asked.json()["detail"]
    assert AccessEvent.objects.filter(verb="view", patient_key=str(known.pk)).exists()
    assert gateway.post(LIST, JANE | {"confirmed": True}, content_type=JSON).status_code == 201


def test_what_is_not_json_is_refused(gateway):
    response = gateway.generic("POST", LIST, "{", content_type=JSON)
    assert (response.status_code, response.json()["detail"][:10]) == (400, "JSON parse")
    assert gateway.post(LIST, JANE).status_code == 415


def test_a_correction_changes_what_is_sent_and_is_on_record_by_field(gateway, patient):
    sent = {"given_name": "Joan", "gestational_age": "34+2"}
    response = gateway.patch(f"{LIST}{patient.pk}/", sent, content_type=JSON)
    assert (response.status_code, response.json()["given_name"]) == (200, "Joan")
    patient.refresh_from_db()
    assert (patient.full_name, patient.mrn, patient.gestational_age) == ("Doe, Joan", "A-1", "34+2")
    event = AccessEvent.objects.get(verb="edit")
    assert (event.detail, event.changed_values.values) == (
        "given_name, gestational_age, by PACS gateway",
        {"given_name": ["Jane", "Joan"], "gestational_age": ["", "34+2"]},
    )


def test_a_record_that_is_anonymised_is_not_corrected(gateway, patient):
    Patient.objects.update(anonymised_at="2024-01-01T00:00Z")
    assert gateway.patch(f"{LIST}{patient.pk}/", {"given_name": "Joan"}, content_type=JSON).status_code == 404


def test_patients_are_found_by_their_mrn_and_searched(gateway, patient, hospital):
    PatientFactory(hospital=hospital, mrn="A-12", family_name="Ärmel")

    def found(query):
        return [row["mrn"] for row in gateway.get(f"{LIST}?{query}").json()["results"]]

    assert found("mrn=a-1") == ["A-1"]
    assert found("q=armel") == ["A-12"]
    assert found("sort=-mrn") == ["A-12", "A-1"]


def test_a_measurement_is_entered(gateway, patient, tess):
    path = f"{LIST}{patient.pk}/measurements/"
    response = gateway.post(path, {"measured_on": "2024-05-01", "height_cm": 137.5}, content_type=JSON)
    assert response.status_code == 201
    measurement = Measurement.objects.get()
    assert (measurement.patient, measurement.entered_by, measurement.source) == (patient, tess, "clinic")
    [told] = gateway.get(path).json()
    assert (told["height_cm"], told["weight_kg"], told["entered_by"]) == (137.5, None, "Tess")
    assert AccessEvent.objects.filter(verb="create", object_type="measurement").count() == 1


def test_a_height_in_metres_is_refused_and_an_odd_one_asked_about(gateway, patient):
    path = f"{LIST}{patient.pk}/measurements/"
    typed = gateway.post(path, {"measured_on": "2024-05-01", "height_cm": 1.37}, content_type=JSON)
    assert (typed.status_code, list(typed.json()["fields"])) == (400, ["height_cm"])
    odd = {"measured_on": "2024-05-01", "height_cm": 85}
    asked = gateway.post(path, odd, content_type=JSON)
    assert (asked.status_code, "SD below the average" in asked.json()["detail"]) == (409, True)
    assert Measurement.objects.count() == 0
    assert gateway.post(path, odd | {"confirmed": True}, content_type=JSON).status_code == 201


def test_the_same_measurement_twice_is_refused(gateway, patient):
    MeasurementFactory(patient=patient)
    same = {"measured_on": "2024-05-01", "height_cm": 137.5, "weight_kg": 31.2}
    response = gateway.post(f"{LIST}{patient.pk}/measurements/", same, content_type=JSON)
    assert (response.status_code, response.json()["detail"]) == (400, "This measurement is on record already.")
