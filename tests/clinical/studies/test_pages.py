import re
from datetime import date
from html import unescape

import cv2
import numpy as np
import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils.html import strip_tags

from clinical.audit.models import AccessEvent
from clinical.studies import display, views
from clinical.studies.intake import StorageFull
from clinical.studies.models import Study
from inference import workflow as inference
from inference.models import Analysis, ModelVersion
from tests import radiograph_files
from tests.factories import PatientFactory, RadiographFactory, ReviewFactory, StudyFactory

pytestmark = pytest.mark.usefixtures("unscoped")


def analysed(patient, **fields):
    study = StudyFactory(patient=patient, state="analysed", **fields)
    study.analysis.bone_age_months = 126.0
    study.analysis.low_months, study.analysis.high_months = 114.0, 139.0
    study.analysis.model_version, _ = ModelVersion.objects.get_or_create(name="two_stage_compact", version="1")
    study.analysis.save()
    return study


def test_the_study_page_shows_the_reading_beside_the_age_and_its_warning(as_user, alice, patient):
    page = as_user(alice).get(f"/studies/{analysed(patient).pk}/").content.decode()
    assert "10 y 6 m" in page
    assert "10 y 1 m" in page  # born 9 March 2014, radiograph of 1 May 2024
    assert "two_<wbr>stage_<wbr>compact" in page  # on a phone its parts stay whole
    assert "Not for diagnosis without review by a physician" in page


def test_a_corrected_age_stands_beside_the_chronological_one_and_is_compared_with(as_user, alice, preterm):
    study = analysed(preterm)
    Analysis.objects.update(bone_age_months=20.0)
    page = " ".join(strip_tags(as_user(alice).get(f"/studies/{study.pk}/").content.decode()).split())
    assert "Chronological age 1 y 11 m (23 m) Corrected age 1 y 8 m (20 m) for birth at 30+0 weeks" in page
    assert "Difference ±0 m bone age minus corrected age" in page
    assert "Judged by the age corrected for birth at 30+0 weeks, 1 y 8 m." in page
    row = " ".join(strip_tags(as_user(alice).get("/studies/").content.decode()).split())
    assert "1 y 11 m corrected 1 y 8 m ±0 m" in row


def test_whoever_reads_a_rejected_radiograph_sees_the_corrected_age_before(as_user, alice, preterm):
    study = StudyFactory(patient=preterm, state="rejected", analysis__state="rejected")
    page = " ".join(strip_tags(as_user(alice).get(f"/studies/{study.pk}/").content.decode()).split())
    assert "Age at the study 1 y 11 m corrected 1 y 8 m" in page


@pytest.mark.parametrize(("gestation", "is_said"), [("", True), ("37+0", False), ("41", False)])
def test_only_where_it_is_not_known_the_page_says_that_the_age_is_not_corrected(
    as_user, alice, preterm, gestation, is_said
):
    preterm.gestational_age = gestation
    preterm.save()
    page = as_user(alice).get(f"/studies/{analysed(preterm).pk}/").content.decode()
    assert ("not corrected for a preterm birth" in page) is is_said
    assert "orrected age" not in page
    assert "bone age minus chronological age" in page


def test_a_right_hand_is_told_to_have_been_read_mirrored(as_user, alice, patient):
    left, right = analysed(patient), analysed(patient)
    right.analysis.mirrored = True
    right.analysis.save()
    client = as_user(alice)
    assert "This looks like a right hand; it was read mirrored." in client.get(f"/studies/{right.pk}/").content.decode()
    assert "right hand" not in client.get(f"/studies/{left.pk}/").content.decode()


def test_other_studies_show_the_bone_age_that_counts_and_whose_it_is(as_user, alice, patient):
    shown = analysed(patient)
    analysed(patient, acquired_on=date(2023, 5, 1))
    ReviewFactory(study=analysed(patient, acquired_on=date(2022, 5, 1)), bone_age_months=100.0)
    ReviewFactory(study=StudyFactory(patient=patient, acquired_on=date(2021, 5, 1)), bone_age_months=90.0)
    page = strip_tags(as_user(alice).get(f"/studies/{shown.pk}/").content.decode().split("Other studies")[1])
    readings = re.findall(r"^\s*(\d+ y \d+ m)\s+(Doctor's reading|AI estimate)$", unescape(page), re.MULTILINE)
    assert readings == [
        ("10 y 6 m", "AI estimate"),
        ("8 y 4 m", "Doctor's reading"),
        ("7 y 6 m", "Doctor's reading"),
    ]


def test_a_rejected_study_says_why(as_user, alice, patient):
    study = StudyFactory(patient=patient, state="rejected")
    study.analysis.reason = "No hand was found. Take the radiograph again."
    study.analysis.save()
    assert "No hand was found" in as_user(alice).get(f"/studies/{study.pk}/").content.decode()


@pytest.mark.parametrize(("code", "kept"), [("internal", True), ("file-missing", False)])
def test_a_failed_study_says_whether_the_radiograph_is_there_to_try_again(as_user, alice, patient, code, kept):
    study = StudyFactory(patient=patient, state="failed")
    study.analysis.reason_code = code
    study.analysis.save()
    page = as_user(alice).get(f"/studies/{study.pk}/").content.decode()
    assert ("The radiograph is kept." in page) == kept
    assert (f"/patients/{patient.pk}/upload/" in page) != kept


@pytest.mark.parametrize(
    ("state", "code", "offers"),
    [
        ("rejected", "no-hand", {"upload": "primary", "retry": ""}),
        ("failed", "file-missing", {"upload": "primary"}),
        ("failed", "internal", {"retry": "primary"}),
    ],
)
def test_of_another_radiograph_and_once_more_the_one_that_helps_comes_first(
    as_user, alice, patient, state, code, offers
):
    study = StudyFactory(patient=patient, state=state, analysis__reason_code=code)
    page = as_user(alice).get(f"/studies/{study.pk}/").content.decode()
    status = page.split('id="status"')[1].split("</section>")[0]
    styles = {"upload": r'class="button (\w*)"\s+href="/patients/', "retry": r'class="button (\w*)"\s+type="submit"'}
    found = {verb: re.search(style, status) for verb, style in styles.items()}
    assert {verb: match[1] for verb, match in found.items() if match} == offers
    is_there = code != "file-missing"
    assert ("Check the connection" in page) == ("Download the original" in page) == is_there
    assert ("The stored file is missing." in page) != is_there


def test_the_status_reloads_the_page_only_when_there_is_an_outcome(as_user, alice, patient):
    client = as_user(alice)
    waiting, done = StudyFactory(patient=patient), analysed(patient)
    assert "HX-Refresh" not in client.get(f"/studies/{waiting.pk}/status/").headers
    assert client.get(f"/studies/{done.pk}/status/").headers["HX-Refresh"] == "true"


def test_a_script_gets_the_status_as_json(as_user, alice, patient):
    response = as_user(alice).get(f"/studies/{analysed(patient).pk}/status/", headers={"Accept": "application/json"})
    assert response.json() == {"state": "analysed", "bone_age_months": 126.0, "reason": ""}


@pytest.mark.parametrize("make", [radiograph_files.png, radiograph_files.dicom, radiograph_files.tiff])
def test_the_viewer_gets_a_png_of_any_format_and_the_look_is_on_record(as_user, alice, patient, make):
    radiograph = RadiographFactory(hospital=patient.hospital, file=make())
    study = StudyFactory(patient=patient, radiograph=radiograph)
    response = as_user(alice).get(f"/studies/{study.pk}/image/")
    pixels = cv2.imdecode(np.frombuffer(response.getvalue(), np.uint8), cv2.IMREAD_UNCHANGED)
    assert pixels.ndim == 2
    assert response["Content-Type"] == "image/png"
    assert AccessEvent.objects.filter(verb="view", patient_key=str(patient.pk), actor=alice).exists()


def test_the_original_comes_as_it_was_uploaded_and_only_to_be_saved(as_user, alice, patient):
    data = radiograph_files.jpeg()
    radiograph = RadiographFactory(hospital=patient.hospital, file=data, format="jpeg")
    study = StudyFactory(patient=patient, radiograph=radiograph)
    response = as_user(alice).get(f"/studies/{study.pk}/original/")
    assert response.getvalue() == data
    assert response["Content-Disposition"] == 'attachment; filename="original.jpg"'
    assert response["X-Content-Type-Options"] == "nosniff"
    assert AccessEvent.objects.filter(verb="download", object_key=str(study.pk)).exists()


@pytest.mark.parametrize("route", ["image", "heat-map", "original"])
def test_a_file_that_is_gone_is_not_found(as_user, alice, patient, route):
    study = StudyFactory(patient=patient)
    assert as_user(alice).get(f"/studies/{study.pk}/{route}/").status_code == 404


@pytest.mark.parametrize("route", ["image", "deidentified"])
@pytest.mark.parametrize("format", ["png", "dicom"])
def test_of_a_file_that_is_damaged_nothing_is_shown_or_handed_out(as_user, alice, patient, route, format):
    radiograph = RadiographFactory(hospital=patient.hospital, file=b"cut short", format=format)
    study = StudyFactory(patient=patient, radiograph=radiograph)
    assert as_user(alice).get(f"/studies/{study.pk}/{route}/").status_code == 404
    assert not AccessEvent.objects.filter(verb="download").exists()


def test_where_the_storage_is_full_the_viewer_says_so(as_user, alice, patient, monkeypatch):
    def full(name, data):
        raise StorageFull

    monkeypatch.setattr(display, "write", full)
    radiograph = RadiographFactory(hospital=patient.hospital, file=radiograph_files.jpeg(), format="jpeg")
    study = StudyFactory(patient=patient, radiograph=radiograph)
    response = as_user(alice).get(f"/studies/{study.pk}/image/")
    assert response.status_code == 507
    assert "storage is full" in response.content.decode()


def test_the_page_asks_as_much_of_the_database_after_one_try_as_after_many(as_user, alice, patient):
    study = StudyFactory(patient=patient, state="failed")
    client = as_user(alice)
    counts = []
    for tries in (1, 4):
        for _ in range(tries):
            study.analysis.state = "failed"
            study.analysis.save()
            study.analysis = inference.retry(study.analysis, study.sex)
            study.save()
        with CaptureQueriesContext(connection) as queries:
            page = client.get(f"/studies/{study.pk}/")
        counts.append(len(queries))
    assert counts[0] == counts[1]
    assert len(page.context["attempts"]) == 5
    queued = [each.queued_at for each in page.context["attempts"]]
    assert queued == sorted(queued, reverse=True)


@pytest.fixture
def three_children(hospital):
    names = [("Alvarez", "M", "2024-01-01"), ("Brook", "F", "2024-02-01"), ("Chen", "F", "2024-03-01")]
    for family_name, sex, day in names:
        child = PatientFactory(hospital=hospital, family_name=family_name, sex=sex, mrn=f"MRN-{family_name}")
        StudyFactory(patient=child, acquired_on=date.fromisoformat(day), state="failed" if sex == "M" else "queued")


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("sort=patient", ["Alvarez", "Brook", "Chen"]),
        ("sort=-patient", ["Chen", "Brook", "Alvarez"]),
        ("sort=-date", ["Chen", "Brook", "Alvarez"]),
        ("sort=patient&sex=F", ["Brook", "Chen"]),
        ("state=failed", ["Alvarez"]),
        ("q=brook", ["Brook"]),
        ("q=mrn-chen", ["Chen"]),
        ("q=nobody", []),
        ("sort=date&acquired_after=2024-01-15&acquired_before=2024-02-15", ["Brook"]),
        ("sort=evil&page=abc&state=queued&q=Chen", ["Chen"]),
        ("acquired_after=yesterday", []),
    ],
)
def test_the_worklist_filters_sorts_and_searches(as_user, alice, three_children, query, names):
    response = as_user(alice).get(f"/studies/?{query}")
    assert response.status_code == 200
    assert [study.patient.family_name for study in response.context["page_obj"]] == names


def test_the_worklist_counts_each_state_and_lives_while_something_moves(as_user, alice, three_children):
    context = as_user(alice).get("/studies/").context
    assert (context["counts"]["queued"], context["counts"]["failed"], context["counts"]["analysed"]) == (2, 1, 0)
    assert context["live"]
    assert not as_user(alice).get("/studies/?q=Alvarez").context["live"]


@pytest.mark.parametrize("path", ["/studies/", "/patients/{patient}/", "/studies/{study}/"])
def test_the_queries_of_a_page_do_not_grow_with_its_rows(as_user, alice, patient, path):
    study = analysed(patient)
    client = as_user(alice)

    def queries():
        with CaptureQueriesContext(
            connection,
        ) as captured:
            client.get(path.format(patient=patient.pk, study=study.pk))
        return len(captured)

    few = queries()
    for _ in range(15):
        analysed(patient)
    assert queries() == few


def test_the_same_page_has_no_study_of_another_hospital(as_user, bob, three_children):
    assert list(as_user(bob).get("/studies/").context["page_obj"]) == []


def test_the_film_before_stands_beside_and_can_be_changed_or_put_away(as_user, alice, patient):
    first = analysed(patient, acquired_on=date(2022, 5, 1))
    second = analysed(patient, acquired_on=date(2023, 5, 1))
    latest = analysed(patient, acquired_on=date(2024, 5, 1))
    analysed(PatientFactory(hospital=patient.hospital), acquired_on=date(2023, 8, 1))
    client = as_user(alice)

    def beside(query=""):
        return client.get(f"/studies/{latest.pk}/{query}").context["beside"]

    assert beside() == second
    assert beside(f"?beside={first.pk}") == first
    assert beside("?beside=none") is None
    assert client.get(f"/studies/{first.pk}/").context["beside"] is None


def test_a_film_of_another_child_is_not_put_beside(as_user, alice, patient):
    study = analysed(patient)
    stranger = analysed(PatientFactory(hospital=patient.hospital))
    assert as_user(alice).get(f"/studies/{study.pk}/?beside={stranger.pk}").context["beside"] is None


def looks():
    return AccessEvent.objects.filter(verb="view", detail="worklist").count()


def test_a_worklist_that_refreshes_itself_is_one_look_and_another_question_another(as_user, alice, monkeypatch):
    client = as_user(alice)
    refresh = {"HX-Request": "true"}
    client.get("/studies/?q=doe", headers=refresh)
    assert looks() == 1  # whoever says it is a refresh, and was shown nothing before
    client.get("/studies/")
    client.get("/studies/", headers=refresh)
    client.get("/studies/?q=doe", headers=refresh)
    client.get("/studies/", headers=refresh)
    assert looks() == 2
    client.get("/studies/?q=roe", headers=refresh)
    assert looks() == 3
    monkeypatch.setattr(views, "LOOK_SECONDS", 0)
    client.get("/studies/", headers=refresh)
    assert looks() == 4


def test_a_script_that_is_told_the_bone_age_leaves_an_access_event(as_user, alice, patient):
    study = StudyFactory(patient=patient, state="analysed", analysis__bone_age_months=126.0)
    waiting = StudyFactory(patient=patient)
    for one in (study, waiting):
        as_user(alice).get(f"/studies/{one.pk}/status/", headers={"Accept": "application/json"})
    event = AccessEvent.objects.get(detail="outcome")
    assert (event.verb, event.object_key) == ("view", str(study.pk))


@pytest.mark.parametrize(("person", "state", "words"), [("alice", "analysed", "read"), ("tess", "failed", "look into")])
def test_the_next_study_that_waits_is_a_click_away(request, as_user, patient, person, state, words):
    client = as_user(request.getfixturevalue(person))
    oldest, middle, newest = (StudyFactory(patient=patient, state=state) for _ in range(3))
    done = StudyFactory(patient=patient, state="released")

    def next_of(study):
        page = client.get(f"/studies/{study.pk}/").content.decode()
        return re.search(rf'href="/studies/([\w-]+)/">\s*Next to {words}', page)

    order = [(done, newest), (newest, middle), (middle, oldest), (oldest, newest)]
    assert [next_of(study)[1] for study, _ in order] == [str(following.pk) for _, following in order]
    Study.objects.exclude(pk=oldest.pk).update(state="released")
    assert next_of(oldest) is None


def test_the_next_study_is_of_the_same_hospital(as_user, alice, patient, other_hospital):
    StudyFactory(patient=PatientFactory(hospital=other_hospital), state="analysed")
    page = as_user(alice).get(f"/studies/{StudyFactory(patient=patient, state='analysed').pk}/")
    assert page.context["next"] is None
