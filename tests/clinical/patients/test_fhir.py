"""The Bundle against what R4 asks of any resource, on a record in which every kind of row and of gap occurs."""

import re
from datetime import date

import pytest
from django.utils import timezone

from clinical.patients.fhir import bundle, study_bundle
from tests.factories import (
    FormerMeasurementFactory,
    MeasurementFactory,
    PatientFactory,
    ReportFactory,
    ReviewFactory,
    StudyFactory,
)

pytestmark = pytest.mark.usefixtures("unscoped")

REQUIRED = {
    "Patient": set(),
    "RelatedPerson": {"patient"},
    "Observation": {"status", "code"},
    "ImagingStudy": {"status", "subject"},
    "DiagnosticReport": {"status", "code"},
    "DocumentReference": {"status", "content"},
}


@pytest.fixture
def record(hospital, mother):
    """A patient with one name only, measured twice, whose second report replaced the first."""
    patient = PatientFactory(hospital=hospital, given_name="", notes="Left-handed.", mother_height_cm=168)
    mother.guardianships.create(patient=patient, hospital=hospital, relation="mother")
    MeasurementFactory(patient=patient)
    FormerMeasurementFactory(patient=patient)
    StudyFactory(patient=patient, acquired_on=date(2023, 5, 1), state="analysed", analysis__bone_age_months=100)
    interval = {"analysis__low_months": 106, "analysis__high_months": 131}
    study = StudyFactory(patient=patient, state="signed", analysis__bone_age_months=118, **interval)
    ReviewFactory(study=study, bone_age_months=119)  # a first thought, which nobody signed
    now = timezone.now()
    first = ReviewFactory(study=study, bone_age_months=120)
    ReportFactory(study=study, review=first, number="R-1", superseded_at=now, state="ready", pdf="1.pdf")
    second = ReviewFactory(study=study, bone_age_months=124)
    ReportFactory(study=study, review=second, number="R-1", version=2)
    files = {study.pk: [("radiographs/1.png", "image/png", "Radiograph"), ("heat-maps/1.png", "image/png", "Map")]}
    return bundle(patient, files, now)


def resources(record, kind):
    return [entry["resource"] for entry in record["entry"] if entry["resource"]["resourceType"] == kind]


def within(value):
    """Everything in a resource, at any depth."""
    yield value
    for each in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from within(each)


def test_every_resource_has_an_id_an_address_and_what_its_kind_requires(record):
    kinds = set()
    for entry in record["entry"]:
        resource = entry["resource"]
        kinds.add(resource["resourceType"])
        assert re.fullmatch(r"[A-Za-z0-9\-.]{1,64}", resource["id"]), resource["id"]
        assert re.fullmatch(r"urn:uuid:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", entry["fullUrl"])
        assert REQUIRED[resource["resourceType"]] <= resource.keys()
    assert kinds == REQUIRED.keys()
    assert len({entry["fullUrl"] for entry in record["entry"]}) == len(record["entry"])


def test_nothing_is_empty_at_any_depth(record):
    assert not [each for each in within(record) if each is None or each in ("", [], {})]


def test_every_reference_leads_to_a_resource_of_the_kind_that_it_names(record):
    there = {entry["fullUrl"]: entry["resource"]["resourceType"] for entry in record["entry"]}
    references = [each for each in within(record) if isinstance(each, dict) and "reference" in each]
    assert len(references) > 10
    for each in references:
        assert there[each["reference"]] == each["type"]


def test_a_reading_is_preliminary_until_signed_and_withdrawn_once_another_took_its_place(record):
    bone_ages = [each for each in resources(record, "Observation") if each["code"]["text"] == "Bone age"]
    assert {each["valueQuantity"]["value"]: each["status"] for each in bone_ages} == {
        100: "preliminary",
        118: "preliminary",
        119: "preliminary",
        120: "entered-in-error",
        124: "amended",
    }
    assert [each["status"] for each in resources(record, "DiagnosticReport")] == ["entered-in-error", "amended"]


def test_the_first_signed_reading_is_final(patient):
    ReportFactory(study__patient=patient)
    record = bundle(patient, {}, timezone.now())
    assert [each["status"] for each in resources(record, "Observation")] == ["final"]
    assert [each["status"] for each in resources(record, "DiagnosticReport")] == ["final"]


def test_heights_and_weights_are_vital_signs(record):
    measured = [each for each in resources(record, "Observation") if each["code"]["text"].startswith("Body")]
    assert [(each["status"], each["code"]["coding"][0]["code"]) for each in measured] == [
        ("final", "8302-2"),
        ("final", "29463-7"),
        ("entered-in-error", "8302-2"),
        ("entered-in-error", "29463-7"),
    ]
    assert {each["category"][0]["coding"][0]["code"] for each in measured} == {"vital-signs"}


@pytest.mark.parametrize(
    ("gestation", "value", "unit"),
    [("34", 34, ("weeks", "wk")), ("34+2", 240, ("days", "d")), ("34+0", 238, ("days", "d"))],
)
def test_the_gestational_age_at_birth_loses_no_day(patient, gestation, value, unit):
    patient.gestational_age = gestation
    [told] = resources(bundle(patient, {}, timezone.now()), "Observation")
    assert told["code"]["coding"][0]["code"] == "76516-4"
    assert (told["effectiveDateTime"], told["status"]) == ("2014-03-09", "final")
    quantity = told["valueQuantity"]
    assert (quantity["value"], (quantity["unit"], quantity["code"])) == (value, unit)


def test_a_reading_at_a_corrected_age_says_so(preterm):
    review = ReviewFactory(study__patient=preterm)
    for record in (bundle(preterm, {}, timezone.now()), study_bundle(review.study, timezone.now())):
        born, reading = resources(record, "Observation")
        assert born["valueQuantity"]["value"] == 210
        assert {"text": "Judged by the age corrected for birth at 30+0 weeks, 1 y 8 m."} in reading["note"]


def test_a_map_of_where_the_model_looked_is_no_radiograph(record):
    assert [each["type"]["text"] for each in resources(record, "DocumentReference")] == ["Radiograph", "Map"]
