from datetime import date

import pytest
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.contenttypes.models import ContentType
from django.utils import timezone

from clinical.audit.record import Verb, record
from clinical.patients.models import Patient
from inference.models import ModelVersion, ShadowAnalysis
from tests.clinical.patients.xanthippe import PICTURE, SECRET, kept
from tests.factories import (
    AnalysisFactory,
    FamilyInvitationFactory,
    FormerMeasurementFactory,
    MeasurementFactory,
    NotificationFactory,
    OcclusionMapFactory,
    PatientExportFactory,
    PatientFactory,
    ReportFactory,
    ReviewFactory,
    StudyFactory,
)


@pytest.fixture
def released():
    """A study of a child that is released: `released(patient, bone_age=126.0, ...)`."""

    def create(patient, bone_age=120.0, acquired_on=date(2024, 5, 1), **fields):
        review = ReviewFactory(
            study__patient=patient,
            study__state="released",
            study__acquired_on=acquired_on,
            bone_age_months=bone_age,
            **fields,
        )
        return review.study

    return create


@pytest.fixture
def edited():
    """`edited(client, patient, sex="M")`: the answer to changing these values in the patient's own form."""

    def edit(client, patient, **change):
        path = f"/patients/{patient.pk}/edit/"
        form = client.get(path).context["form"]
        return client.post(path, {name: form[name].value() or "" for name in form.fields} | change)

    return edit


@pytest.fixture
def xanthippe(hospital, mother, alice):
    """A patient with a row of every kind, each of which names her."""
    patient = PatientFactory(
        hospital=hospital,
        family_name=SECRET,
        given_name=SECRET,
        mrn=f"{SECRET}-1",
        notes=SECRET,
        mother_height_cm=168,
        gestational_age="34+2",
    )
    patient.notes = f"{SECRET}, again"
    patient.save()
    study = StudyFactory(
        patient=patient,
        state="released",
        indication=SECRET,
        notices=[SECRET],
        cancellation_reason=SECRET,
        radiograph__file=PICTURE,
        analysis__bone_age_months=118.0,
    )
    shown = study.radiograph.name.replace("radiographs/", "display/")
    kept(f"{shown}.png")
    analysis = study.analysis
    analysis.previous = AnalysisFactory(hospital=hospital, state="failed")
    analysis.heat_map = kept(f"heat-maps/{analysis.pk}/2.png")
    kept(f"heat-maps/{analysis.pk}/1.png")
    analysis.save()
    OcclusionMapFactory(analysis=analysis, asked_by=alice, file=kept(f"heat-maps/{analysis.pk}/occlusion.png"))
    version = ModelVersion.objects.create(name="candidate", version="1")
    ShadowAnalysis.objects.create(hospital=hospital, analysis=analysis, model_version=version, sex="F", radiograph="x")
    review = ReviewFactory(study=study, doctor=alice, impression=SECRET, comment=SECRET, bone_age_months=120.0)
    made = {"state": "ready", "pdf": kept("reports/1.pdf"), "signed_at": timezone.now()}
    ReportFactory(study=study, review=review, amendment_reason=SECRET, **made)
    MeasurementFactory(patient=patient)
    FormerMeasurementFactory(patient=patient)
    FamilyInvitationFactory(patient=patient)
    mother.guardianships.create(patient=patient, hospital=hospital, relation="mother")
    for read_at in (None, timezone.now()):
        url = f"/family/{patient.pk}/#study-{study.pk}"
        NotificationFactory(user=mother, hospital=hospital, url=url, read_at=read_at)
    copy = PatientExportFactory(patient=patient, state="ready")
    copy.file = kept(f"exports/{copy.pk}/2.zip")
    copy.save()
    # As two at once and lost workers leave them: no row names these.
    for name in (f"{study.radiograph.name}_aB3", f"{shown}_aB3.png", f"exports/{copy.pk}/1.zip"):
        kept(name)
    act = {"user": alice, "action_flag": CHANGE, "object_id": str(patient.pk), "object_repr": SECRET}
    LogEntry.objects.create(content_type=ContentType.objects.get_for_model(Patient), **act)
    record(Verb.VIEW, patient, actor=alice)
    return patient
