"""Erasing and anonymising a patient: asked twice, to be cancelled, kept from where the law says so; then thorough."""

from datetime import date, timedelta

import pytest
from django.core.files.storage import storages
from django.db import IntegrityError
from django.utils import timezone

from clinical.audit import chain
from clinical.audit.models import AccessEvent, ChangedValues
from clinical.audit.tasks import seal_due
from clinical.patients import erasure, privacy, tasks
from clinical.patients.models import Erasure, Patient, Retention
from clinical.studies.intake import store
from clinical.studies.models import Radiograph, Review, Study
from inference.models import Analysis, ShadowAnalysis
from reports.models import Report
from tests.clinical.patients.xanthippe import PICTURE, SECRET, carry_out, everything, files
from tests.factories import ErasureFactory, NotificationFactory, ReportFactory, ReviewFactory, StudyFactory

pytestmark = pytest.mark.usefixtures("unscoped")


@pytest.mark.parametrize("mode", ["anonymise", "erase"])
def test_no_row_and_no_file_names_the_patient_any_more(xanthippe, ada, mode):
    assert SECRET in everything()
    assert len(files()) == 10
    carry_out(xanthippe, mode, ada)
    assert SECRET.casefold() not in everything().casefold()  # neither as it is searched for
    assert files() == []


@pytest.mark.parametrize("mode", ["anonymise", "erase"])
def test_what_the_family_was_told_goes_read_or_not(xanthippe, ada, mother, mode):
    other = NotificationFactory(user=mother, hospital=xanthippe.hospital)
    carry_out(xanthippe, mode, ada)
    assert list(mother.notifications.all()) == [other]


@pytest.mark.parametrize("mode", ["anonymise", "erase"])
def test_its_studies_are_urgent_no_more_and_nobody_is_told_of_them(xanthippe, ada, alice, mode):
    other, study = NotificationFactory(user=alice, hospital=xanthippe.hospital), xanthippe.studies.get()
    study.state, study.urgent = "analysed", True
    study.save()
    for kind in ("urgent reading", "study stopped"):
        NotificationFactory(user=alice, hospital=xanthippe.hospital, kind=kind, url=f"/studies/{study.pk}/")
    carry_out(xanthippe, mode, ada)
    assert list(alice.notifications.all()) == [other]
    assert not Study.objects.filter(urgent=True).exists()


@pytest.mark.parametrize("mode", ["anonymise", "erase"])
def test_what_was_done_with_the_record_stays_and_its_chain_holds(xanthippe, ada, mode):
    before = AccessEvent.objects.filter(patient_key=str(xanthippe.pk)).count()
    seal_due()
    carry_out(xanthippe, mode, ada)
    seal_due()
    events = AccessEvent.objects.filter(patient_key=str(xanthippe.pk))
    assert events.count() > before
    assert events.filter(verb=mode).exists()
    assert not ChangedValues.objects.exists()
    chain.verify(xanthippe.hospital_id)


def test_anonymised_the_figures_stay(xanthippe, ada):
    carry_out(xanthippe, "anonymise", ada)
    patient = Patient.objects.get(pk=xanthippe.pk)
    assert (patient.sex, patient.date_of_birth) == ("F", date(2014, 3, 1))
    assert patient.archived_at is not None
    study = patient.studies.get()
    assert (study.state, study.acquired_on, study.analysis.bone_age_months) == ("released", date(2024, 5, 1), 118.0)
    assert study.review.bone_age_months == 120.0
    assert study.review.age_months == 122.0  # of one born on the first of the month
    assert {each.gestational_age for each in (patient, study.review, Report.objects.get())} == {"34"}
    assert Report.objects.get().sha256 == ""
    assert patient.measurements.count() == 1


def test_erased_nothing_stays_but_the_record_of_access_and_of_the_decision(xanthippe, ada):
    carry_out(xanthippe, "erase", ada)
    assert not Patient.objects.filter(pk=xanthippe.pk).exists()
    for model in (Study, Review, Report, Analysis, ShadowAnalysis, Radiograph):
        assert not model.objects.exists()
    decided = Erasure.objects.get()
    assert (decided.patient_id, decided.patient_key, decided.reason) == (None, xanthippe.pk, "The family asked for it.")


def test_while_rows_are_locked_no_folder_is_listed_that_holds_other_patients_files(xanthippe, monkeypatch):
    listed = []
    monkeypatch.setattr(erasure, "lying_in", lambda folder: listed.append(folder) or [])
    assert erasure.carry_out(ErasureFactory(patient=xanthippe, override="A court said so.").pk)
    assert {folder.split("/")[0] for folder in listed} == {"heat-maps", "exports"}  # a folder each


def test_the_same_file_uploaded_again_is_stored_anew(xanthippe, ada, hospital):
    carry_out(xanthippe, "anonymise", ada)
    radiograph, _ = store(hospital, PICTURE)
    assert storages["private"].exists(radiograph.name)


@pytest.mark.parametrize("mode", ["anonymise", "erase"])
def test_the_pages_still_open(as_user, alice, ada, mother, xanthippe, mode):
    study = xanthippe.studies.get()
    carry_out(xanthippe, mode, ada)
    for path in ("/audit/", "/privacy/"):
        assert as_user(ada).get(path).status_code == 200
    status = 404 if mode == "erase" else 200
    for path in (f"/patients/{xanthippe.pk}/", f"/studies/{study.pk}/"):
        assert as_user(alice).get(path).status_code == status
    assert as_user(ada).get(f"/patients/{xanthippe.pk}/privacy/").status_code == status
    assert as_user(alice).get(f"/studies/{study.pk}/image/").status_code == 404
    assert as_user(alice).get(f"/studies/{study.pk}/original/").status_code == 404
    assert as_user(alice).get(f"/studies/{study.pk}/de-identified/").status_code == 404
    assert as_user(mother).get(f"/family/{xanthippe.pk}/").status_code == 404


@pytest.mark.parametrize(
    "path",
    [
        *("patients/{patient}/edit/", "patients/{patient}/measurements/new/", "patients/{patient}/family/invite/"),
        "patients/{patient}/upload/",
        *("measurements/{measurement}/edit/", "measurements/{measurement}/remove/"),
    ],
)
def test_an_anonymised_record_takes_no_entry(as_user, alice, ada, xanthippe, path):
    carry_out(xanthippe, "anonymise", ada)
    path = "/" + path.format(patient=xanthippe.pk, measurement=xanthippe.measurements.get().pk)
    again = {"mrn": "A-1", "family_name": SECRET, "sex": "F", "date_of_birth": "2014-03-09"}
    for answer in (as_user(alice).get(path), as_user(alice).post(path, again)):
        assert answer.status_code == 404
    assert path not in as_user(alice).get(f"/patients/{xanthippe.pk}/").content.decode()
    assert SECRET not in everything()


def test_an_anonymised_record_is_not_brought_back(as_user, alice, ada, xanthippe):
    former = xanthippe.former_measurements.get()
    carry_out(xanthippe, "anonymise", ada)
    former.removed = True
    former.save()  # as a removal leaves it that runs beside the erasure
    page = as_user(alice).get(f"/patients/{xanthippe.pk}/").content.decode()
    for verb in ("restore", "archive"):
        path = f"/patients/{xanthippe.pk}/{verb}/"
        assert path not in page
        assert as_user(alice).post(path).status_code == 404
    assert as_user(alice).post(f"/measurements/removed/{former.pk}/put-back/").status_code == 404
    assert f"/patients/{xanthippe.pk}/upload/" not in page
    assert "make a new record" in " ".join(page.split())
    assert Patient.objects.get(pk=xanthippe.pk).archived_at is not None


def test_what_is_left_of_an_anonymised_record_can_be_erased(as_user, ada, xanthippe):
    carry_out(xanthippe, "anonymise", ada)
    patient, path = Patient.objects.get(pk=xanthippe.pk), f"/patients/{xanthippe.pk}/privacy/"
    page = as_user(ada).get(path).content.decode()
    assert f"{path}erase/" in page
    assert "Erase what is left" in page
    assert "This record is anonymised." in as_user(ada).get(f"{path}erase/").content.decode()
    filled = {"reason": "Asked for.", "confirmation": patient.mrn, "override": "A court said so."}
    assert as_user(ada).post(f"{path}erase/", filled | {"mode": "anonymise"}).status_code == 422
    assert as_user(ada).post(f"{path}erase/", filled | {"mode": "erase"}).status_code == 302
    Erasure.objects.update(due_at=timezone.now())
    tasks.carry_out_erasures()
    assert not Patient.objects.filter(pk=patient.pk).exists()
    for model in (Study, Analysis, Radiograph, Review, Report):
        assert not model.objects.exists()


@pytest.fixture
def ask(as_user, ada, patient):
    """Send the form of the page: `ask(confirmation="A-1")`."""
    filled = {"mode": "erase", "reason": "The family asked for it.", "confirmation": "A-1"}
    return lambda **change: as_user(ada).post(f"/patients/{patient.pk}/privacy/erase/", filled | change)


def signed(patient, at):
    study = StudyFactory(patient=patient, state="signed")
    ReportFactory(study=study, review=ReviewFactory(study=study), signed_at=at)


def test_it_waits_and_can_be_cancelled(ask, as_user, ada, patient):
    assert ask().status_code == 302
    scheduled = Erasure.objects.get()
    assert timedelta(days=6.9) < scheduled.due_at - timezone.now() < timedelta(days=7)
    page = as_user(ada).get(f"/patients/{patient.pk}/privacy/").content.decode()
    assert "This record is erased on" in page
    assert "Doe, Jane" in as_user(ada).get("/privacy/").content.decode()
    for _ in range(2):
        assert as_user(ada).post(f"/patients/erasures/{scheduled.pk}/cancel/").status_code == 302
    Erasure.objects.update(due_at=timezone.now())
    tasks.carry_out_erasures()
    assert Patient.objects.filter(pk=patient.pk).exists()
    verbs = AccessEvent.objects.filter(actor=ada).order_by("pk").values_list("verb", flat=True)
    assert [verb for verb in verbs if "erasure" in verb] == ["schedule erasure", "cancel erasure"]


def test_a_double_click_schedules_once(ask):
    ask(), ask()
    assert Erasure.objects.count() == 1


@pytest.mark.parametrize("change", [{"confirmation": "A-2"}, {"confirmation": ""}, {"reason": ""}, {"mode": "burn"}])
def test_it_asks_for_the_mrn_a_reason_and_what_to_do(ask, change):
    assert ask(**change).status_code == 422
    assert not Erasure.objects.exists()


def test_who_has_not_just_confirmed_who_they_are_does_so_first(as_user, ada, patient, client):
    as_user(ada)
    session = client.session
    session["account_authentication_methods"][0]["at"] -= 3600
    session["account_authentication_methods"] = session["account_authentication_methods"]
    session.save()
    sent = {"mode": "erase", "reason": "Asked for.", "confirmation": "A-1"}
    response = client.post(f"/patients/{patient.pk}/privacy/erase/", sent)
    assert "/reauthenticate/" in response["Location"]
    assert not Erasure.objects.exists()


def test_what_the_law_keeps_is_not_erased_without_a_reason(ask, patient):
    signed(patient, timezone.now())
    response = ask()
    assert response.status_code == 422
    assert "Signed reports of this patient must be kept until 09 March 2042" in response.content.decode()
    assert not Erasure.objects.exists()
    assert ask(override="A court said so.").status_code == 302
    assert Erasure.objects.get().override == "A court said so."


def test_a_report_signed_between_the_look_at_the_record_and_the_decision_is_told(ask, patient, monkeypatch):
    monkeypatch.setattr(privacy, "_retained_until", lambda patient: None)
    signed(patient, timezone.now())
    response = ask()
    assert response.status_code == 422
    assert "Signed reports of this patient must be kept until 09 March 2042" in response.content.decode()


@pytest.mark.parametrize(
    ("years", "until_age", "until"),
    [(10, 28, date(2042, 3, 9)), (30, 28, date(2054, 3, 1)), (0, 0, date(2024, 2, 29)), (1, 0, date(2025, 3, 1))],
)
def test_the_hospital_sets_how_long_it_keeps(as_user, ada, patient, years, until_age, until):
    signed(patient, timezone.make_aware(timezone.datetime(2024, 2, 29, 12)))
    as_user(ada).post("/privacy/", {"years": years, "until_age": until_age})
    assert erasure.retained_until(patient) == until


def test_the_setting_is_checked_and_on_record(as_user, ada, hospital):
    assert as_user(ada).post("/privacy/", {"years": "-1", "until_age": "18"}).status_code == 422
    as_user(ada).post("/privacy/", {"years": "10", "until_age": "18"})
    assert Retention.objects.get().until_age == 18
    event = AccessEvent.objects.get(verb="configure")
    assert event.changed_values.values == {"until_age": ["28", "18"]}


def test_what_was_never_signed_may_go(patient):
    StudyFactory(patient=patient)
    assert erasure.retained_until(patient) is None


@pytest.mark.parametrize("override", ["", "A court said so."])
def test_a_report_signed_in_the_meantime_keeps_the_record(ask, patient, override):
    if override:
        signed(patient, timezone.now() - timedelta(days=400))
    assert ask(override=override).status_code == 302
    signed(patient, timezone.now())
    Erasure.objects.update(due_at=timezone.now())
    tasks.carry_out_erasures()
    scheduled = Erasure.objects.get()
    assert (scheduled.done_at, scheduled.cancelled_by) == (None, None)
    assert scheduled.cancelled_at is not None
    assert AccessEvent.objects.get(verb="cancel erasure").detail == "a report was signed meanwhile"


def test_a_radiograph_that_a_worker_has_is_waited_for(ask, patient):
    study = StudyFactory(patient=patient, state="analysing")
    ask()
    Erasure.objects.update(due_at=timezone.now())
    tasks.carry_out_erasures()
    assert Patient.objects.filter(pk=patient.pk).exists()
    Study.objects.filter(pk=study.pk).update(state="failed")
    tasks.carry_out_erasures()
    assert not Patient.objects.filter(pk=patient.pk).exists()


def test_files_that_could_not_be_deleted_are_deleted_later(ask, patient, hospital, monkeypatch):
    study = StudyFactory(patient=patient, state="failed", radiograph__file=PICTURE)
    other = StudyFactory(patient__hospital=hospital, state="failed", radiograph__file=b"another")
    ask()
    ErasureFactory(patient=other.patient, mode="erase", due_at=timezone.now())
    Erasure.objects.update(due_at=timezone.now())
    storage = storages["private"]
    deleted = storage.delete

    def delete(name):
        if name == study.radiograph.name:
            raise OSError("full")
        deleted(name)

    with monkeypatch.context() as patched:
        patched.setattr(storage, "delete", delete)
        tasks.carry_out_erasures()
    assert files() == [study.radiograph.name]
    tasks.carry_out_erasures()
    assert files() == []


def test_one_that_fails_keeps_none_of_the_others_waiting(ask, patient, hospital, monkeypatch):
    ask()
    ErasureFactory(patient__hospital=hospital, mode="erase", due_at=timezone.now())
    Erasure.objects.update(due_at=timezone.now())
    erase = erasure._erase

    def refuse(other, analyses):
        if other == patient:
            raise IntegrityError("a table that nobody knows")
        erase(other, analyses)

    with monkeypatch.context() as patched:
        patched.setattr(erasure, "_erase", refuse)
        tasks.carry_out_erasures()
    assert Patient.objects.get() == patient
    tasks.carry_out_erasures()
    assert not Patient.objects.exists()
