import csv
import io
from datetime import date

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from clinical import csv_file
from clinical.audit.models import AccessEvent
from clinical.growth.bone_age import assess
from clinical.studies import workflow
from clinical.studies.judgement import judge
from clinical.studies.models import Study
from inference.models import ModelVersion
from reports.models import Report
from tests.factories import PatientFactory, StudyFactory

pytestmark = pytest.mark.usefixtures("unscoped")


@pytest.fixture
def exported(as_user):
    """`exported(user, query)`: the rows of the file, as dicts."""

    def rows(user, query=""):
        response = as_user(user).get(f"/studies/export/?{query}")
        assert response.status_code == 200
        text = response.getvalue().decode()
        assert text.startswith("\ufeff")
        return list(csv.DictReader(io.StringIO(text.removeprefix("\ufeff"), newline="")))

    return rows


def analysed(patient, **fields):
    study = StudyFactory(patient=patient, state="analysed", acquired_on=date(2024, 5, 1), **fields)
    study.analysis.bone_age_months = 126.04
    study.analysis.low_months, study.analysis.high_months = 114.0, 139.0
    study.analysis.model_version, _ = ModelVersion.objects.get_or_create(name="two_stage_compact", version="1")
    study.analysis.save()
    judge(Study.objects.filter(pk=study.pk))
    study.refresh_from_db()
    return study


def test_a_signed_study_says_everything(exported, alice, patient):
    study = analysed(patient)
    workflow.review(
        study, alice, seen=None, method="atlas", bone_age_months=90.0, impression="Delayed.", confirmed=True
    )
    workflow.sign(study, alice, seen=study.review_id)
    at = timezone.make_aware(timezone.datetime(2024, 5, 2, 12))
    Report.objects.update(signed_at=at)  # what counts: the record of access goes after its time
    [row] = exported(alice)
    assert row == {
        "MRN": "A-1",
        "Name": "Doe, Jane",
        "Sex": "F",
        "Date of birth": "2014-03-09",
        "Study date": "2024-05-01",
        "Chronological age (months)": f"{study.chronological_age_months:.1f}",
        "Gestational age at birth (weeks+days)": "",
        "Corrected age (months)": "",
        "AI bone age (months)": "126.0",
        "AI 90 % interval, low (months)": "114.0",
        "AI 90 % interval, high (months)": "139.0",
        "Doctor's bone age (months)": "90.0",
        "Doctor's method": "Atlas of Greulich and Pyle, read by the doctor",
        "SDS": f"{study.assessment.sds:.2f}",
        "Reference table": "Brush Foundation",
        "Determination": "delayed",
        "State": "signed",
        "Urgent": "no",
        "Model": "two_stage_compact 1",
        "Signed by": "Alice",
        "Signed at": at.isoformat(timespec="seconds"),
    }
    assert row["SDS"].startswith("-")  # a number keeps its sign


def test_a_corrected_age_stands_beside_the_chronological_one_and_judges(exported, alice, preterm):
    analysed(preterm)
    [row] = exported(alice)
    ages = (
        row["Chronological age (months)"],
        row["Gestational age at birth (weeks+days)"],
        row["Corrected age (months)"],
    )
    assert ages == ("23.0", "30+0", "20.7")
    assert row["SDS"] == f"{assess(126.04, 23, 'F', gestation='30+0').sds:.2f}"


def test_an_amended_study_is_signed_by_nobody(exported, alice, patient):
    study = analysed(patient)
    workflow.review(study, alice, seen=None, method="ai", bone_age_months=126.0, impression="Normal.", confirmed=True)
    workflow.sign(study, alice, seen=study.review_id)
    workflow.amend(study, alice, "Another child.")
    [row] = exported(alice)
    assert (row["State"], row["Signed by"], row["Signed at"]) == ("reviewed", "", "")


def test_without_a_bone_age_its_columns_are_empty(exported, alice, patient):
    StudyFactory(patient=patient, state="failed")
    [row] = exported(alice)
    assert row["MRN"] == "A-1"
    assert {row[name] for name in ("AI bone age (months)", "SDS", "Determination", "Signed by")} == {""}


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n"])
def test_what_somebody_typed_is_no_formula(exported, alice, hospital, start):
    evil = f"{start}cmd|' /C calc'!A0"
    StudyFactory(patient=PatientFactory(hospital=hospital, mrn=evil, family_name=evil, given_name=""))
    [row] = exported(alice)
    assert row["MRN"] == row["Name"] == f"'{evil}"


def test_quotes_commas_and_any_script_come_through(exported, alice, hospital):
    StudyFactory(patient=PatientFactory(hospital=hospital, family_name='O"Neill; النجار', given_name="ليلى\nB"))
    [row] = exported(alice)
    assert row["Name"] == 'O"Neill; النجار, ليلى\nB'


def test_it_is_exactly_what_is_filtered_in_the_order_of_the_list(as_user, exported, alice, hospital, monkeypatch):
    monkeypatch.setattr(csv_file, "CHUNK", 4)
    for number in range(30):
        child = PatientFactory(hospital=hospital, family_name=f"Name {number:02}", sex="MF"[number % 2])
        StudyFactory(patient=child, state=["failed", "queued", "analysed"][number % 3])
    for query in ("", "sex=F", "state=failed&sort=-patient", "q=name+1&sort=patient", "page=2"):
        mrns = [row["MRN"] for row in exported(alice, query)]
        response = as_user(alice).get(f"/studies/?{query.replace('page=2', '')}")
        paginator = response.context["page_obj"].paginator
        shown = [key for number in paginator.page_range for key in paginator.page(number).object_list]
        names = dict(Study.objects.values_list("pk", "patient__mrn"))
        assert mrns == [names[key] for key in shown]
        assert len(mrns) == paginator.count


def test_a_filter_that_makes_no_sense_exports_the_heads_alone(exported, alice, patient):
    StudyFactory(patient=patient)
    assert exported(alice, "acquired_after=yesterday") == []


def test_another_hospital_gets_its_own_studies_only(exported, bob, patient, other_hospital):
    StudyFactory(patient=patient)
    StudyFactory(patient=PatientFactory(hospital=other_hospital, mrn="B-1"))
    assert [row["MRN"] for row in exported(bob)] == ["B-1"]
    assert exported(bob, "q=A-1") == []


def test_the_export_is_on_record_with_its_size_before_a_byte_leaves(as_user, tess, hospital, patient):
    for _ in range(3):
        StudyFactory(patient=patient)
    response = as_user(tess).get("/studies/export/?q=doe")
    event = AccessEvent.objects.get(verb="export")
    response.getvalue()
    each = AccessEvent.objects.filter(verb="export", object_type="study")
    assert {(row.patient_key, row.actor, row.address) for row in each} == {(str(patient.pk), tess, "127.0.0.1")}
    assert each.count() == 3
    assert (event.actor, event.hospital, event.object_type, event.detail) == (
        tess,
        hospital,
        "hospital",
        "3 studies as CSV",
    )
    assert event.address == "127.0.0.1"


def test_it_is_a_download_that_no_cache_keeps(as_user, tess, patient):
    response = as_user(tess).get("/studies/export/")
    assert response["Content-Type"] == "text/csv; charset=utf-8"
    assert response["Content-Disposition"] == f'attachment; filename="studies-{date.today()}.csv"'
    assert response["Cache-Control"] == "no-store"


def test_the_queries_do_not_grow_with_the_rows(as_user, alice, patient):
    client = as_user(alice)

    def queries():
        with CaptureQueriesContext(connection) as captured:
            client.get("/studies/export/").getvalue()
        return len(captured)

    def signed():
        study = analysed(patient)
        workflow.review(study, alice, seen=None, method="ai", bone_age_months=126.0, impression="Normal.")
        workflow.sign(study, alice, seen=study.review_id)

    signed()
    few = queries()
    for _ in range(10):
        signed()
    assert queries() == few


def test_a_study_erased_while_the_file_is_read_is_left_out(as_user, tess, patient):
    _, erased = StudyFactory.create_batch(2, patient=patient)
    response = as_user(tess).get("/studies/export/")
    erased.delete()
    rows = list(csv.DictReader(io.StringIO(response.getvalue().decode(), newline="")))
    assert len(rows) == 1
