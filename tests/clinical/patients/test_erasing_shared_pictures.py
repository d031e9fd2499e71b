"""A picture that is filed for two patients: what becomes of it when one of them is erased or anonymised."""

import pytest
from django.core.files.storage import storages
from django.utils import timezone

from inference.models import Analysis
from tests.clinical.patients.xanthippe import SECRET, carry_out, everything, files, kept
from tests.factories import PatientFactory, ReportFactory, ReviewFactory, StudyFactory

pytestmark = pytest.mark.usefixtures("unscoped")


@pytest.mark.parametrize("mode", ["anonymise", "erase"])
def test_a_picture_that_is_another_patients_too_stays_theirs(xanthippe, ada, mode):
    other = StudyFactory(
        patient=PatientFactory(hospital=xanthippe.hospital), radiograph=xanthippe.studies.get().radiograph
    )
    carry_out(xanthippe, mode, ada)
    other.refresh_from_db()
    assert storages["private"].exists(other.radiograph.name)


@pytest.mark.parametrize("mode", ["anonymise", "erase"])
def test_of_a_picture_that_was_filed_for_another_wrongly_nothing_stays_there(as_user, alice, xanthippe, ada, mode):
    other = PatientFactory(hospital=xanthippe.hospital)
    radiograph = xanthippe.studies.get().radiograph
    wrong = StudyFactory(patient=other, radiograph=radiograph, state="cancelled", analysis__bone_age_months=118.0)
    Analysis.objects.filter(study=wrong).update(heat_map=kept(f"heat-maps/{wrong.analysis_id}/1.png"))
    carry_out(xanthippe, mode, ada)
    assert files() == []
    assert as_user(alice).get(f"/studies/{wrong.pk}/").status_code == 200


@pytest.mark.parametrize("mode", ["anonymise", "erase"])
def test_nor_does_a_report_or_a_word(xanthippe, ada, mode):
    """Signed for the wrong child, amended, then moved."""
    wrong = StudyFactory(
        patient=PatientFactory(hospital=xanthippe.hospital),
        radiograph=xanthippe.studies.get().radiograph,
        state="cancelled",
        film_of_another=True,
        indication=SECRET,
        notices=[SECRET],
        cancellation_reason=SECRET,
    )
    review = ReviewFactory(study=wrong, impression=SECRET, comment=SECRET)
    made = {"state": "ready", "pdf": kept("reports/2.pdf"), "signed_at": timezone.now()}
    report = ReportFactory(study=wrong, review=review, superseded_at=timezone.now(), amendment_reason=SECRET, **made)
    carry_out(xanthippe, mode, ada)
    assert files() == []
    assert SECRET.casefold() not in everything().casefold()
    report.refresh_from_db()
    assert report.reason == "The PDF showed the film of another patient, and was removed."


@pytest.mark.parametrize("mode", ["anonymise", "erase"])
def test_a_picture_that_was_withdrawn_from_an_anonymised_record_too_goes(xanthippe, ada, mode):
    other = PatientFactory(hospital=xanthippe.hospital, anonymised_at=timezone.now())
    StudyFactory(patient=other, radiograph=xanthippe.studies.get().radiograph, state="cancelled")
    xanthippe.studies.update(state="cancelled")
    carry_out(xanthippe, mode, ada)
    assert files() == []


@pytest.mark.parametrize("mode", ["anonymise", "erase"])
@pytest.mark.parametrize("there", ["released", "cancelled"])
def test_a_picture_that_was_filed_here_wrongly_stays_where_it_belongs(xanthippe, ada, mode, there):
    other = StudyFactory(
        patient=PatientFactory(hospital=xanthippe.hospital), radiograph=xanthippe.studies.get().radiograph, state=there
    )
    xanthippe.studies.update(state="cancelled")
    carry_out(xanthippe, mode, ada)
    other.refresh_from_db()
    assert storages["private"].exists(other.radiograph.name)
