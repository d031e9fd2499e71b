import re
from datetime import date

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from clinical.audit.models import AccessEvent
from clinical.patients.models import Patient
from clinical.studies import workflow
from clinical.studies.models import State, Study
from tests.factories import (
    GuardianshipFactory,
    MembershipFactory,
    NotificationFactory,
    PatientFactory,
    ReportFactory,
    ReviewFactory,
    UserFactory,
)

pytestmark = pytest.mark.usefixtures("unscoped")


def page_of(patient):
    return f"/family/{patient.pk}/"


@pytest.fixture
def page(as_user, mother, patient):
    """What the mother reads on her child's page."""

    def read():
        return as_user(mother).get(page_of(patient)).content.decode()

    return read


def test_family_lands_on_the_page_of_its_children(as_user, mother):
    page = as_user(mother).get("/", follow=True)
    assert page.redirect_chain[-1][0] == "/family/"
    assert "Doe, Jane" in page.content.decode()


def test_family_sees_its_own_children_in_every_hospital_and_no_other(as_user, mother, patient, other_hospital):
    sister = PatientFactory(hospital=other_hospital, family_name="Doe", given_name="Ann")
    GuardianshipFactory(user=mother, patient=sister)
    PatientFactory(hospital=patient.hospital, family_name="Stranger")
    response = as_user(mother).get("/family/")
    assert [guardianship.patient for guardianship in response.context["children"]] == [sister, patient]  # by name
    assert "Northern General" in response.content.decode()
    assert "Stranger" not in response.content.decode()


def test_the_page_costs_the_same_queries_for_one_child_and_for_many(
    as_user, mother, hospital, django_assert_num_queries
):
    client = as_user(mother)
    with CaptureQueriesContext(connection) as one:
        client.get("/family/")
    for _ in range(3):
        GuardianshipFactory(user=mother, patient=PatientFactory(hospital=hospital))
    before = AccessEvent.objects.count()
    with django_assert_num_queries(len(one)):
        client.get("/family/")
    assert AccessEvent.objects.count() == before + 4


def test_each_child_has_the_count_of_its_released_reports(as_user, mother, patient, released):
    released(patient)
    released(patient)
    ReviewFactory(study__patient=patient, study__state="signed")
    assert "Read 2 reports" in re.sub(r"\s+", " ", as_user(mother).get("/family/").content.decode())


def test_a_child_of_another_hospital_has_its_page_too(as_user, mother, other_hospital, released):
    sister = PatientFactory(hospital=other_hospital, family_name="Doe", given_name="Zoe")
    GuardianshipFactory(user=mother, patient=sister)
    released(sister, impression="Bone age 10 y 0 m.")
    assert "Bone age 10 y 0 m." in as_user(mother).get(page_of(sister)).content.decode()


def test_a_released_report_is_told_in_plain_words(page, patient, released):
    released(patient, bone_age=126.0, acquired_on=date(2024, 5, 9), impression="Bone age 10 y 6 m: normal.")
    text = page()
    assert "X-ray of 9 May 2024" in text
    assert "Your child&#x27;s bones look like those of an average girl of 10 years and 6 months." in text
    assert "She was 10 years and 2 months old" in text
    assert "Bone age 10 y 6 m: normal." in text


def test_the_patient_is_spoken_to(as_user, patient, released):
    jane = UserFactory()
    GuardianshipFactory(user=jane, patient=patient, relation="self")
    released(patient)
    assert "Your bones look like those of an average girl of 10 years." in (
        as_user(jane).get(page_of(patient)).content.decode()
    )


@pytest.mark.parametrize("state", [state for state in State if state != State.RELEASED])
def test_nothing_is_seen_before_the_release(page, patient, state):
    ReviewFactory(study__patient=patient, study__state=state, impression="For the doctor's eyes.")
    text = page()
    assert "For the doctor" not in text
    assert "X-ray of" not in text
    assert "No report yet" in text
    assert '<svg class="family-chart"' not in text


def test_an_amended_report_is_gone_until_it_is_released_again(page, patient, released, alice):
    study = released(patient, impression="First thoughts.")
    workflow.amend(study, alice, "Another child.")
    assert "First thoughts." not in page()


@pytest.fixture
def had(alice):
    """`had(study, version=1)`: a report of `study` that was released and is superseded."""

    def create(study, version=1):
        return ReportFactory(
            study=study,
            review=study.review,
            signed_by=alice,
            number="R-1",
            version=version,
            signed_at=timezone.make_aware(timezone.datetime(2024, 5, 2 + version, 12)),
            released_at=timezone.now(),
            superseded_at=timezone.now(),
        )

    return create


def test_a_report_that_is_taken_back_is_not_gone_without_a_word(as_user, mother, page, patient, released, had, alice):
    study = released(patient)
    had(study), had(study, version=2)
    workflow.amend(study, alice, "Another child.")
    text = re.sub(r"\s+", " ", page())
    assert text.count("The doctor is reading the X-ray of 1 May 2024 again. A report you downloaded no longer") == 1
    assert "No report yet" not in text
    family = as_user(mother).get("/family/").content.decode()
    assert "A report you had no longer counts." in family
    assert "No report yet" not in family


def test_a_report_of_a_withdrawn_film_is_not_said_to_be_read_again(page, patient, had):
    had(ReviewFactory(study__patient=patient, study__state="cancelled").study)
    text = re.sub(r"\s+", " ", page())
    assert "was withdrawn. A report you downloaded no longer counts." in text
    assert "is reading" not in text


def test_a_corrected_report_says_which_one_it_replaces(page, patient, released, had, alice):
    study = released(patient)
    had(study), had(study, version=2)
    common = {"study": study, "review": study.review, "signed_by": alice, "number": "R-1"}
    ReportFactory(**common, version=3)
    assert "This replaces the report of 4 May 2024." in page()


def test_a_child_without_a_report_has_its_page(as_user, mother, patient):
    assert f'href="{page_of(patient)}"' in as_user(mother).get("/family/").content.decode()


def test_warnings_for_those_who_work_in_a_hospital_are_not_read_by_the_family(as_user, mother, alice):
    for path, status in (("/nowhere/", 404), ("/patients/", 403)):
        answer = as_user(mother).get(path)
        assert answer.status_code == status
        assert not re.search("your hospital|Not for diagnosis", answer.content.decode())
    assert "not in your hospital" in (text := as_user(alice).get("/nowhere/").content.decode())
    assert "Not for diagnosis" in text


def test_the_page_says_who_signed_when_and_offers_the_current_version(page, patient, released, alice):
    study = released(patient)
    common = {"study": study, "review": study.review, "signed_by": alice, "number": "R-1"}
    old = ReportFactory(**common, version=1, superseded_at=timezone.now())
    current = ReportFactory(**common, version=2, signed_at=timezone.make_aware(timezone.datetime(2024, 5, 3, 12)))
    text = re.sub(r"\s+", " ", page())
    assert 'Signed by <span dir="auto">Alice</span> on 3 May 2024.' in text
    assert f"/family/reports/{current.pk}/" in text
    assert str(old.pk) not in text


def test_the_chart_and_its_table_hold_the_released_studies_only(page, patient, released):
    released(patient, bone_age=100.0, acquired_on=date(2023, 3, 9))
    released(patient, bone_age=112.0, acquired_on=date(2024, 3, 9))
    ReviewFactory(study__patient=patient, study__state="signed", bone_age_months=124.0)
    text = page()
    chart = text[text.index('<svg class="family-chart"') : text.index("</svg>", text.index('class="family-chart"'))]
    assert chart.count("<circle") == 2
    table = text[text.index("<table") :]
    assert "9 years and 4 months" in table
    assert "8 years and 4 months" in table
    assert "10 years and 4 months" not in table
    assert "style=" not in text


def test_somebody_elses_child_is_not_found(as_user, mother, hospital, released):
    stranger = PatientFactory(hospital=hospital)
    GuardianshipFactory(patient=stranger)
    released(stranger)
    assert as_user(mother).get(page_of(stranger)).status_code == 404


def test_a_doctor_of_the_hospital_has_no_family_page_of_its_patients(as_user, alice, patient, released):
    released(patient)
    assert as_user(alice).get(page_of(patient)).status_code == 404
    assert as_user(alice).get("/family/").status_code == 403


@pytest.fixture
def doctor_and_father(bob, patient):
    """Bob, a doctor of another hospital, whose child is in this one's care."""
    GuardianshipFactory(user=bob, patient=patient, relation="father")
    return bob


def test_a_doctor_who_is_a_parent_reads_of_the_own_child(as_user, doctor_and_father, patient, released):
    released(patient, impression="Bone age is normal for Jane.")
    client = as_user(doctor_and_father)
    assert "/family/" in client.get("/studies/").content.decode()
    assert "Read 1 report" in re.sub(r"\s+", " ", client.get("/family/").content.decode())
    assert "normal for Jane" in client.get(page_of(patient)).content.decode()


def test_a_doctor_who_is_a_parent_sees_no_more_of_the_other_hospital(as_user, doctor_and_father, patient, released):
    study = released(patient)
    client = as_user(doctor_and_father)
    assert client.get(f"/patients/{patient.pk}/").status_code == 404
    assert client.get(f"/studies/{study.pk}/").status_code == 404
    assert client.get("/studies/").context["page_obj"].object_list == []


def test_a_parent_keeps_their_work_beside_the_family(as_user, doctor_and_father, other_hospital):
    PatientFactory(hospital=other_hospital, family_name="Atwork")
    client = as_user(doctor_and_father)
    client.get("/family/")
    assert "Atwork" in client.get("/patients/").content.decode()
    assert client.get("/")["Location"] == "/studies/"


def test_a_record_that_the_clinic_archived_stays_the_familys(as_user, mother, patient):
    patient.archived_at = timezone.now()
    patient.save()
    assert "Doe, Jane" in as_user(mother).get("/family/").content.decode()


def test_what_the_family_saw_is_on_record(as_user, mother, patient):
    as_user(mother).get("/family/")
    as_user(mother).get(page_of(patient))
    for event in AccessEvent.objects.all():
        assert (event.verb, event.actor, event.patient_key) == ("view", mother, str(patient.pk))
    assert AccessEvent.objects.count() == 2


def test_reading_the_page_reads_its_notifications(as_user, mother, patient):
    mine = NotificationFactory(user=mother, url=f"{page_of(patient)}#study-1")
    other = NotificationFactory(user=mother, url="/family/another/")
    as_user(mother).get(page_of(patient))
    assert list(mother.notifications.unread()) == [other]
    mine.refresh_from_db()
    assert mine.read_at


def test_a_guardianship_that_ended_ends_the_access(as_user, mother, patient, released):
    released(patient)
    client = as_user(mother)
    assert client.get(page_of(patient)).status_code == 200
    mother.guardianships.all().delete()
    assert client.get("/family/").status_code == 403
    assert client.get(page_of(patient)).status_code == 404


def test_the_queries_do_not_grow_with_the_reports(
    as_user, mother, patient, released, alice, django_assert_max_num_queries
):
    def sign(study):
        ReportFactory(study=study, review=study.review, signed_by=alice)

    client = as_user(mother)
    sign(released(patient))
    with django_assert_max_num_queries(14) as few:
        client.get(page_of(patient))
    for _ in range(5):
        sign(released(patient))
    with django_assert_max_num_queries(len(few)):
        client.get(page_of(patient))


def test_long_names_and_other_scripts_stand_on_the_page(as_user, mother, patient, released):
    Patient.objects.update(family_name="النجار" * 30, given_name="ليلى")
    released(patient, impression="ליאו <b>bold</b>")
    text = as_user(mother).get(page_of(patient)).content.decode()
    assert "النجار" in text
    assert "&lt;b&gt;bold&lt;/b&gt;" in text
    assert Study.objects.count() == 1


def test_a_member_of_the_same_hospital_may_be_a_parent_too(as_user, tess, patient, released):
    GuardianshipFactory(user=tess, patient=patient)
    released(patient, impression="Read at home.")
    assert "Read at home." in as_user(tess).get(page_of(patient)).content.decode()


def test_two_hospitals_to_work_in_and_one_child(as_user, bob, hospital, patient, released):
    MembershipFactory(user=bob, hospital=hospital, role="technician")
    GuardianshipFactory(user=bob, patient=patient)
    released(patient)
    assert as_user(bob).get(page_of(patient)).status_code == 200


def test_who_does_not_want_to_read_any_more_gives_it_up(as_user, mother, patient, alice):
    other = GuardianshipFactory(user=mother, patient__hospital=patient.hospital)
    client = as_user(mother)
    assert "Give up reading these reports" in client.get(page_of(patient)).content.decode()
    asked = client.get(f"{page_of(patient)}leave/").content.decode()
    assert f"Give up reading the reports of {patient.full_name}?" in asked
    assert client.get(page_of(patient)).status_code == 200  # until it is sent
    NotificationFactory(user=mother, hospital=patient.hospital, url=page_of(patient))
    done = client.post(f"{page_of(patient)}leave/", follow=True)
    assert f"You no longer read the reports of {patient.full_name}." in done.content.decode()
    assert done.redirect_chain[-1][0] == "/family/"
    assert list(mother.guardianships.all()) == [other]
    assert not mother.notifications.exists()
    assert client.get(page_of(patient)).status_code == 404
    event = AccessEvent.objects.get(verb="revoke access")
    assert (event.actor, event.actor_role, event.detail) == (mother, "family", "mother, of their own accord")
