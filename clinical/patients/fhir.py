"""All that is held about a patient as one FHIR R4 Bundle, for whoever is given the copy of the record.

"R4-like": the resources, fields and codes are those of https://hl7.org/fhir/R4, no profile is claimed. Bone age is
LOINC 85151-9, gestational age at birth 76516-4, height 8302-2, weight 29463-7; ages in months (UCUM mo), gestational
ages in days or completed weeks, lengths in cm, weights in kg.
"""

import uuid
from operator import attrgetter

from django.conf import settings

from clinical.growth.preterm import gestation_days
from clinical.studies.models import State, Study

LOINC, UCUM = "http://loinc.org", "http://unitsofmeasure.org"
UNITS = {"mo": "months", "wk": "weeks", "d": "days"}
EMPTY = (None, "", [], {})
TERMINOLOGY = "http://terminology.hl7.org/CodeSystem"
GENDERS = {"F": "female", "M": "male"}
RELATIONS = {"self": "ONESELF", "mother": "MTH", "father": "FTH", "guardian": "GUARD", "of_adult": "GUARD"}
BONE_AGE = ("85151-9", "Bone age")
GESTATIONAL_AGE = ("76516-4", "Gestational age--at birth")
MEASURES = {"height_cm": ("8302-2", "Body height", "cm"), "weight_kg": ("29463-7", "Body weight", "kg")}


def bundle(patient, files, at):
    """The Bundle of `patient` at the moment `at`. files: key of a row -> [(path in the copy, content type, words)]."""
    resources = [*_born(patient), *_family(patient)]
    for field, words in (("mother_height_cm", "Height of the mother"), ("father_height_cm", "Height of the father")):
        if (value := getattr(patient, field)) is not None:
            key = f"{patient.pk}-{field}".replace("_", "-")
            resources.append(_observation(patient, key, {"text": words}, None, valueQuantity=_quantity(value, "cm")))
    if patient.notes:
        words = {"text": "Notes of the record"}
        resources.append(_observation(patient, f"{patient.pk}-notes", words, None, valueString=patient.notes))
    for measurement in patient.measurements.select_related("entered_by"):
        resources += _measured(patient, measurement, measurement.pk, "final")
    for former in patient.former_measurements.select_related("entered_by"):
        resources += _measured(patient, former, f"former-{former.pk}", "entered-in-error")
    # A film that was filed here wrongly, and is another patient's by now, says nothing of this one.
    studies = Study.objects.filter(patient=patient, film_of_another=False)
    for study in _whole(studies).order_by("acquired_on", "submitted_at"):
        resources += _study(patient, study, files)
    return _collection(resources, at)


def study_bundle(study, at):
    """One study as a Bundle of its own, with its patient, without files."""
    [study] = _whole(Study.objects.filter(pk=study.pk).select_related("patient__hospital"))
    return _collection([*_born(study.patient), *_study(study.patient, study, {})], at)


def _whole(studies):
    # The reports' own rows belong to the floor above.
    related = ("reviews__doctor", "reports__review", "reports__signed_by")
    return studies.select_related("analysis__model_version").prefetch_related(*related)


def _collection(resources, at):
    return {
        "resourceType": "Bundle",
        "type": "collection",
        "timestamp": at.isoformat(),
        "entry": [
            {"fullUrl": _urn(resource["resourceType"], resource["id"]), "resource": resource} for resource in resources
        ],
    }


def _resource(kind, key, patient=None, **fields):
    about = {"subject": _to("Patient", patient.pk)} if patient else {}
    return {"resourceType": kind, "id": str(key), **_filled(about | fields)}


def _filled(value):
    """The same without what is EMPTY, at any depth: of FHIR's strings, arrays and objects none is."""
    if isinstance(value, dict):
        filled = {name: _filled(each) for name, each in value.items()}
        return {name: each for name, each in filled.items() if each not in EMPTY}
    if isinstance(value, list):
        return [each for each in map(_filled, value) if each not in EMPTY]
    return value


def _urn(kind, key):
    """The address of a resource within the Bundle, and in every later copy: not all keys are UUIDs themselves."""
    return uuid.uuid5(uuid.NAMESPACE_URL, f"{settings.PORTAL_URL}/{kind}/{key}").urn


def _to(kind, key):
    return {"reference": _urn(kind, key), "type": kind}


def _coded(code, words):
    return {"coding": [{"system": LOINC, "code": code, "display": words}], "text": words}


def _quantity(value, unit):
    return {"value": round(value, 2), "unit": UNITS.get(unit, unit), "system": UCUM, "code": unit}


def _born(patient):
    yield _resource(
        "Patient",
        patient.pk,
        identifier=[{"type": {"text": "MRN"}, "value": patient.mrn, "assigner": {"display": patient.hospital.name}}],
        active=patient.archived_at is None,
        name=[{"family": patient.family_name, "given": [patient.given_name]}],
        gender=GENDERS[patient.sex],
        birthDate=patient.date_of_birth.isoformat(),
        managingOrganization={"display": patient.hospital.name},
    )
    if gestation := patient.gestational_age:
        # A whole number in either unit: completed weeks are no weeks and 0 days.
        days = gestation_days(gestation)
        value = _quantity(days, "d") if "+" in gestation else _quantity(days // 7, "wk")
        key = f"{patient.pk}-gestational-age"
        yield _observation(patient, key, _coded(*GESTATIONAL_AGE), patient.date_of_birth, valueQuantity=value)


def _family(patient):
    for guardianship in patient.guardianships.select_related("user"):
        relation = {"system": f"{TERMINOLOGY}/v3-RoleCode", "code": RELATIONS[guardianship.relation]}
        yield _resource(
            "RelatedPerson",
            guardianship.pk,
            active=True,
            relationship=[{"coding": [relation], "text": guardianship.get_relation_display()}],
            name=[{"text": guardianship.user.name}],
            telecom=[{"system": "email", "value": guardianship.user.email}],
        ) | {"patient": _to("Patient", patient.pk)}


def _observation(patient, key, code, day, status="final", **fields):
    when = day.isoformat() if day else None
    return _resource("Observation", key, patient, status=status, code=code, effectiveDateTime=when, **fields)


def _measured(patient, values, key, status):
    for field, (code, words, unit) in MEASURES.items():
        if (value := getattr(values, field)) is not None:
            yield _observation(
                patient,
                f"{key}-{unit}",
                _coded(code, words),
                values.measured_on,
                status,
                category=[{"coding": [{"system": f"{TERMINOLOGY}/observation-category", "code": "vital-signs"}]}],
                performer=[{"display": values.entered_by.name}],
                valueQuantity=_quantity(value, unit),
                note=[{"text": values.get_source_display()}],
            )


def _study(patient, study, files):
    yield _resource(
        "ImagingStudy",
        study.pk,
        patient,
        status="cancelled" if study.state == State.CANCELLED else "available",
        modality=[{"system": "http://dicom.nema.org/resources/ontology/DCM", "code": "DX"}],
        started=study.acquired_on.isoformat(),
        description="Left hand and wrist, PA view",
        reasonCode=[{"text": study.indication}],
        note=[
            {"text": f"State in the portal: {study.get_state_display()}"},
            *({"text": each} for each in (*study.notices, *_reasons(study))),
        ],
    )
    withdrawn = "entered-in-error" if study.state == State.CANCELLED else ""
    yield from _documents(patient, study, files.get(study.pk, []), withdrawn or "current")
    if study.analysis.bone_age_months is not None:
        yield _estimate(patient, study, withdrawn or "preliminary")
    reports = sorted(study.reports.all(), key=attrgetter("version"))
    signed = {report.review_id: _status(report) for report in reports}
    for review in sorted(study.reviews.all(), key=attrgetter("reviewed_at")):
        yield _reading(patient, study, review, withdrawn or signed.get(review.pk, "preliminary"))
    for report in reports:
        documents = _documents(
            patient, report, files.get(report.pk, []), "superseded" if report.superseded_at else "current"
        )
        yield _resource(
            "DiagnosticReport",
            report.pk,
            patient,
            identifier=[{"value": f"{report.number}, version {report.version}"}],
            status=_status(report),
            code=_coded(*BONE_AGE),
            effectiveDateTime=report.acquired_on.isoformat(),
            issued=report.signed_at.isoformat(),
            performer=[{"display": report.signed_by.name}],
            result=[_to("Observation", report.review_id)],
            imagingStudy=[_to("ImagingStudy", study.pk)],
            conclusion=report.review.impression,
            presentedForm=[content["attachment"] for document in documents for content in document["content"]],
        )
        yield from documents


def _reasons(study):
    """Why the study was taken back, and why its reports were amended: a DiagnosticReport has no place for that."""
    if study.cancellation_reason:
        yield f"Taken back: {study.cancellation_reason}"
    for report in sorted(study.reports.all(), key=attrgetter("version")):
        if report.amendment_reason:
            yield f"{report.number}, version {report.version}, was amended: {report.amendment_reason}"


def _status(report):
    """Of a signed report and its reading: withdrawn once superseded, and "amended" is what took its place."""
    if report.superseded_at:
        return "entered-in-error"
    return "final" if report.version == 1 else "amended"


def _estimate(patient, study, status):
    """Nobody verifies it: what a doctor makes of it is a reading of its own."""
    analysis = study.analysis
    components = []
    if analysis.low_months is not None:
        interval = {"low": _quantity(analysis.low_months, "mo"), "high": _quantity(analysis.high_months, "mo")}
        components.append({"code": {"text": "90 % interval"}, "valueRange": interval})
    return _observation(
        patient,
        analysis.pk,
        _coded(*BONE_AGE),
        study.acquired_on,
        status,
        partOf=[_to("ImagingStudy", study.pk)],
        valueQuantity=_quantity(analysis.bone_age_months, "mo"),
        method={"text": f"AI model {analysis.model_version}; not for diagnosis without review by a physician"},
        component=components,
    )


def _reading(patient, study, review, status):
    return _observation(
        patient,
        review.pk,
        _coded(*BONE_AGE),
        study.acquired_on,
        status,
        partOf=[_to("ImagingStudy", study.pk)],
        issued=review.reviewed_at.isoformat(),
        performer=[{"display": review.doctor.name}],
        valueQuantity=_quantity(review.bone_age_months, "mo"),
        method={"text": review.get_method_display()},
        note=[{"text": text} for text in (review.impression, review.comment, review.assessment.caution)],
    )


def _documents(patient, row, files, status):
    return [
        _resource(
            "DocumentReference",
            f"{row.pk}-{number}",
            patient,
            status=status,
            type={"text": words},
            content=[{"attachment": {"contentType": content_type, "url": path}}],
        )
        for number, (path, content_type, words) in enumerate(files, 1)
    ]
