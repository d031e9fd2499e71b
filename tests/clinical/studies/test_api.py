import uuid
from datetime import date

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test.utils import CaptureQueriesContext

from clinical.accounts.models import Hospital
from clinical.audit.models import AccessEvent
from clinical.growth.bone_age import assess
from clinical.patients.models import Patient
from clinical.studies import intake
from clinical.studies.models import Radiograph, Study
from inference.models import ModelVersion
from tests import radiograph_files
from tests.factories import PatientFactory, ReportFactory, ReviewFactory, StudyFactory

pytestmark = pytest.mark.usefixtures("unscoped")
LIST = "/api/v1/studies/"


@pytest.fixture
def gateway(program, tess):
    return program(tess)


@pytest.fixture
def submit(gateway):
    """Send one file as a program of the technician: `submit(data, patient=...)`."""

    def send(data=None, name="hand.png", **fields):
        data = radiograph_files.png() if data is None else data
        return gateway.post(LIST, {"file": SimpleUploadedFile(name, data), **fields})

    return send


def test_a_program_submits_a_radiograph_and_is_told_where_it_stands(submit, patient, tess):
    response = submit(patient=patient.pk, acquired_on="2024-05-01", indication="Short stature")

    assert response.status_code == 201
    study = Study.objects.get()
    assert (study.patient, study.acquired_on, study.indication) == (patient, date(2024, 5, 1), "Short stature")
    assert study.submitted_by == tess
    told = response.json()
    assert (told["id"], told["state"], told["mrn"]) == (str(study.pk), "queued", "A-1")
    assert told["estimate"] is told["reading"] is told["assessment"] is told["bone_age_months"] is None
    event = AccessEvent.objects.get(verb="submit")
    assert (event.actor, event.actor_role, event.detail) == (tess, "technician", "by PACS gateway")


def test_the_mrn_says_whose_it_is_whatever_its_case(submit, patient):
    assert submit(mrn="a-1").json()["patient"] == str(patient.pk)


def test_a_dicom_file_says_itself_whose_and_when(submit, patient):
    file = radiograph_files.dicom(PatientID="A-1", StudyDate="20240501")
    told = submit(file, "IM0001").json()
    assert (told["patient"], told["acquired_on"]) == (str(patient.pk), "2024-05-01")


def test_a_name_of_a_file_says_nothing(submit, patient):
    response = submit(name="A-1.png")
    assert (response.status_code, Study.objects.count()) == (422, 0)
    assert "No patient with the MRN" in response.json()["detail"]


def test_an_mrn_that_the_header_contradicts_is_refused(submit, patient, hospital):
    PatientFactory(hospital=hospital, mrn="B-2")
    response = submit(radiograph_files.dicom(PatientID="B-2"), mrn="A-1")
    assert (response.status_code, Study.objects.count()) == (422, 0)
    assert "two different patients" in response.json()["detail"]


def test_what_the_header_contradicts_beside_that_is_told(submit, patient):
    told = submit(radiograph_files.dicom(PatientID="A-1", PatientSex="M"), patient=patient.pk).json()
    assert told["notices"] == ["The file says male, the record female."]


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({}, "file"),
        ({"file": SimpleUploadedFile("hand.png", b"x"), "patient": "nobody"}, "patient"),
        ({"file": SimpleUploadedFile("hand.png", b"x"), "acquired_on": "yesterday"}, "acquired_on"),
        ({"file": SimpleUploadedFile("hand.png", b"x"), "indication": "x" * 401}, "indication"),
        ({"file": SimpleUploadedFile("hand.png", b"x"), "submission": "1"}, "submission"),
    ],
)
def test_a_field_that_is_filled_in_wrongly_is_named(gateway, patient, fields, named):
    response = gateway.post(LIST, fields)
    assert response.status_code == 400
    assert list(response.json()["fields"]) == [named]
    assert Study.objects.count() == 0


def test_two_ways_to_say_whose_it_is_are_one_too_many(submit, patient):
    response = submit(patient=patient.pk, mrn="A-1")
    assert (response.status_code, response.json()["detail"]) == (400, "Give the patient or the MRN, not both.")


@pytest.mark.parametrize("data", [b"", b"no picture", radiograph_files.png()[:500]])
def test_a_file_that_is_no_radiograph_is_refused_in_a_sentence(submit, patient, data):
    response = submit(data, patient=patient.pk)
    assert (response.status_code, Radiograph.objects.count()) == (422, 0)
    assert response.json()["detail"].endswith(".")


def test_a_study_date_in_the_future_is_refused(submit, patient):
    response = submit(patient=patient.pk, acquired_on="2999-01-01")
    assert response.status_code == 422
    assert "future" in response.json()["detail"]


def test_an_archived_record_takes_no_study(submit, patient):
    Patient.objects.update(archived_at="2024-01-01T00:00Z")
    for fields in ({"patient": patient.pk}, {"mrn": "A-1"}):
        response = submit(**fields)
        assert (response.status_code, response.json()["detail"][:25]) == (409, "This patient is archived.")


def test_a_patient_of_another_hospital_is_not_found(submit, other_hospital):
    stranger = PatientFactory(hospital=other_hospital, mrn="ELSEWHERE")
    assert submit(patient=stranger.pk).status_code == 404
    assert submit(mrn="ELSEWHERE").status_code == 422
    assert Study.objects.count() == 0


def test_the_same_sent_twice_is_one_study(submit, patient):
    key = uuid.uuid4()
    first, second = (submit(patient=patient.pk, submission=key, acquired_on="2024-05-01") for _ in range(2))
    assert first.json()["id"] == second.json()["id"]
    assert Study.objects.count() == 1
    events = AccessEvent.objects.filter(object_key=first.json()["id"]).order_by("pk")
    assert list(events.values_list("verb", flat=True)) == ["submit", "view"]


def test_a_picture_that_is_filed_already_is_asked_about(submit, patient):
    first = submit(patient=patient.pk).json()
    asked = submit(patient=patient.pk)
    assert (asked.status_code, asked.json()["earlier"]) == (409, first["id"])
    assert "filed for this patient already" in asked.json()["detail"]
    assert submit(patient=patient.pk, confirmed=True).status_code == 201
    assert Study.objects.count() == 2


def test_a_full_storage_keeps_nothing_and_says_so(submit, patient, monkeypatch):
    def full(*args):
        raise intake.StorageFull

    monkeypatch.setattr(intake, "write", full)
    response = submit(patient=patient.pk)
    assert (response.status_code, Radiograph.objects.count()) == (507, 0)


@pytest.fixture
def read(patient):
    """A study that the model and a doctor have read."""
    version = ModelVersion.objects.create(name="a-model", version="7", sha256="1" * 64, state="active")
    study = StudyFactory(patient=patient, state="analysed")
    analysis = study.analysis
    analysis.model_version, analysis.bone_age_months, analysis.low_months, analysis.high_months = version, 118, 106, 131
    analysis.save()
    ReviewFactory(study=study, bone_age_months=120, impression="Normal.", comment="")
    return study


def test_a_study_tells_estimate_reading_and_judgement(gateway, read):
    told = gateway.get(f"{LIST}{read.pk}/").json()
    assert told["estimate"] | {"finished_at": None} == {
        "bone_age_months": 118,
        "low_months": 106,
        "high_months": 131,
        "model": "a-model 7",
        "notes": [],
        "finished_at": None,
    }
    assert (told["reading"]["bone_age_months"], told["reading"]["method"]) == (120, "own")
    assert told["bone_age_months"] == 120  # the doctor's counts
    assert told["chronological_age_months"] == round(read.chronological_age_months, 1)
    assert told["assessment"]["sds"] == round(read.assessment.sds, 2)
    assert told["assessment"]["determination"] == read.assessment.determination
    assert told["assessment"]["reference"] == "Brush Foundation"
    assert (told["corrected_age_months"], told["assessment"]["caution"]) == (None, "")


def test_a_corrected_age_is_told_beside_the_chronological_one(gateway, preterm):
    study = ReviewFactory(study__patient=preterm, study__state="reviewed", bone_age_months=20).study
    told = gateway.get(f"{LIST}{study.pk}/").json()
    assert (told["chronological_age_months"], told["corrected_age_months"]) == (23, 20.7)
    assert told["assessment"]["sds"] == round(assess(20, 23, "F", gestation="30+0").sds, 2)
    assert told["assessment"]["caution"] == "Judged by the age corrected for birth at 30+0 weeks, 1 y 8 m."


def test_who_prefers_to_wait_is_answered_once_there_is_an_outcome(gateway, read, monkeypatch):
    asked = []
    monkeypatch.setattr("clinical.studies.api.outcome", lambda pk, seconds: asked.append((pk, seconds)))
    gateway.get(f"{LIST}{read.pk}/", headers={"Prefer": "wait=3"})
    assert asked == [(read.pk, 3)]


def test_a_queued_study_is_cancelled_once(gateway, patient):
    study = StudyFactory(patient=patient)
    assert gateway.post(f"{LIST}{study.pk}/cancel/").json()["state"] == "cancelled"
    again = gateway.post(f"{LIST}{study.pk}/cancel/")
    assert (again.status_code, again.json()["detail"][:24]) == (409, "The study has moved on m")


SEEN = {"acquired_on": "2024-05-01", "indication": "Short stature"}


@pytest.fixture
def wrong(patient):
    """A study that was read, and whose date or indication may be wrong."""
    return StudyFactory(
        patient=patient, state="analysed", analysis__bone_age_months=126.0, indication=SEEN["indication"]
    )


def corrected(gateway, study, **sent):
    return gateway.patch(f"{LIST}{study.pk}/", {"seen": SEEN, **sent}, content_type="application/json")


@pytest.mark.parametrize(
    "sent",
    [
        {"acquired_on": "2024-04-02"},
        {"indication": "Tall stature"},
        {"indication": ""},
        {"acquired_on": "2024-04-02", "indication": "Tall stature"},
    ],
)
def test_a_study_date_and_an_indication_are_corrected_and_what_is_not_sent_stays(gateway, wrong, tess, sent):
    answer = corrected(gateway, wrong, **sent)
    assert answer.status_code == 200
    told, after = answer.json(), Study.objects.get()
    now = SEEN | sent
    assert {name: told[name] for name in now} == now
    assert (after.acquired_on.isoformat(), after.indication) == (now["acquired_on"], now["indication"])
    assert after.sds == after.assessment.sds
    event = AccessEvent.objects.get(verb="edit")
    assert (event.actor, event.detail) == (tess, f"{', '.join(sent)}, by PACS gateway")
    assert event.changed_values.values == {name: [SEEN[name], sent[name]] for name in sent}


@pytest.mark.parametrize(
    ("sent", "field"),
    [
        ({"acquired_on": "2999-01-01"}, "acquired_on"),
        ({"acquired_on": "1999-01-01"}, "acquired_on"),
        ({"acquired_on": "yesterday"}, "acquired_on"),
        ({"acquired_on": None}, "acquired_on"),
        ({"indication": "x" * 401}, "indication"),
        ({"indication": "Tall", "seen": None}, "seen"),
        ({"indication": "Tall", "seen": "Short"}, "seen"),
        ({"indication": "Tall", "seen": {"indication": "Short stature"}}, "seen"),
    ],
)
def test_a_correction_with_a_mistake_changes_nothing(gateway, wrong, sent, field):
    answer = corrected(gateway, wrong, **sent)
    assert answer.status_code == 400
    assert list(answer.json()["fields"]) == [field]
    assert Study.objects.get().indication == "Short stature"


def test_of_two_corrections_of_the_same_the_second_is_told(gateway, wrong):
    assert corrected(gateway, wrong, indication="Tall stature").status_code == 200
    answer = corrected(gateway, wrong, indication="Scoliosis")
    assert (answer.status_code, answer.json()["detail"][:33]) == (409, "Somebody has corrected this study")
    assert Study.objects.get().indication == "Tall stature"


@pytest.mark.parametrize("state", ["signed", "released"])
def test_what_is_signed_is_not_corrected(gateway, wrong, state):
    Study.objects.update(state=state)
    answer = corrected(gateway, wrong, indication="Tall stature")
    assert (answer.status_code, answer.json()["detail"][:24]) == (409, "The study has moved on m")
    assert Study.objects.get().indication == "Short stature"


def test_a_failed_study_is_read_once_more(gateway, patient):
    study = StudyFactory(patient=patient, state="failed")
    assert gateway.post(f"{LIST}{study.pk}/retry/").json()["state"] == "queued"


def test_the_file_comes_back_as_it_was(gateway, submit, patient):
    data = radiograph_files.png()
    study = submit(data, patient=patient.pk).json()["id"]
    response = gateway.get(f"{LIST}{study}/radiograph/")
    assert response.getvalue() == data
    assert response["Content-Disposition"] == 'attachment; filename="original.png"'
    assert "sandbox" in response["Content-Security-Policy"]


def test_a_study_as_fhir_holds_its_child_its_ages_and_its_reports(gateway, read):
    ReportFactory(study=read, review=read.review)
    response = gateway.get(f"{LIST}{read.pk}/fhir/")
    assert response["Content-Type"] == "application/fhir+json"
    resources = [entry["resource"] for entry in response.json()["entry"]]
    assert [resource["resourceType"] for resource in resources] == [
        *("Patient", "ImagingStudy", "Observation", "Observation", "DiagnosticReport")
    ]
    assert [resource["valueQuantity"]["value"] for resource in resources[2:4]] == [118, 120]


def test_the_list_is_filtered_sorted_and_paged(gateway, patient, hospital):
    other = PatientFactory(hospital=hospital, mrn="B-2", sex="M")
    mine = [StudyFactory(patient=patient, acquired_on=date(2024, month, 1)) for month in (1, 2, 3)]
    StudyFactory(patient=other, state="failed")

    def found(query):
        return [row["id"] for row in gateway.get(f"{LIST}?{query}").json()["results"]]

    assert found("mrn=a-1&sort=date") == [str(study.pk) for study in mine]
    assert found(f"patient={patient.pk}&sort=-date") == [str(study.pk) for study in reversed(mine)]
    assert len(found("state=failed")) == len(found("sex=M")) == 1
    assert len(found("submitted_since=2020-01-01T00:00Z")) == 4
    page = gateway.get(f"{LIST}?page_size=3&page=2").json()
    assert (page["count"], len(page["results"]), page["next"]) == (4, 1, None)


@pytest.mark.parametrize(
    ("query", "named"),
    [
        *(("stat=failed", "stat"), ("state=lost", "state"), ("sort=name", "sort"), ("patient=1", "patient")),
        ("submitted_since=0001-01-01T00:00%2B14:00", "submitted_since"),
        ("submitted_since=9999-12-31T23:59-12:00", "submitted_since"),
    ],
)
def test_what_a_list_does_not_know_is_told(gateway, query, named):
    response = gateway.get(f"{LIST}?{query}")
    assert (response.status_code, list(response.json()["fields"])) == (400, [named])


def test_a_page_that_is_not_there_is_not_found(gateway):
    assert gateway.get(f"{LIST}?page=2").json() == {"detail": "There is no such page."}


def test_a_longer_list_costs_no_more_queries(gateway, patient):
    def queries():
        with CaptureQueriesContext(connection) as captured:
            assert gateway.get(LIST).status_code == 200
        return len(captured)

    ReviewFactory(study__patient=patient, study__state="reviewed")
    few = queries()
    for _ in range(5):
        ReviewFactory(study__patient=patient, study__state="reviewed")
    assert queries() == few


def test_a_look_at_the_list_and_at_a_study_are_on_record(gateway, read, hospital, tess):
    gateway.get(LIST)
    gateway.get(f"{LIST}{read.pk}/")
    events = AccessEvent.objects.filter(verb="view").order_by("pk").values_list("object_type", "detail", "actor")
    assert list(events) == [
        ("hospital", "worklist, by PACS gateway", tess.pk),
        ("study", "by PACS gateway", tess.pk),
    ]


def test_the_hospitals_table_is_the_one_of_the_judgement(gateway, read):
    Hospital.objects.update(bone_age_reference="greulich_pyle")
    assert gateway.get(f"{LIST}{read.pk}/").json()["assessment"]["reference"] == "Greulich-Pyle"
