import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import storages
from django.utils import timezone

from clinical.audit.models import AccessEvent
from tests.factories import ReportFactory, StudyFactory

pytestmark = pytest.mark.usefixtures("unscoped")
LIST = "/api/v1/reports/"


@pytest.fixture
def archive(program, alice):
    """The hospital's archive, which only reads."""
    return program(alice, right="read")


@pytest.fixture
def report(patient, alice):
    pdf = storages["private"].save("reports/a.pdf", ContentFile(b"%PDF-1.4"))
    study = StudyFactory(patient=patient, state="signed")
    return ReportFactory(study=study, review__doctor=alice, state="ready", pdf=pdf, sha256="ab" * 32)


def test_the_archive_fetches_what_was_signed(archive, report, patient, alice):
    [told] = archive.get(f"{LIST}?signed_since=2020-01-01T00:00Z").json()["results"]
    assert (told["id"], told["patient"], told["study"]) == (str(report.pk), str(patient.pk), str(report.study_id))
    assert (told["signed_by"], told["bone_age_months"], told["impression"]) == ("Alice", 120, "Bone age is normal.")
    response = archive.get(f"{LIST}{told['id']}/pdf/")
    assert (response.getvalue(), response["Content-Type"]) == (b"%PDF-1.4", "application/pdf")
    event = AccessEvent.objects.get(verb="download")
    assert (event.actor, event.patient_key) == (alice, str(patient.pk))


def test_a_report_that_is_not_made_has_no_pdf(archive, report):
    type(report).objects.update(state="making", pdf="")
    response = archive.get(f"{LIST}{report.pk}/pdf/")
    assert response.status_code == 404
    assert "is being made" in response.json()["detail"]


def test_versions_are_told_apart(archive, report):
    type(report).objects.update(superseded_at=timezone.now())
    newer = ReportFactory(study=report.study, review=report.review, version=2, number=report.number)

    def found(query):
        return [row["id"] for row in archive.get(f"{LIST}?{query}").json()["results"]]

    assert found("superseded=false") == [str(newer.pk)]
    assert found("superseded=true") == [str(report.pk)]
    assert set(found(f"study={report.study_id}")) == {str(report.pk), str(newer.pk)}
    assert found("state=making") == [str(newer.pk)]
