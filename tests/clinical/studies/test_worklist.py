"""The worklist: what needs whom first, what its filters find, and what survives them."""

import re
from datetime import date

import pytest
from django.utils import timezone

from clinical.studies.judgement import judge
from clinical.studies.models import Study
from inference.models import ModelVersion
from tests.factories import MembershipFactory, PatientFactory, ReviewFactory, StudyFactory

pytestmark = pytest.mark.usefixtures("unscoped")


@pytest.fixture
def listed(as_user):
    """`listed(user, query)`: the family names on the worklist, in its order."""

    def names(user, query=""):
        response = as_user(user).get(f"/studies/?{query}")
        assert response.status_code == 200
        return [study.patient.family_name for study in response.context["page_obj"]]

    return names


@pytest.fixture
def one_in_each_state(hospital):
    """One study in each state, named after it, the newest last; of the failed an older one too."""
    states = ["failed", "released", "cancelled", "queued", "analysing", "signed", "reviewed", "analysed", "rejected"]
    for state in states:
        StudyFactory(patient=PatientFactory(hospital=hospital, family_name=state), state=state)
    StudyFactory(patient=PatientFactory(hospital=hospital, family_name="failed just now"), state="failed")


DOCTORS_ORDER = [
    *("failed just now", "rejected", "failed"),
    *("analysed", "reviewed", "signed", "analysing", "queued", "cancelled", "released"),
]
TECHNICIANS_ORDER = [
    *("failed just now", "rejected", "failed"),
    *("analysing", "queued", "analysed", "reviewed", "signed", "cancelled", "released"),
]


def test_a_doctor_sees_first_what_waits_for_a_doctor(listed, alice, one_in_each_state):
    assert listed(alice) == DOCTORS_ORDER


def test_a_technician_sees_first_what_waits_for_a_technician(listed, tess, one_in_each_state):
    assert listed(tess) == TECHNICIANS_ORDER


def test_the_order_of_need_turns_round(listed, alice, one_in_each_state):
    assert listed(alice, "sort=-state") == DOCTORS_ORDER[::-1]


def test_the_order_follows_the_state(listed, alice, one_in_each_state):
    Study.objects.filter(state="released").update(state="analysed")
    assert listed(alice).index("released") < listed(alice).index("reviewed")


@pytest.mark.parametrize("state", ["reviewed", "signed", "released"])
def test_the_states_of_the_doctors_filter_too(listed, alice, one_in_each_state, state):
    assert listed(alice, f"state={state}") == [state]


def read(patient, bone_age_months, state="analysed", **fields):
    """A study that the model has read."""
    study = StudyFactory(patient=patient, state=state, **fields)
    study.analysis.bone_age_months = bone_age_months
    study.analysis.low_months, study.analysis.high_months = bone_age_months - 12, bone_age_months + 12
    study.analysis.save()
    judge(Study.objects.filter(pk=study.pk))
    return study


@pytest.fixture
def judged(hospital):
    """Girls of ten years and a month with bone ages on and about the edges of normal, and one beyond any table."""
    hospital.bone_age_reference = "greulich_pyle"
    hospital.save()
    girl = PatientFactory(hospital=hospital, family_name="Normal", date_of_birth=date(2014, 4, 1))
    norm = read(girl, 121.0).assessment
    for name, shift in {"Delayed": -2.01, "Lower edge": -2, "Upper edge": 2, "Advanced": 2.01}.items():
        child = PatientFactory(hospital=hospital, family_name=name, date_of_birth=girl.date_of_birth)
        read(child, norm.mean + shift * norm.sd)
    read(PatientFactory(hospital=hospital, family_name="Adult", date_of_birth=date(1990, 1, 1)), 216.0)
    StudyFactory(patient=PatientFactory(hospital=hospital, family_name="Waiting"))


@pytest.mark.parametrize(
    ("determination", "names"),
    [
        ("delayed", ["Delayed"]),
        ("normal", ["Lower edge", "Normal", "Upper edge"]),
        ("advanced", ["Advanced"]),
        ("indeterminate", ["Adult"]),
    ],
)
def test_the_filter_by_determination_finds_what_the_row_says(as_user, alice, judged, determination, names):
    page = as_user(alice).get(f"/studies/?sort=patient&determination={determination}").context["page_obj"]
    assert [study.patient.family_name for study in page] == names
    assert {study.assessment.determination for study in page} == {determination}


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("age_from=10", ["Tenth birthday", "Before the eleventh", "Eleventh birthday"]),
        ("age_to=10", ["Before the tenth", "Tenth birthday", "Before the eleventh"]),
        ("age_from=10&age_to=10", ["Tenth birthday", "Before the eleventh"]),
        ("age_from=11&age_to=10", []),
    ],
)
def test_ages_are_completed_years_on_the_day_of_the_study(listed, alice, hospital, query, names):
    births = {
        "Before the tenth": date(2014, 5, 2),
        "Tenth birthday": date(2014, 5, 1),
        "Before the eleventh": date(2013, 5, 2),
        "Eleventh birthday": date(2013, 5, 1),
    }
    for name, born in births.items():
        child = PatientFactory(hospital=hospital, family_name=name, date_of_birth=born)
        StudyFactory(patient=child, acquired_on=date(2024, 5, 1))
    assert listed(alice, f"sort=submitted&{query}") == names


def test_studies_are_found_by_the_doctor_whose_reading_counts_and_by_the_model(listed, alice, hospital, judged):
    study = Study.objects.get(patient__family_name="Delayed")
    study.review = ReviewFactory(study=study, doctor=alice)
    study.save()
    model = ModelVersion.objects.create(name="two_stage", version="2", state="active")
    ours = Study.objects.get(patient__family_name="Advanced").analysis
    ours.model_version = model
    ours.save()
    assert listed(alice, f"doctor={alice.pk}") == ["Delayed"]
    assert listed(alice, f"model={model.pk}") == ["Advanced"]


def test_only_doctors_who_read_here_are_offered(as_user, alice, bob, other_hospital):
    study = StudyFactory(patient=PatientFactory(hospital=other_hospital), state="reviewed")
    ReviewFactory(study=study, doctor=bob)
    for user, doctors in ((alice, []), (bob, [bob])):
        form = as_user(user).get("/studies/").context["filterset"].form
        assert list(form.fields["doctor"].queryset) == doctors


@pytest.mark.parametrize(
    "query",
    [
        "age_from=-1",
        "age_to=99999999999999999999",
        "age_from=ten",
        f"age_to={'9' * 5000}",
        "acquired_after=2024-02-30",
        "determination=tall",
        "doctor=0",
        f"doctor={'9' * 40}",
        "doctor=%00",
        "model=x",
        "state=lost",
        "sex=X",
        "q=%00",
        f"q={'x' * 5000}",
    ],
)
def test_a_filter_that_makes_no_sense_finds_nothing_and_offers_to_clear(as_user, alice, one_in_each_state, query):
    response = as_user(alice).get(f"/studies/?{query}")
    assert response.status_code == 200
    assert not response.context["page_obj"].object_list
    assert set(response.context["counts"].values()) == {0}
    assert ">Clear</a>" in response.content.decode()


def test_the_counts_are_of_what_the_other_filters_leave(as_user, alice, one_in_each_state):
    counts = as_user(alice).get("/studies/?q=failed&state=queued").context["counts"]
    assert {state: number for state, number in counts.items() if number} == {"failed": 2}


def test_the_filters_survive_sorting_paging_the_chips_and_the_live_refresh(as_user, alice, hospital):
    for _ in range(26):
        StudyFactory(patient=PatientFactory(hospital=hospital, family_name="Doe"))
    page = as_user(alice).get("/studies/?q=doe&sex=F&age_from=3&sort=-date").content.decode()
    links = re.findall(r'(?:href|hx-get)="([^"]*\?[^"]*)"', page)
    kept = [link for link in links if all(part in link for part in ("q=doe", "sex=F", "age_from=3"))]
    assert len(kept) == len(links)
    assert any("page=2" in link for link in kept)
    assert any("state=queued" in link for link in kept)
    assert any("sort=patient" in link for link in kept)
    assert any(link.startswith("/studies/export/") for link in kept)


def test_the_refresh_is_the_list_alone(as_user, alice, one_in_each_state):
    page = as_user(alice).get("/studies/", headers={"HX-Request": "true"}).content.decode()
    assert "<html" not in page
    assert 'id="studies"' in page


def test_the_row_shows_the_doctors_bone_age_where_there_is_one(as_user, alice, hospital):
    study = read(PatientFactory(hospital=hospital), 126.0)
    row = as_user(alice).get("/studies/").content.decode()
    assert "10 y 6 m" in row
    assert "AI estimate" in row
    study.review = ReviewFactory(study=study, doctor=alice, bone_age_months=100.0)
    study.save()
    row = as_user(alice).get("/studies/").content.decode()
    assert "8 y 4 m" in row
    assert "Doctor's reading" in row.replace("&#x27;", "'")
    assert "10 y 6 m" not in row


def test_the_bone_age_that_counts_sorts(listed, alice, hospital):
    low, high = (PatientFactory(hospital=hospital, family_name=name) for name in ("Low", "High"))
    study = read(low, 150.0)
    read(high, 120.0)
    StudyFactory(patient=PatientFactory(hospital=hospital, family_name="None"))
    ReviewFactory(study=study, doctor=alice, bone_age_months=90.0)
    assert listed(alice, "sort=bone_age") == ["Low", "High", "None"]
    assert listed(alice, "sort=-bone_age") == ["High", "Low", "None"]


def test_a_failure_says_why_in_its_row(as_user, tess, hospital):
    study = StudyFactory(patient=PatientFactory(hospital=hospital), state="rejected")
    study.analysis.reason = "No hand was found. Take the radiograph again."
    study.analysis.save()
    assert "No hand was found" in as_user(tess).get("/studies/").content.decode()


def test_one_study_is_counted_in_the_singular(as_user, alice, hospital):
    StudyFactory(patient=PatientFactory(hospital=hospital))
    assert "1 study </p>" in " ".join(as_user(alice).get("/studies/").content.decode().split())


def test_the_list_asks_often_while_anything_it_could_show_is_under_way_and_else_by_the_minute(as_user, alice, hospital):
    study = StudyFactory(patient=PatientFactory(hospital=hospital, family_name="Doe"))
    assert 'hx-trigger="every 3s"' in as_user(alice).get("/studies/?state=analysed").content.decode()
    Study.objects.filter(pk=study.pk).update(state="analysed", submitted_at=timezone.now())
    assert 'hx-trigger="every 60s"' in as_user(alice).get("/studies/").content.decode()  # others may add to it


def test_a_list_that_was_opened_in_another_hospital_is_loaded_anew_as_a_whole(as_user, alice, hospital, other_hospital):
    client = as_user(alice)
    assert f'"Opened-In": "{hospital.pk}"' in client.get("/studies/").content.decode()
    for opened_in, refreshes in ((hospital.pk, None), (other_hospital.pk, "true")):
        response = client.get("/studies/", headers={"HX-Request": "true", "Opened-In": str(opened_in)})
        assert (response.status_code, response.headers.get("HX-Refresh")) == (200, refreshes)
        assert (b'id="studies"' in response.content) == (refreshes is None)


def test_whoever_went_over_to_a_hospital_where_they_have_no_worklist_is_told_so_by_the_whole_page(
    as_user, alice, hospital, other_hospital
):
    there = MembershipFactory(user=alice, hospital=other_hospital, role="hospital_admin")
    client = as_user(alice)
    client.post("/hospital/", {"membership": there.pk})
    rows = {"HX-Request": "true", "Opened-In": str(hospital.pk)}
    assert client.get("/studies/", headers=rows).headers.get("HX-Refresh") == "true"
    page = client.get("/studies/")
    assert page.status_code == 403
    assert "This page is for the role technician or doctor of your hospital." in page.content.decode()
    assert client.get("/studies/", headers=rows | {"Opened-In": str(other_hospital.pk)}).status_code == 403
