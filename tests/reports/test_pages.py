"""Who gets a report, when, and what the study page says of it."""

from datetime import date

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils.html import strip_tags

from clinical.audit.models import AccessEvent
from clinical.studies import workflow as studies
from clinical.studies.intake import StorageFull
from clinical.studies.models import Study
from clinical.studies.workflow import WrongState
from reports import views, workflow
from reports.models import Report
from reports.pdf import Unprintable
from reports.queries import released_reports
from tests.factories import GuardianshipFactory, PatientFactory, UserFactory

pytestmark = pytest.mark.usefixtures("unscoped")


@pytest.fixture
def released(report, alice):
    studies.release(Study.objects.get(), alice)
    report.refresh_from_db()
    return report


@pytest.mark.parametrize(
    ("person", "status"),
    [("alice", 200), ("tess", 200), ("ada", 403), ("bob", 404), ("mother", 403), ("charlie", 403), (None, 302)],
)
def test_clinicians_of_the_hospital_open_a_report(request, as_user, report, person, status):
    user = request.getfixturevalue(person) if person else None
    response = as_user(user).get(f"/reports/{report.pk}/")
    assert response.status_code == status
    if status == 200:
        assert response.getvalue().startswith(b"%PDF-")
        assert response["Content-Type"] == "application/pdf"
        assert response["Content-Disposition"] == f'inline; filename="{report.number}-v1.pdf"'
        event = AccessEvent.objects.filter(verb="download", actor=user).get()
        assert (event.object_key, event.patient_key) == (str(report.pk), str(report.study.patient_id))


def test_a_report_that_is_not_ready_is_not_found(as_user, alice, signed, patient):
    signed(patient)
    assert as_user(alice).get(f"/reports/{Report.objects.get().pk}/").status_code == 404


def test_a_superseded_report_stays_for_the_clinicians(as_user, alice, report, amended):
    amended(report)
    response = as_user(alice).get(f"/reports/{report.pk}/")
    assert response.getvalue().startswith(b"%PDF-")


def test_the_studys_page_says_why_a_report_was_amended_and_who_did_it(as_user, alice, report):
    client, page = as_user(alice), f"/studies/{report.study_id}/"
    studies.amend(Study.objects.get(), alice, "A newborn's date.")
    between = " ".join(strip_tags(client.get(page).content.decode()).split())
    assert "Amended by Alice: A newborn&#x27;s date." in between
    study = Study.objects.get()
    studies.sign(study, alice, seen=study.review_id)
    after = " ".join(strip_tags(client.get(page).content.decode()).split())
    assert after.count("newborn") == 1
    assert "version 2 Signed" in after.split("Amended: A newborn&#x27;s date.")[0]
    assert "version 1" not in after.split("Amended: A newborn&#x27;s date.")[0]


def test_the_list_of_reports_costs_the_same_however_often_it_was_amended(
    as_user, alice, report, amended, django_assert_num_queries
):
    client, page = as_user(alice), f"/studies/{report.study_id}/reports/"
    amended(report)
    with CaptureQueriesContext(connection) as few:
        client.get(page)
    amended(report)
    with django_assert_num_queries(len(few)):
        assert client.get(page).content.decode().count("Amended:") == 2


def family_sees(as_user, user, report):
    response = as_user(user).get(f"/family/reports/{report.pk}/")
    response.getvalue()
    return response.status_code


def test_the_family_downloads_a_released_report_and_it_is_on_record(as_user, mother, released):
    response = as_user(mother).get(f"/family/reports/{released.pk}/")
    assert response.getvalue().startswith(b"%PDF-")
    assert "no-store" in response["Cache-Control"]
    assert AccessEvent.objects.filter(verb="download", actor=mother, object_key=str(released.pk)).exists()


def test_the_family_has_no_report_before_its_release(as_user, mother, report):
    assert family_sees(as_user, mother, report) == 404


def test_the_family_has_no_superseded_report(as_user, mother, released, amended):
    amended(released)
    assert family_sees(as_user, mother, released) == 404


def test_the_family_of_another_child_has_no_report(as_user, released, hospital):
    guardian = GuardianshipFactory(patient=PatientFactory(hospital=hospital)).user
    assert family_sees(as_user, guardian, released) == 404


def test_access_that_is_revoked_is_gone_at_once(as_user, mother, released, hospital):
    other = GuardianshipFactory(patient=PatientFactory(hospital=hospital), user=mother)
    assert family_sees(as_user, mother, released) == 200
    mother.guardianships.exclude(pk=other.pk).delete()
    assert family_sees(as_user, mother, released) == 404


@pytest.mark.parametrize(("person", "status"), [("alice", 404), ("bob", 404), ("charlie", 404), (None, 302)])
def test_the_family_route_is_for_the_family(request, as_user, released, person, status):
    assert family_sees(as_user, request.getfixturevalue(person) if person else None, released) == status


def test_a_doctor_who_is_a_parent_reads_the_report_as_family(as_user, alice, released):
    GuardianshipFactory(patient=released.study.patient, user=alice)
    assert family_sees(as_user, alice, released) == 200


def test_released_reports_are_those_that_a_family_may_read(patient, released, signed, made, amended, alice):
    unreleased = made(signed(patient))
    assert list(released_reports(patient)) == [released]
    studies.release(Study.objects.get(pk=unreleased.study_id), alice)
    assert set(released_reports(patient)) == {released, unreleased}
    amended(released)
    assert list(released_reports(patient)) == [Report.objects.get(pk=unreleased.pk)]
    assert not released_reports(PatientFactory(hospital=patient.hospital))


@pytest.mark.parametrize("make", ["analysed", "reviewed"])
def test_a_draft_is_made_while_one_waits_and_not_kept(request, as_user, alice, patient, make):
    study = request.getfixturevalue(make)(patient)
    response = as_user(alice).get(f"/studies/{study.pk}/draft/")
    assert response.content.startswith(b"%PDF-")
    assert "no-store" in response["Cache-Control"]
    assert not Report.objects.exists()
    assert AccessEvent.objects.filter(verb="download", detail="draft", object_key=str(study.pk)).exists()


def test_there_is_no_draft_of_a_signed_study(as_user, alice, report):
    response = as_user(alice).get(f"/studies/{report.study_id}/draft/", follow=True)
    assert "There is no draft" in response.content.decode()


def test_there_is_no_draft_of_a_reading_that_was_made_before_a_correction(as_user, alice, reviewed, patient):
    study = reviewed(patient)
    assert "Draft as PDF" in reports_card(as_user, alice, study)
    patient.date_of_birth = date(2013, 3, 9)
    patient.save()
    sentence = "since this reading the date of birth or of the study was corrected. Read the radiograph again."
    card = reports_card(as_user, alice, study)
    assert "Draft as PDF" not in card
    assert sentence in card
    response = as_user(alice).get(f"/studies/{study.pk}/draft/", follow=True)
    assert f"There is no draft: {sentence}" in response.content.decode()


def test_a_draft_without_its_radiograph_says_so(as_user, alice, reviewed, patient, settings, tmp_path):
    study = reviewed(patient)
    (tmp_path / "private" / study.radiograph.name).unlink()
    response = as_user(alice).get(f"/studies/{study.pk}/draft/", follow=True)
    assert "could not be found" in response.content.decode()


@pytest.mark.parametrize(("error", "said"), [(Unprintable(), "laid out"), (StorageFull(), "storage is full")])
def test_a_draft_that_cannot_be_made_says_so_and_counts_as_no_download(
    as_user, alice, reviewed, patient, monkeypatch, error, said
):
    def broken(content):
        raise error

    monkeypatch.setattr(views, "render_pdf", broken)
    response = as_user(alice).get(f"/studies/{reviewed(patient).pk}/draft/", follow=True)
    assert said in response.content.decode()
    assert not AccessEvent.objects.filter(verb="download").exists()


def reports_card(as_user, alice, study):
    return as_user(alice).get(f"/studies/{study.pk}/reports/").content.decode()


def test_the_study_page_follows_the_report_until_it_is_there(as_user, alice, signed, patient, made):
    study = signed(patient)
    waiting = reports_card(as_user, alice, study)
    assert "The report is being made" in waiting
    assert f'hx-get="/studies/{study.pk}/reports/"' in waiting
    report = made(study)
    ready = reports_card(as_user, alice, study)
    assert f'href="/reports/{report.pk}/"' in ready
    assert report.code in ready
    assert report.sha256 in ready
    assert "hx-get" not in ready
    assert ready.strip() in as_user(alice).get(f"/studies/{study.pk}/").content.decode()


@pytest.mark.parametrize(("name", "warned"), [("विक्रम", True), ("山田太郎", False)])
def test_the_study_page_says_before_the_signature_that_a_name_cannot_be_printed(
    as_user, alice, reviewed, hospital, name, warned
):
    study = reviewed(PatientFactory(hospital=hospital, family_name=name))
    assert ("letters that a report cannot print" in reports_card(as_user, alice, study)) is warned


def test_the_study_page_lists_every_version(as_user, alice, report, amended, made):
    made(amended(report).study)
    page = reports_card(as_user, alice, report.study)
    assert page.index("version 2") < page.index("version 1")
    assert "Superseded" in page


def test_a_failed_report_is_made_again_from_the_page(as_user, alice, signed, patient, delivered):
    study = signed(patient)
    report = Report.objects.get()
    workflow.fail(report, "The worker was lost.")
    assert "The worker was lost." in reports_card(as_user, alice, study)
    response = as_user(alice).post(f"/reports/{report.pk}/retry/", follow=True)
    assert response.redirect_chain == [(f"/studies/{study.pk}/", 302)]
    report.refresh_from_db()
    assert report.state == "making"
    again = as_user(alice).post(f"/reports/{report.pk}/retry/", follow=True)
    assert "moved on" in again.content.decode()


def test_a_report_that_was_removed_can_be_checked_and_not_made_again(as_user, alice, report, anonymised):
    card = reports_card(as_user, alice, anonymised(report).study)
    assert "removed when the patient was anonymised" in card
    assert report.code in card
    assert report.sha256 in card
    assert "Make it again" not in card


def test_a_report_that_was_never_made_is_not_made_of_an_anonymised_record(as_user, alice, signed, patient, anonymised):
    study = signed(patient)
    workflow.fail(Report.objects.get(), "The worker was lost.")
    report = anonymised(Report.objects.get())
    card = reports_card(as_user, alice, study)
    assert "anonymised before the PDF was made, so there is none." in card
    assert "Make it again" not in card
    with pytest.raises(WrongState):
        workflow.retry(report, alice)


def test_the_queries_of_the_reports_do_not_grow_with_their_versions(as_user, alice, report, amended):
    client = as_user(alice)

    def queries():
        with CaptureQueriesContext(connection) as captured:
            client.get(f"/studies/{report.study_id}/reports/")
        return len(captured)

    one = queries()
    for _ in range(4):
        amended(report)
    assert queries() == one


def test_the_doctor_is_told_to_wait_when_the_report_is_not_ready(as_user, alice, signed, patient):
    study = signed(patient)
    response = as_user(alice).post(f"/studies/{study.pk}/release/", follow=True)
    assert "still being made" in response.content.decode()
    assert Study.objects.get().state == "signed"


def test_another_doctor_of_no_hospital_has_no_draft(as_user, reviewed, patient):
    study = reviewed(patient)
    assert as_user(UserFactory()).get(f"/studies/{study.pk}/draft/").status_code == 403
