"""All that is held about a patient as one FHIR R4 Bundle, for whoever is given the copy of the record.

"R4-like": the resources, fields and codes are those of https://hl7.org/fhir/R4, no profile is claimed. Bone age is
LOINC 85151-9, height 8302-2, weight 29463-7; ages in months (UCUM mo), lengths in cm, weights in kg.
"""

from clinical.studies.models import Review, State, Study

LOINC, UCUM = "http://loinc.org", "http://unitsofmeasure.org"
GENDERS = {"F": "female", "M": "male"}
RELATIONS = {"self": "ONESELF", "mother": "MTH", "father": "FTH", "guardian": "GUARD"}
BONE_AGE = ("85151-9", "Bone age")
MEASURES = {"height_cm": ("8302-2", "Body height", "cm"), "weight_kg": ("29463-7", "Body weight", "kg")}


def bundle(patient, files, at):
    """The Bundle of `patient`. files: key of a row -> list of (path in the copy, content type); `at`: now."""
    resources = [_patient(patient), *_family(patient)]
    for field, words in (("mother_height_cm", "Height of the mother"), ("father_height_cm", "Height of the father")):
        if (value := getattr(patient, field)) is not None:
            resources.append(_observation(patient, field, {"text": words}, None, valueQuantity=_quantity(value, "cm")))
    if patient.notes:
        words = {"text": "Notes of the record"}
        resources.append(_observation(patient, "notes", words, None, valueString=patient.notes))
    for measurement in patient.measurements.select_related("entered_by"):
        resources += _measured(patient, measurement, measurement.pk, "final")
    for former in patient.former_measurements.select_related("entered_by"):
        resources += _measured(patient, former, f"former-{former.pk}", "entered-in-error")
    studies = Study.objects.filter(patient=patient).select_related("analysis__model_version", "radiograph", "review")
    for study in studies.order_by("acquired_on", "submitted_at"):
        resources += _study(patient, study, files)
    return {
        "resourceType": "Bundle",
        "type": "collection",
        "timestamp": at.isoformat(),
        "entry": [{"resource": resource} for resource in resources],
    }


def _resource(kind, key, patient=None, **fields):
    about = {"subject": _to("Patient", patient.pk)} if patient else {}
    kept = {name: value for name, value in (about | fields).items() if value not in (None, "", [], {})}
    return {"resourceType": kind, "id": str(key), **kept}


def _to(kind, key):
    return {"reference": f"{kind}/{key}"}


def _coded(code, words):
    return {"coding": [{"system": LOINC, "code": code, "display": words}], "text": words}


def _quantity(value, unit):
    return {"value": round(value, 2), "unit": "months" if unit == "mo" else unit, "system": UCUM, "code": unit}


def _patient(patient):
    name = {"family": patient.family_name, "given": [patient.given_name] if patient.given_name else []}
    return _resource(
        "Patient",
        patient.pk,
        identifier=[{"type": {"text": "MRN"}, "value": patient.mrn, "assigner": {"display": patient.hospital.name}}],
        active=patient.archived_at is None,
        name=[name],
        gender=GENDERS[patient.sex],
        birthDate=patient.date_of_birth.isoformat(),
        managingOrganization={"display": patient.hospital.name},
    )


def _family(patient):
    for guardianship in patient.guardianships.select_related("user"):
        code = RELATIONS[guardianship.relation]
        system = "http://terminology.hl7.org/CodeSystem/v3-RoleCode"
        yield _resource(
            "RelatedPerson",
            guardianship.pk,
            patient=None,
            active=True,
            relationship=[{"coding": [{"system": system, "code": code}], "text": guardianship.get_relation_display()}],
            name=[{"text": guardianship.user.name}],
            telecom=[{"system": "email", "value": guardianship.user.email}],
        ) | {"patient": _to("Patient", patient.pk)}


def _observation(patient, key, code, day, status="final", **fields):
    when = day.isoformat() if day else None
    key = f"{patient.pk}-{key}".replace("_", "-") if isinstance(key, str) else key
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
                performer=[{"display": values.entered_by.name}],
                valueQuantity=_quantity(value, unit),
                note=[{"text": values.get_source_display()}],
            )


def _study(patient, study, files):
    images = _documents(patient, study, files.get(study.pk, []), "Radiograph", "current")
    yield _resource(
        "ImagingStudy",
        study.pk,
        patient,
        status="cancelled" if study.state == State.CANCELLED else "available",
        modality=[{"system": "http://dicom.nema.org/resources/ontology/DCM", "code": "DX"}],
        started=study.acquired_on.isoformat(),
        description="Left hand and wrist, PA view",
        reasonCode=[{"text": study.indication}] if study.indication else None,
        note=[
            {"text": f"State in the portal: {study.get_state_display()}"},
            *({"text": each} for each in study.notices),
        ],
    )
    yield from images
    results = []
    if study.analysis.bone_age_months is not None:
        results.append(_estimate(patient, study))
    reviews = Review.objects.filter(study=study).select_related("doctor").order_by("reviewed_at")
    results += [_reading(patient, study, review) for review in reviews]
    yield from results
    # The reports' own rows belong to the floor above.
    for report in study.reports.select_related("signed_by", "review").order_by("version"):
        documents = _documents(
            patient, report, files.get(report.pk, []), "Report", "superseded" if report.superseded_at else "current"
        )
        yield _resource(
            "DiagnosticReport",
            report.pk,
            patient,
            identifier=[{"value": f"{report.number}, version {report.version}"}],
            status="final" if report.version == 1 else "amended",
            code=_coded(*BONE_AGE),
            effectiveDateTime=study.acquired_on.isoformat(),
            issued=report.signed_at.isoformat(),
            performer=[{"display": report.signed_by.name}],
            result=[_to("Observation", report.review_id)],
            imagingStudy=[_to("ImagingStudy", study.pk)],
            conclusion=report.review.impression,
            presentedForm=[content["attachment"] for document in documents for content in document["content"]],
        )
        yield from documents


def _estimate(patient, study):
    analysis = study.analysis
    interval = {"low": _quantity(analysis.low_months, "mo"), "high": _quantity(analysis.high_months, "mo")}
    return _observation(
        patient,
        analysis.pk,
        _coded(*BONE_AGE),
        study.acquired_on,
        "preliminary",
        partOf=[_to("ImagingStudy", study.pk)],
        valueQuantity=_quantity(analysis.bone_age_months, "mo"),
        method={"text": f"AI model {analysis.model_version}; not for diagnosis without review by a physician"},
        component=[{"code": {"text": "90 % interval"}, "valueRange": interval}],
    )


def _reading(patient, study, review):
    return _observation(
        patient,
        review.pk,
        _coded(*BONE_AGE),
        study.acquired_on,
        "final" if review.pk == study.review_id else "amended",
        partOf=[_to("ImagingStudy", study.pk)],
        issued=review.reviewed_at.isoformat(),
        performer=[{"display": review.doctor.name}],
        valueQuantity=_quantity(review.bone_age_months, "mo"),
        method={"text": review.get_method_display()},
        note=[{"text": text} for text in (review.impression, review.comment) if text],
    )


def _documents(patient, row, files, words, status):
    return [
        _resource(
            "DocumentReference",
            f"{row.pk}-{number}",
            patient,
            status=status,
            type={"text": words},
            content=[{"attachment": {"contentType": content_type, "url": path}}],
        )
        for number, (path, content_type) in enumerate(files, 1)
    ]
