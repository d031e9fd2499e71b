import re
from datetime import date

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from clinical.audit.models import AccessEvent
from clinical.notices.models import Frequency, Kind
from tests.factories import GuardianshipFactory, MembershipFactory, NotificationFactory, StudyFactory, UserFactory


def words(response):
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", response.content.decode()))


def test_the_list_shows_ones_own_newest_first(as_user, mother, alice):
    first = NotificationFactory(user=mother)
    second = NotificationFactory(user=mother)
    NotificationFactory(user=alice, message="For Alice alone.")
    response = as_user(mother).get("/notices/")
    assert list(response.context["page_obj"]) == [second, first]
    assert "For Alice" not in response.content.decode()


@pytest.mark.usefixtures("unscoped")
def test_notifications_of_reports_say_whose_and_of_which_day_in_one_query(
    as_user, mother, patient, django_assert_num_queries
):
    def tell(day):
        study = StudyFactory(patient=patient, acquired_on=day)
        NotificationFactory(user=mother, url=f"/family/{patient.pk}/#study-{study.pk}")

    client = as_user(mother)
    tell(date(2024, 5, 1))
    with CaptureQueriesContext(connection) as one:
        client.get("/notices/")
    tell(date(2024, 6, 2))
    with django_assert_num_queries(len(one)):
        text = words(client.get("/notices/"))
    assert "Jane , X-ray of 1 May 2024" in text
    assert "Jane , X-ray of 2 June 2024" in text
    assert AccessEvent.objects.filter(detail="notifications", patient_key=str(patient.pk)).count() == 2
    mother.guardianships.all().delete()
    assert "Jane" not in client.get("/notices/").content.decode()


def test_the_count_of_the_unread_stands_on_every_page(as_user, mother):
    NotificationFactory.create_batch(2, user=mother)
    NotificationFactory(user=mother, read_at=timezone.now())
    client = as_user(mother)
    assert "Notifications 2 unread" in words(client.get("/family/"))
    assert "Notifications 2 unread" in words(client.get("/accounts/password/change/"))
    mother.notifications.all().mark_read()
    assert "unread" not in words(client.get("/family/"))


def test_a_large_count_stays_small(as_user, mother):
    NotificationFactory.create_batch(100, user=mother)
    assert "Notifications 99+ unread" in words(as_user(mother).get("/family/"))


def test_following_reads_it_and_leads_on(as_user, mother, patient):
    row = NotificationFactory(user=mother, url=f"/family/{patient.pk}/#study-1")
    other = NotificationFactory(user=mother)
    assert as_user(mother).post(f"/notices/{row.pk}/")["Location"] == row.url
    assert list(mother.notifications.unread()) == [other]


def test_following_leads_into_the_hospital_that_told_it(as_user, alice, other_hospital):
    membership = MembershipFactory(user=alice, hospital=other_hospital, role="doctor")
    row = NotificationFactory(user=alice, hospital=other_hospital, url="/studies/")
    client = as_user(alice)
    page = client.post(f"/notices/{row.pk}/", follow=True)
    assert page.wsgi_request.membership == membership


def test_one_or_all_can_be_marked_as_read(as_user, mother):
    rows = NotificationFactory.create_batch(3, user=mother)
    client = as_user(mother)
    assert client.post(f"/notices/{rows[0].pk}/read/")["Location"] == "/notices/"
    assert mother.notifications.unread().count() == 2
    assert client.post("/notices/read/")["Location"] == "/notices/"
    assert not mother.notifications.unread().exists()


def test_reading_again_keeps_the_first_time(as_user, mother):
    before = timezone.now()
    row = NotificationFactory(user=mother, read_at=before)
    as_user(mother).post(f"/notices/{row.pk}/read/")
    row.refresh_from_db()
    assert row.read_at == before


@pytest.mark.parametrize("path", ["/notices/{}/", "/notices/{}/read/"])
def test_somebody_elses_is_not_found(as_user, mother, alice, path):
    row = NotificationFactory(user=alice)
    assert as_user(mother).post(path.format(row.pk)).status_code == 404
    assert alice.notifications.unread().exists()


def test_marking_all_leaves_other_peoples(as_user, mother, alice):
    NotificationFactory(user=alice)
    as_user(mother).post("/notices/read/")
    assert alice.notifications.unread().exists()


def test_the_list_has_pages_and_a_constant_number_of_queries(as_user, mother, django_assert_max_num_queries):
    client = as_user(mother)
    NotificationFactory(user=mother)
    with django_assert_max_num_queries(12) as few:
        client.get("/notices/")
    NotificationFactory.create_batch(30, user=mother)
    with django_assert_max_num_queries(len(few)):
        assert len(client.get("/notices/").context["page_obj"]) == 25
    assert len(client.get("/notices/?page=2").context["page_obj"]) == 6


def kinds_offered(response):
    return set(response.context["form"].fields)


def test_each_is_asked_about_what_concerns_them(as_user, alice, tess, ada, mother, charlie):
    expected = {
        alice: {"study_stopped", "reading_due", "urgent_reading", "token_ends"},
        tess: {"study_stopped", "token_ends"},
        ada: {"token_ends"},
        mother: {"report_ready"},
        charlie: set(),
    }
    for person, kinds in expected.items():
        assert kinds_offered(as_user(person).get("/notices/mail/")) == kinds


def test_a_doctor_who_is_a_parent_is_asked_about_both(as_user, alice):
    GuardianshipFactory(user=alice)
    offered = kinds_offered(as_user(alice).get("/notices/mail/"))
    assert offered == {"report_ready", "study_stopped", "reading_due", "urgent_reading", "token_ends"}


def test_a_choice_is_kept_and_can_be_changed(as_user, alice):
    client = as_user(alice)
    for frequency in ("never", "daily"):
        form = {"study_stopped": frequency, "reading_due": "hourly", "urgent_reading": "at once", "token_ends": "never"}
        assert client.post("/notices/mail/", form)["Location"] == "/notices/mail/"
        chosen = dict(alice.mail_preferences.values_list("kind", "frequency"))
        assert chosen == {
            Kind.STUDY_STOPPED: frequency,
            Kind.READING_DUE: Frequency.HOURLY,
            Kind.URGENT_READING: Frequency.AT_ONCE,
            Kind.TOKEN_ENDS: Frequency.NEVER,
        }
    assert client.get("/notices/mail/").context["form"]["study_stopped"].initial == "daily"


@pytest.mark.parametrize("frequency", ["never", "daily"])
def test_a_choice_holds_for_what_waits_to_be_mailed(as_user, mother, frequency):
    now = timezone.now()
    waiting = NotificationFactory(user=mother, mail_due_at=now)
    mailed = NotificationFactory(user=mother)
    other = NotificationFactory(user=mother, kind=Kind.READING_DUE, mail_due_at=now)
    as_user(mother).post("/notices/mail/", {"report_ready": frequency})
    due = Frequency(frequency).next_mail(now)
    assert dict(mother.notifications.values_list("pk", "mail_due_at")) == {
        waiting.pk: due,
        mailed.pk: None,
        other.pk: now,
    }


def test_the_same_choice_again_puts_no_mail_off(as_user, mother):
    now = timezone.now()
    NotificationFactory(user=mother, mail_due_at=now)
    as_user(mother).post("/notices/mail/", {"report_ready": "at once"})
    assert mother.notifications.get().mail_due_at == now


@pytest.mark.parametrize("form", [{}, {"study_stopped": "at once", "reading_due": "daily"}, {"study_stopped": "x"}])
def test_what_is_not_offered_is_refused(as_user, alice, form):
    assert as_user(alice).post("/notices/mail/", form).status_code == 422
    assert not alice.mail_preferences.exists()


def test_nobody_chooses_for_another_kind_of_reader(as_user, tess):
    form = {"study_stopped": "daily", "token_ends": "daily", "report_ready": "never"}
    as_user(tess).post("/notices/mail/", form)
    assert {preference.kind for preference in tess.mail_preferences.all()} == {Kind.STUDY_STOPPED, Kind.TOKEN_ENDS}


def test_the_bell_costs_one_query(db, django_assert_num_queries):
    user = UserFactory()
    NotificationFactory.create_batch(3, user=user)
    with django_assert_num_queries(1):
        assert user.notifications.unread().count() == 3
