"""What a file says otherwise than the record is what it says otherwise than the record as corrected."""

from datetime import date

import pytest
from django.conf import settings

from clinical.patients import erasure
from clinical.patients.models import Patient
from clinical.studies import intake, tasks, workflow
from clinical.studies.models import Study
from tests import radiograph_files
from tests.factories import ErasureFactory, RadiographFactory, ReviewFactory, StudyFactory

pytestmark = pytest.mark.usefixtures("unscoped")

HEADER = {"PatientID": "A-1", "PatientSex": "M", "PatientBirthDate": "20140309", "StudyDate": "20240501"}
MALE = "The file says male, the record female."
MRN = "The patient ID in the file differs from the MRN of the record."


@pytest.fixture
def film(hospital):
    return RadiographFactory(hospital=hospital, format="dicom", file=radiograph_files.dicom(**HEADER))


@pytest.fixture
def study(patient, film):
    """Of a girl, with a film of a boy, as its banner says."""
    return StudyFactory(patient=patient, state="analysed", radiograph=film, notices=[MALE])


@pytest.fixture
def corrected(patient, django_capture_on_commit_callbacks, monkeypatch):
    """`corrected(sex="M")`: save the record so; workers take the calls that come of it."""
    monkeypatch.setattr(tasks.compare_due, "apply_async", lambda: tasks.compare_due())

    def save(**values):
        for name, value in values.items():
            setattr(patient, name, value)
        with django_capture_on_commit_callbacks(execute=True):
            patient.save()

    return save


def test_once_the_record_is_corrected_as_the_file_says_nothing_is_asked(as_user, alice, study, corrected):
    page = f"/studies/{study.pk}/"
    assert "Is this the right child, sex and date?" in as_user(alice).get(page).content.decode()
    corrected(sex="M")
    assert Study.objects.get().notices == []
    assert "Is this the right child" not in as_user(alice).get(page).content.decode()


@pytest.mark.parametrize(
    ("values", "notices"),
    [
        ({"date_of_birth": date(2014, 3, 8)}, [MALE, "The file says born 9 March 2014, the record 8 March 2014."]),
        ({"mrn": "A-2"}, [MALE, MRN]),
    ],
)
def test_a_wrong_correction_is_noticed(study, corrected, values, notices):
    corrected(**values)
    assert Study.objects.get().notices == notices


def test_what_is_not_compared_wakes_no_worker(study, corrected, monkeypatch):
    monkeypatch.setattr(intake, "notices_of", pytest.fail)
    corrected(notes="Seen with her mother.")
    assert not Study.objects.get().comparison_due


@pytest.mark.parametrize("state", ["signed", "released", "cancelled"])
def test_what_is_signed_or_withdrawn_stays(study, corrected, state):
    Study.objects.update(state=state)
    corrected(sex="M")
    assert Study.objects.get().notices == [MALE]


def test_what_is_amended_is_compared_with_the_record_of_then(study, corrected, alice):
    ReviewFactory(study=study)
    Study.objects.update(state="signed")
    corrected(sex="M")
    workflow.amend(Study.objects.get(), alice, "Another sex.")
    tasks.compare_due()
    assert Study.objects.get().notices == []


def test_what_lost_its_call_is_compared_by_the_sweep(patient, study):
    patient.sex = "M"
    patient.save()
    assert Study.objects.get().notices == [MALE]
    tasks.compare_due()
    assert Study.objects.get().notices == []
    assert "clinical.studies.tasks.compare_due" in {each["task"] for each in settings.CELERY_BEAT_SCHEDULE.values()}


def test_of_two_corrections_the_last_counts(patient, study, monkeypatch):
    patient.sex = "M"
    patient.save()
    notices_of = intake.notices_of

    def back_again(*args):
        monkeypatch.setattr(intake, "notices_of", notices_of)
        notices = notices_of(*args)
        patient.sex = "F"
        patient.save()
        return notices

    monkeypatch.setattr(intake, "notices_of", back_again)
    tasks.compare_due()
    assert Study.objects.get().comparison_due
    tasks.compare_due()
    assert (Study.objects.get().notices, Study.objects.get().comparison_due) == ([MALE], False)


def test_what_was_compared_with_an_older_record_is_compared_once_filed(patient, film, tess):
    seen = Patient.objects.get()
    Patient.objects.update(sex="M")
    workflow.submit(
        patient=seen,
        radiograph=film,
        acquired_on=date(2024, 5, 1),
        indication="",
        notices=[MALE],
        submission="0d4d9f7e-0000-4000-8000-000000000001",
        actor=tess,
    )
    tasks.compare_due()
    assert Study.objects.get().notices == []


def test_what_was_corrected_in_sight_of_an_older_record_is_compared_once_more(patient, study, tess):
    seen = Study.objects.select_related("patient").get()
    Patient.objects.update(sex="M")
    day = {"acquired_on": date(2024, 5, 2), "notices": [MALE]}
    workflow.correct(seen, tess, seen=(seen.acquired_on, ""), indication="", **day)
    tasks.compare_due()
    assert Study.objects.get().notices == ["The file says taken on 1 May 2024, the study 2 May 2024."]


def test_an_anonymised_record_is_compared_with_nothing(patient, study):
    another = StudyFactory(radiograph=study.radiograph, state="analysed")  # so that the film stays
    patient.sex = "M"
    patient.save()
    assert erasure.carry_out(ErasureFactory(patient=patient).pk)
    tasks.compare_due()
    assert Study.objects.exclude(pk=another.pk).get().notices == []
