"""A record is changed while a film is read for it: what stands by then counts, and what no longer fits is refused."""

from datetime import date

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.utils import timezone
from pydicom.uid import generate_uid

from clinical.dicom import arrivals
from clinical.patients.models import Patient
from clinical.studies import intake
from clinical.studies.models import Study
from tests import radiograph_files
from tests.factories import SenderFactory, StudyFactory

pytestmark = pytest.mark.usefixtures("unscoped")

REFUSED = {
    "The record is anonymised": {"anonymised_at": timezone.now()},
    "This patient is archived": {"archived_at": timezone.now()},
    "The date of birth was corrected meanwhile": {"date_of_birth": date(2024, 6, 1)},
}


@pytest.fixture
def meanwhile(monkeypatch):
    """`meanwhile(sex="M")`: the record says so once the file is in the storage."""

    def change(**values):
        keep = intake.keep

        def kept(*args):
            Patient.objects.update(**values)
            return keep(*args)

        monkeypatch.setattr(intake, "keep", kept)

    return change


def test_a_study_is_of_the_sex_that_the_record_has_by_then(as_user, tess, patient, upload, hand, meanwhile):
    meanwhile(sex="M")
    as_user(tess)
    upload(patient, hand)
    study = Study.objects.get()
    assert study.sex == study.analysis.sex == "M"


@pytest.mark.parametrize("sentence", REFUSED)
def test_an_upload_to_a_record_that_takes_no_such_study_is_refused(
    as_user, tess, patient, upload, hand, meanwhile, sentence
):
    meanwhile(**REFUSED[sentence])
    as_user(tess)
    response = upload(patient, hand, acquired_on="2024-05-01")
    assert response.status_code == 422
    assert sentence in response.content.decode()
    assert not Study.objects.exists()


@pytest.mark.parametrize("sentence", REFUSED)
def test_so_is_what_a_program_submits(program, tess, patient, meanwhile, sentence):
    meanwhile(**REFUSED[sentence])
    sent = {"file": SimpleUploadedFile("hand.png", radiograph_files.png()), "patient": patient.pk}
    response = program(tess).post("/api/v1/studies/", {**sent, "acquired_on": "2024-05-01"})
    status = 409 if sentence == "This patient is archived" else 422
    assert (response.status_code, sentence in response.json()["detail"]) == (status, True)
    assert not Study.objects.exists()


@pytest.mark.parametrize("sentence", REFUSED)
def test_a_film_that_comes_by_itself_waits(patient, tess, monkeypatch, sentence):
    place = arrivals._place

    def placed(picture):
        found = place(picture)
        Patient.objects.update(**REFUSED[sentence])
        return found

    monkeypatch.setattr(arrivals, "_place", placed)
    room = SenderFactory(membership=tess.memberships.get())
    uid = generate_uid()
    film = radiograph_files.dicom(SOPInstanceUID=uid, PatientID=patient.mrn, StudyDate="20240501")
    assert sentence in arrivals.take(room, film, uid).reason
    assert not Study.objects.exists()


def test_a_correction_to_a_day_before_a_birth_corrected_meanwhile_is_refused(as_user, tess, patient, monkeypatch):
    study = StudyFactory(patient=patient)
    notices_of = intake.notices_of

    def noticed(*args):
        Patient.objects.update(date_of_birth=date(2024, 4, 1))
        return notices_of(*args)

    monkeypatch.setattr(intake, "notices_of", noticed)
    client = as_user(tess)
    path = f"/studies/{study.pk}/correct/"
    fields = {"acquired_on": "2024-03-01", "seen": client.get(path).context["form"]["seen"].value()}
    response = client.post(path, fields)
    assert response.status_code == 409
    assert "The date of birth was corrected meanwhile" in response.content.decode()
    assert Study.objects.get().acquired_on == date(2024, 5, 1)
