import io
from datetime import date

import numpy as np
import pydicom
import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import storages
from pydicom.uid import generate_uid

from clinical.patients import erasure
from clinical.studies import workflow
from clinical.studies.models import Study
from inference.heat_map import overlay_png
from inference.models import ModelVersion
from reports import tasks
from reports.models import Report
from tests import radiograph_files
from tests.factories import ErasureFactory, StudyFactory


@pytest.fixture(autouse=True)
def delivered(monkeypatch):
    """The keys of the reports that were sent to the workers, instead of sending them."""
    sent = []
    monkeypatch.setattr(tasks.make, "apply_async", lambda kwargs: sent.append(kwargs))
    return sent


@pytest.fixture
def analysed():
    """Make an analysed study: `analysed(patient, bone_age_months=126.0, acquired_on=...)`."""

    def make(patient, bone_age_months=126.0, acquired_on=date(2024, 5, 1), **fields):
        picture = radiograph_files.hand()
        study = StudyFactory(
            patient=patient,
            state="analysed",
            acquired_on=acquired_on,
            radiograph__file=radiograph_files.png(picture),
            **fields,
        )
        analysis = study.analysis
        analysis.bone_age_months = bone_age_months
        analysis.low_months, analysis.high_months = bone_age_months - 12, bone_age_months + 13
        analysis.model_version, _ = ModelVersion.objects.get_or_create(name="two_stage_compact", version="1.2.3")
        overlay = overlay_png(np.full((4, 4), 0.5, np.float32), picture.shape)
        analysis.heat_map = storages["private"].save(f"heat-maps/{analysis.pk}/1.png", ContentFile(overlay))
        analysis.save()
        return study

    return make


@pytest.fixture
def reviewed(analysed, alice):
    """Make a study that Alice has read: `reviewed(patient, bone_age_months=120.0)`; by default she accepts the AI's."""

    def make(patient, method="ai", read=None, impression="Bone age fits the age.", comment="", **fields):
        study = analysed(patient, **fields)
        reading = study.analysis.bone_age_months if read is None else read
        workflow.review(
            study,
            alice,
            seen=None,
            method=method,
            bone_age_months=reading,
            impression=impression,
            comment=comment,
            confirmed=True,
        )
        return study

    return make


@pytest.fixture
def signed(reviewed, alice):
    """Make a study that Alice has signed; its report waits to be made."""

    def make(patient, **fields):
        study = reviewed(patient, **fields)
        workflow.sign(study, alice, seen=study.review_id)
        return study

    return make


@pytest.fixture
def made():
    """Make the report of a signed study, as a worker would."""

    def make(study):
        report = Report.objects.current(study)
        tasks.make(report_id=str(report.pk), hospital_id=report.hospital_id)
        report.refresh_from_db()
        return report

    return make


@pytest.fixture
def report(signed, made, patient):
    """A report that is ready, of the patient."""
    return made(signed(patient))


@pytest.fixture
def anonymised(ada):
    """Anonymise the patient of a report; returns the report as it is then."""

    def anonymise(report):
        scheduled = ErasureFactory(patient=report.study.patient, requested_by=ada, override="A court said so.")
        erasure.carry_out(scheduled.pk)
        report.refresh_from_db()
        return report

    return anonymise


@pytest.fixture
def amended(alice):
    """Amend the study of a report and sign it again: the report after it, which waits to be made."""

    def make(report):
        study = Study.objects.get(pk=report.study_id)
        workflow.amend(study, alice, "Another child.")
        workflow.sign(study, alice, seen=study.review_id)
        return Report.objects.current(study)

    return make


@pytest.fixture
def film(signed, made):
    """The report, ready, of a film that came as DICOM, and the film: `film(patient, AccessionNumber="A1")`."""

    def make(patient, **elements):
        uids = {"StudyInstanceUID": generate_uid(), "SeriesInstanceUID": generate_uid()}
        data = radiograph_files.dicom(**uids | elements)
        study = signed(patient)
        storages["private"].delete(study.radiograph.name)
        storages["private"].save(study.radiograph.name, ContentFile(data))
        type(study.radiograph).objects.update(format="dicom")
        return made(Study.objects.get(pk=study.pk)), pydicom.dcmread(io.BytesIO(data))

    return make
