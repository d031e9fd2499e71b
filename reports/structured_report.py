"""A signed report as a DICOM Structured Report, by TID 1500 "Measurement Report" (PS3.16).

An Enhanced SR, the simplest class that holds numbers and references to images. All figures are those of the review
that was signed. To be imported where one is made: highdicom takes a second and 150 MB, and few processes make any.
"""

import logging

from django.utils import timezone
from highdicom import sr
from highdicom.coding_schemes import CodingSchemeIdentificationItem
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.uid import EnhancedSRStorage
from pydicom.valuerep import DT

from clinical.growth.preterm import gestation_days
from clinical.patients.fhir import BONE_AGE, GESTATIONAL_AGE
from clinical.studies.intake import RIGHT_HAND
from clinical.studies.models import Method
from reports.dicom_header import PRODUCT, person_name, signed_at, text, uid
from reports.encapsulated_pdf import identified

logging.getLogger("highdicom").setLevel(logging.CRITICAL)  # it quotes names

BONE_AGE_METHOD = ("85150-1", "Bone age method")
BONE_AGE_VIEWS = ("24724-7", "XR Bones Views for bone age")
OWN_CODES = "99BONEAGEPORTAL"  # what no public terminology has a code for
METHODS = {
    Method.AI: sr.CodedConcept("AI", OWN_CODES, Method.AI.label),
    Method.ATLAS: sr.CodedConcept("252956001", "SCT", "Greulich and Pyle bone age assessment"),
    Method.OWN: sr.CodedConcept("OWN", OWN_CODES, Method.OWN.label),
}
LOW = sr.CodedConcept("LOW90", OWN_CODES, "Lower end of the 90 % interval")
CORRECTED_AGE = sr.CodedConcept("CORRECTED", OWN_CODES, "Age corrected for a preterm birth")
HIGH = sr.CodedConcept("HIGH90", OWN_CODES, "Upper end of the 90 % interval")
NORMALITY = {
    "delayed": codes.SCT.AbnormallyLow,
    "normal": codes.SCT.Normal,
    "advanced": codes.SCT.AbnormallyHigh,
    "indeterminate": codes.SCT.NormalityUndetermined,
}
NOT_DIAGNOSTIC = "Not for diagnosis without review by a physician"


def structured_report(report, film):
    """The Dataset of a report of `film`, which is its `source`."""
    # highdicom takes patient and study from the first piece of evidence. A film that came as a picture is none for a
    # PACS; the report's own PDF is always there, and its header says of the patient what the record says.
    evidence = [identified(report, film), *([film] if film else [])]
    before = report.predecessor
    day, time = signed_at(report)
    hospital = text(report.hospital.name)
    document = sr.EnhancedSR(
        evidence=evidence,
        content=_content(report, film),
        **_place(report),
        series_number=1001,
        instance_number=report.version,
        manufacturer=PRODUCT,
        manufacturer_model_name=PRODUCT,
        institution_name=hospital,
        is_complete=True,
        is_final=True,
        is_verified=True,
        verifying_observer_name=person_name(report.signed_by),
        verifying_organization=hospital,
        previous_versions=[_instance(before, evidence[0].StudyInstanceUID)] if before else None,
        content_date=day,
        content_time=time,
        coding_schemes=[CodingSchemeIdentificationItem(OWN_CODES, name=PRODUCT, responsible_organization=PRODUCT)],
        specific_character_set=evidence[0].SpecificCharacterSet,
    )
    # The moment of the signature, not of the export: exported twice it is the same instance.
    del document.ContributingEquipmentSequence
    document.InstanceCreationDate, document.InstanceCreationTime = day, time
    document.VerifyingObserverSequence[0].VerificationDateTime = DT(timezone.localtime(report.signed_at))
    return document


def _place(report):
    return {
        "series_instance_uid": uid(report.study_id, "structured reports"),
        "sop_instance_uid": uid(report.pk),
    }


def _instance(report, study_uid):
    place = _place(report)
    instance = Dataset()
    instance.SOPClassUID, instance.SOPInstanceUID = EnhancedSRStorage, place["sop_instance_uid"]
    instance.StudyInstanceUID, instance.SeriesInstanceUID = study_uid, place["series_instance_uid"]
    return instance


def _content(report, film):
    review = report.review
    doctor = sr.PersonObserverIdentifyingAttributes(person_name(review.doctor), organization_name=report.hospital.name)
    context = sr.ObservationContext(sr.ObserverContext(codes.DCM.Person, doctor))
    context.append(_months(codes.DCM.SubjectAge, review.age_months, "HAS OBS CONTEXT"))
    if gestation := review.assessment.gestation:
        days = _number(_loinc(GESTATIONAL_AGE), gestation_days(gestation), codes.UCUM.Day, "HAS OBS CONTEXT")
        context.extend([days, _months(CORRECTED_AGE, review.assessment.age_months, "HAS OBS CONTEXT")])
    groups = [_reading(report, film)]
    if review.analysis.bone_age_months is not None:
        groups.append(_estimate(report, film))
    content = sr.MeasurementReport(context, _loinc(BONE_AGE_VIEWS), groups)
    impressions = sr.ContainerContentItem(codes.DCM.Impressions, relationship_type="CONTAINS")
    impressions.ContentSequence = sr.ContentSequence([_text(codes.DCM.Impression, review.impression)])
    if review.comment:
        impressions.ContentSequence.append(_text(codes.DCM.Comment, review.comment))
    content[0].ContentSequence.append(impressions)
    return content


def _reading(report, film):
    """The bone age that counts, judged as it was when it was read."""
    review, assessment = report.review, report.review.assessment
    statistics = None
    if assessment.sds is not None:
        statistics = sr.MeasurementStatisticalProperties(
            [
                _months(codes.SCT.MeanValueOfPopulation, assessment.mean, "HAS PROPERTIES"),
                _months(codes.DCM.StandardDeviationOfPopulation, assessment.sd, "HAS PROPERTIES"),
                _number(codes.DCM.ZScoreOfMeasurement, assessment.sds, codes.UCUM.NoUnits, "HAS PROPERTIES"),
            ],
            description=", ".join(
                [
                    assessment.reference.name,
                    review.get_sex_display().lower(),
                    *([f"age corrected for birth at {assessment.gestation} weeks"] if assessment.gestation else []),
                ]
            ),
            authority=assessment.reference.source,
        )
    properties = sr.MeasurementProperties(
        normality=NORMALITY[assessment.determination],
        selection_status=codes.DCM.UserChosenValue,
        measurement_statistical_properties=statistics,
    )
    method = sr.QualitativeEvaluation(_loinc(BONE_AGE_METHOD), METHODS[review.method])
    return _group(report, film, "Bone age", review.bone_age_months, properties, qualitative_evaluations=[method])


def _estimate(report, film):
    """What the model had read, and which model."""
    analysis = report.review.analysis
    properties = sr.MeasurementProperties()
    if analysis.low_months is not None:
        properties.append(_months(LOW, analysis.low_months, "HAS PROPERTIES"))
        properties.append(_months(HIGH, analysis.high_months, "HAS PROPERTIES"))
    model = analysis.model_version
    algorithm = sr.AlgorithmIdentification(model.name, model.version) if model else None
    name = f"AI estimate. {NOT_DIAGNOSTIC}."
    return _group(report, film, name, analysis.bone_age_months, properties, algorithm_id=algorithm)


def _group(report, film, name, bone_age_months, properties, **further):
    side = codes.SCT.Right if RIGHT_HAND in report.study.notices else codes.SCT.Left
    bone_age = sr.Measurement(_loinc(BONE_AGE), round(bone_age_months, 2), codes.UCUM.Month, properties=properties)
    return sr.MeasurementsAndQualitativeEvaluations(
        sr.TrackingIdentifier(uid(report.study_id, name), name),
        finding_sites=[sr.FindingSite(codes.SCT.Hand, side)],
        measurements=[bone_age],
        source_images=[sr.SourceImageForMeasurementGroup(film.SOPClassUID, film.SOPInstanceUID)] if film else None,
        **further,
    )


def _loinc(code):
    value, words = code
    return sr.CodedConcept(value, "LN", words)


def _months(name, value, relationship):
    return _number(name, value, codes.UCUM.Month, relationship)


def _number(name, value, unit, relationship):
    return sr.NumContentItem(name, round(value, 2), unit, relationship_type=relationship)


def _text(name, words):
    return sr.TextContentItem(name, words, relationship_type="CONTAINS")
