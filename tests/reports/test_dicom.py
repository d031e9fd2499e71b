"""Reports as DICOM, read back out of the bytes of the files."""

import io
from datetime import date

import pydicom
import pytest
from django.core.files.storage import storages
from highdicom._standard_utils import get_iod_module_map, get_module_attribute_map, get_sop_class_iod_map
from highdicom.sr import srread
from pydicom.datadict import tag_for_keyword

from clinical.studies.intake import RIGHT_HAND
from clinical.studies.models import Study
from reports.dicom_header import encoded, source
from reports.encapsulated_pdf import encapsulated_pdf
from reports.models import Report
from reports.structured_report import structured_report
from tests.factories import PatientFactory, UserFactory

pytestmark = pytest.mark.usefixtures("unscoped")
KINDS = ("structured-report", "encapsulated-pdf")
MAKE = {"structured-report": structured_report, "encapsulated-pdf": encapsulated_pdf}


def as_file(make, report):
    """What a PACS reads, of the rows as they are in the database."""
    report = Report.objects.get(pk=report.pk)
    return io.BytesIO(encoded(make(report, source(report.study.radiograph))))


def read(make, report):
    return pydicom.dcmread(as_file(make, report))


def parsed(report):
    return srread(as_file(structured_report, report))


def items(container):
    """The content items below one, at any depth: [(words of the concept, value)], numbers with their unit."""
    found = []
    for item in container.get("ContentSequence", ()):
        match item.ValueType:
            case "NUM":
                [measured] = item.MeasuredValueSequence
                value = float(measured.NumericValue), measured.MeasurementUnitsCodeSequence[0].CodeValue
            case "CODE":
                value = item.ConceptCodeSequence[0].CodeMeaning
            case "TEXT":
                value = item.TextValue
            case "PNAME":
                value = str(item.PersonName)
            case "IMAGE":
                value = item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID
            case other:
                value = other
        found += [(item.ConceptNameCodeSequence[0].CodeMeaning, value), *items(item)]
    return found


def groups(document):
    return [dict(items(group[0])) for group in document.content.get_image_measurement_groups()]


def missing(dataset):
    """What the standard's tables ask of an instance and it has not, or has empty; and what is no part of it.

    What a content item has depends on its type, which these tables do not tell.
    """
    attributes = get_module_attribute_map()
    modules = get_iod_module_map()[get_sop_class_iod_map()[dataset.SOPClassUID]]
    mandatory = [module["key"] for module in modules if module["usage"] == "M"]
    asked = [each for key in mandatory if key != "sr-document-content" for each in attributes[key]]
    wrong = [problem for each in asked for problem in _lacking(dataset, each["path"], each["keyword"], each["type"])]
    known = {tag_for_keyword(each["keyword"]) for module in modules for each in attributes[module["key"]]}
    return wrong + [element.keyword for element in dataset if element.tag not in known]


def _lacking(dataset, path, keyword, kind):
    if path:
        for item in dataset.get(path[0]) or ():
            yield from _lacking(item, path[1:], keyword, kind)
    elif kind in ("1", "2") and (keyword not in dataset or (kind == "1" and dataset[keyword].is_empty)):
        yield keyword


def test_the_structured_report_says_what_was_signed(signed, made, patient):
    report = made(signed(patient, impression="Bone age fits the age.", comment="See in a year."))
    document = parsed(report)
    reading, estimate = groups(document)
    assessment = report.review.assessment
    assert reading["Bone age"] == (126, "mo")
    assert reading["Bone age method"] == "AI estimate, accepted by the doctor"
    assert reading["Mean Value of population"] == (round(assessment.mean, 2), "mo")
    assert reading["Standard deviation of population"] == (round(assessment.sd, 2), "mo")
    assert reading["Z-Score of measurement"] == (-0.12, "1")
    assert reading["Population Description"] == "Brush Foundation, female"
    assert reading["Normality"] == "Normal"
    assert (reading["Finding Site"], reading["Laterality"]) == ("Hand", "Left")
    assert estimate["Bone age"] == (126, "mo")
    assert estimate["Lower end of the 90 % interval"] == (114, "mo")
    assert estimate["Upper end of the 90 % interval"] == (139, "mo")
    assert (estimate["Algorithm Name"], estimate["Algorithm Version"]) == ("two_stage_compact", "1.2.3")
    assert "Not for diagnosis" in estimate["Tracking Identifier"]
    whole = dict(items(document))
    assert whole["Subject Age"] == (round(report.review.age_months, 2), "mo")
    assert whole["Procedure reported"] == "XR Bones Views for bone age"
    assert whole["Impression"] == "Bone age fits the age."
    assert whole["Comment"] == "See in a year."
    assert (whole["Person Observer Name"], whole["Person Observer's Organization Name"]) == (
        "Alice^",
        "St. Anna Children's Hospital",
    )


def test_a_corrected_age_and_the_gestational_age_stand_in_the_structured_report(signed, made, preterm):
    report = made(signed(preterm, bone_age_months=20.0))
    document = parsed(report)
    whole = dict(items(document))
    assert whole["Subject Age"] == (23, "mo")
    assert whole["Gestational age--at birth"] == (210, "d")
    assert whole["Age corrected for a preterm birth"] == (20.7, "mo")
    assert groups(document)[0]["Population Description"] == (
        "Brush Foundation, female, age corrected for birth at 30+0 weeks"
    )
    preterm.gestational_age = ""
    preterm.save()
    assert items(parsed(report)) == items(document)


def test_the_codes_are_those_of_public_terminologies(signed, made, patient):
    document = parsed(made(signed(patient)))
    [group, _] = document.content.get_image_measurement_groups()
    [bone_age] = group.get_measurements()
    assert (bone_age.name.value, bone_age.name.scheme_designator) == ("85151-9", "LN")
    [method] = group.get_qualitative_evaluations()
    assert (method.name.value, method.name.scheme_designator) == ("85150-1", "LN")
    assert document.ContentTemplateSequence[0].TemplateIdentifier == "1500"


def test_the_ai_estimate_and_the_doctors_value_both_stand_when_they_differ(signed, made, patient):
    report = made(signed(patient, method="atlas", read=94.0))
    document = parsed(report)
    reading, estimate = groups(document)
    assert (reading["Bone age"], estimate["Bone age"]) == ((94, "mo"), (126, "mo"))
    assert reading["Bone age method"] == "Greulich and Pyle bone age assessment"
    assert reading["Selection Status"] == "User chosen value"
    assert (reading["Normality"], report.review.assessment.determination) == ("Abnormally Low", "delayed")
    assert "Selection Status" not in estimate
    assert "Algorithm Name" not in reading


def test_what_was_corrected_later_changes_no_figure(signed, made, patient, hospital):
    report = made(signed(patient))
    before = parsed(report)
    patient.sex, patient.date_of_birth = "M", date(2016, 3, 9)
    patient.save()
    hospital.bone_age_reference = "greulich_pyle"
    hospital.save()
    Study.objects.update(acquired_on=date(2024, 9, 1))
    after = parsed(report)
    assert items(after) == items(before)
    assert (after.PatientAge, after.StudyDate) == (before.PatientAge, before.StudyDate) == ("121M", "20240501")
    assert (after.PatientSex, after.PatientBirthDate) == ("M", "20160309")


def test_a_film_that_the_model_refused_is_reported_without_an_estimate(signed, made, patient):
    study = signed(patient, method="own", read=100.0)
    study.analysis.bone_age_months = None
    study.analysis.save()
    [reading] = groups(parsed(made(study)))
    assert (reading["Bone age"], reading["Bone age method"]) == ((100, "mo"), "Read by the doctor")


def test_an_age_outside_the_table_is_reported_without_a_score(signed, made, hospital):
    adolescent = PatientFactory(hospital=hospital, date_of_birth=date(2003, 1, 1))
    reading, _ = groups(parsed(made(signed(adolescent))))
    assert reading["Normality"] == "Normality Undetermined"
    assert "Z-Score of measurement" not in reading


def test_a_right_hand_is_reported_as_one(signed, made, patient):
    study = signed(patient)
    Study.objects.update(notices=[RIGHT_HAND])
    assert groups(parsed(made(study)))[0]["Laterality"] == "Right"


@pytest.mark.parametrize("kind", KINDS)
def test_patient_and_study_are_the_records(signed, made, patient, kind):
    study = signed(patient)
    dataset = read(MAKE[kind], made(study))
    assert (dataset.PatientName, dataset.PatientID) == ("Doe^Jane", "A-1")
    assert (dataset.PatientBirthDate, dataset.PatientSex, dataset.PatientAge) == ("20140309", "F", "121M")
    assert (dataset.StudyInstanceUID, dataset.StudyDate) == (f"2.25.{study.pk.int}", "20240501")
    assert dataset.InstitutionName == "St. Anna Children's Hospital"
    assert dataset.SpecificCharacterSet == "ISO_IR 192"


def test_a_structured_report_is_verified_by_who_signed(signed, made, patient, alice):
    report = made(signed(patient))
    document = parsed(report)
    [observer] = document.VerifyingObserverSequence
    assert (document.VerificationFlag, document.CompletionFlag) == ("VERIFIED", "COMPLETE")
    assert observer.VerifyingObserverName == "Alice^"
    assert observer.VerifyingOrganization == "St. Anna Children's Hospital"
    assert pydicom.valuerep.DT(observer.VerificationDateTime) == report.signed_at


def test_the_doctor_who_read_observed_and_the_one_who_signed_verified(signed, made, patient):
    report = made(signed(patient))
    Report.objects.update(signed_by=UserFactory(name="Dora"))
    document = parsed(report)
    assert document.VerifyingObserverSequence[0].VerifyingObserverName == "Dora^"
    assert dict(items(document))["Person Observer Name"] == "Alice^"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("came_as", ["dicom", "png"])
def test_it_has_what_the_standard_asks_for(film, signed, made, amended, patient, kind, came_as):
    first = film(patient)[0] if came_as == "dicom" else made(signed(patient))
    for report in (first, made(amended(first).study)):
        assert missing(read(MAKE[kind], report)) == []


def test_the_check_against_the_standard_finds_what_is_missing(signed, made, patient):
    dataset = read(structured_report, made(signed(patient)))
    del dataset.VerifyingObserverSequence[0].VerificationDateTime
    del dataset.StudyID
    dataset.SeriesInstanceUID = ""
    dataset.ConversionType = "WSD"
    assert set(missing(dataset)) == {"VerificationDateTime", "StudyID", "SeriesInstanceUID", "ConversionType"}


@pytest.mark.parametrize("kind", KINDS)
def test_exported_twice_it_is_the_same_instance(signed, made, patient, kind):
    report = made(signed(patient))
    once, again = as_file(MAKE[kind], report), as_file(MAKE[kind], report)
    assert once.getvalue() == again.getvalue()


def test_the_instances_of_a_report_are_told_apart(signed, made, patient):
    report = made(signed(patient))
    document, pdf = read(structured_report, report), read(encapsulated_pdf, report)
    assert document.SOPInstanceUID == f"2.25.{report.pk.int}"
    assert document.StudyInstanceUID == pdf.StudyInstanceUID
    for keyword in ("SOPInstanceUID", "SeriesInstanceUID", "Modality"):
        assert document[keyword].value != pdf[keyword].value


def test_a_film_that_came_as_dicom_is_the_source(film, patient):
    report, came = film(
        patient, AccessionNumber="ACC-7", StudyID="S1", PatientID="ANOTHER", PatientName="Another^Child"
    )
    document, pdf = parsed(report), read(encapsulated_pdf, report)
    for dataset in (document, pdf):
        assert dataset.StudyInstanceUID == came.StudyInstanceUID
        assert (dataset.AccessionNumber, dataset.StudyID) == ("ACC-7", "S1")
        assert (dataset.PatientName, dataset.PatientID) == ("Doe^Jane", "A-1")
    for group in document.content.get_image_measurement_groups():
        [image] = group.source_images
        assert image.referenced_sop_instance_uid == came.SOPInstanceUID
        assert image.referenced_sop_class_uid == came.SOPClassUID
    assert {instance for _, _, instance, _ in document.get_evidence()} == {came.SOPInstanceUID, pdf.SOPInstanceUID}
    assert pdf.SourceInstanceSequence[0].ReferencedSOPInstanceUID == came.SOPInstanceUID


def test_a_film_that_came_as_a_picture_leaves_the_pdf_as_evidence(signed, made, patient):
    report = made(signed(patient))
    document, pdf = parsed(report), read(encapsulated_pdf, report)
    [evidence] = document.get_evidence()
    assert evidence == (pdf.StudyInstanceUID, pdf.SeriesInstanceUID, pdf.SOPInstanceUID, pdf.SOPClassUID)
    assert not any(group.source_images for group in document.content.get_image_measurement_groups())
    assert "SourceInstanceSequence" not in pdf


@pytest.mark.parametrize(
    "elements", [{"SOPInstanceUID": None}, {"StudyInstanceUID": ""}, {"SeriesInstanceUID": "1.2.03"}]
)
@pytest.mark.filterwarnings("ignore:Invalid value for VR UI")  # as the file is made
def test_a_header_that_no_pacs_takes_is_no_source(film, patient, elements):
    report, _ = film(patient, **elements)
    document = parsed(report)
    assert document.StudyInstanceUID == f"2.25.{report.study_id.int}"
    assert len(document.get_evidence()) == 1


def test_another_version_names_the_one_before(film, made, amended, patient):
    first, _ = film(patient)
    second = made(amended(first).study)
    for make in MAKE.values():
        before, after = read(make, first), read(make, second)
        [study] = after.PredecessorDocumentsSequence
        [series] = study.ReferencedSeriesSequence
        [instance] = series.ReferencedSOPSequence
        assert study.StudyInstanceUID == before.StudyInstanceUID == after.StudyInstanceUID
        assert series.SeriesInstanceUID == before.SeriesInstanceUID == after.SeriesInstanceUID
        assert instance.ReferencedSOPInstanceUID == before.SOPInstanceUID != after.SOPInstanceUID
        assert instance.ReferencedSOPClassUID == before.SOPClassUID
        assert "PredecessorDocumentsSequence" not in before
        assert (before.InstanceNumber, after.InstanceNumber) == (1, 2)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("family_name", "given_name", "expected"),
    [
        ("Müller-Özdemir", "Jörg Łukasz", "Müller-Özdemir^Jörg Łukasz"),
        ("山田", "太郎", "山田^太郎"),
        ("O'Neill^Doe", "A=B\\C", "O'Neill Doe^A B C"),
        ("Öztürk" * 20, "Ayşe", "Öztürk" * 9 + "Öztür^Ayşe"),
        ("Öztürk" * 20, "Ayşenur" * 20, ("Öztürk" * 20)[:31] + "^" + ("Ayşenur" * 20)[:32]),
        ("Doe", "", "Doe^"),
    ],
)
def test_a_name_of_any_letters_and_length(signed, made, hospital, kind, family_name, given_name, expected):
    patient = PatientFactory(hospital=hospital, family_name=family_name, given_name=given_name)
    dataset = read(MAKE[kind], made(signed(patient)))
    assert dataset.PatientName == expected
    assert len(expected) <= 64
    assert dataset.get("PatientComments") == (f"Whole name: {patient.full_name}" if len(expected) == 64 else None)


def test_the_mrn_is_left_as_it_is(signed, made, hospital):
    patient = PatientFactory(hospital=hospital, mrn="A^1=2/3  é")
    assert read(encapsulated_pdf, made(signed(patient))).PatientID == "A^1=2/3  é"


def test_a_long_hospital_and_a_doctor_without_a_name(signed, made, patient, hospital, alice):
    type(hospital).objects.update(name="Klinik für Kinder " * 11)
    type(alice).objects.update(name="")
    document = parsed(made(signed(patient, impression="Das Knochenalter paßt.\nKontrolle in einem Jahr.")))
    assert document.InstitutionName == ("Klinik für Kinder " * 11)[:64].strip()
    assert document.VerifyingObserverSequence[0].VerifyingObserverName == "alice@example.org^"
    assert dict(items(document))["Impression"] == "Das Knochenalter paßt.\nKontrolle in einem Jahr."


def test_the_encapsulated_pdf_is_the_pdf(signed, made, patient):
    report = made(signed(patient))
    dataset = read(encapsulated_pdf, report)
    with storages["private"].open(report.pdf) as file:
        pdf = file.read()
    assert dataset.EncapsulatedDocument[: dataset.EncapsulatedDocumentLength] == pdf
    assert dataset.MIMETypeOfEncapsulatedDocument == "application/pdf"
    assert dataset.DocumentTitle == f"Bone age report {report.number}, version 1"
