import logging
import smtplib
from datetime import timedelta

import pytest
from django.core import mail
from django.db import transaction
from django.utils import timezone

from clinical.notices import tasks
from clinical.notices.mail import GIVE_UP, LEASE, send_due
from clinical.notices.mail import due as due_now
from clinical.notices.models import Kind, Notification
from clinical.notices.notify import notify
from tests.factories import NotificationFactory


@pytest.fixture
def due(charlie):
    """Something that is to be mailed to Charlie now."""

    def create(kind=Kind.REPORT_READY, **fields):
        return NotificationFactory(user=charlie, kind=kind, **{"mail_due_at": timezone.now(), **fields})

    return create


def test_the_mail_says_that_a_report_is_ready_and_where_to_sign_in(due, charlie, settings):
    settings.PORTAL_URL = "https://portal.example"
    due(url="/family/0d4d9f7e-0000-4000-8000-000000000001/", message="A report is ready.")
    send_due(charlie.pk)
    [message] = mail.outbox
    assert message.to == [charlie.email]
    assert message.subject == "A report is ready"
    assert message.body.startswith("A report is ready.")
    assert "https://portal.example/notices/" in message.body.split()
    assert "0d4d9f7e" not in message.body
    assert "St. Anna" not in message.body


def test_the_link_asks_to_sign_in_and_leads_to_the_notifications(client, db):
    assert client.get("/notices/")["Location"] == "/accounts/login/?next=/notices/"


def test_many_things_make_one_mail(due, charlie):
    for _ in range(40):
        due(Kind.STUDY_STOPPED)
    due(Kind.READING_DUE)
    send_due(charlie.pk)
    [message] = mail.outbox
    assert message.subject == "News in the Bone Age Portal"
    assert "40 radiographs that you submitted could not be read." in message.body
    assert "Studies are ready for reading." in message.body


def test_the_reason_of_a_refusal_stays_in_the_portal(due, charlie):
    due(Kind.STUDY_STOPPED, message="A radiograph that you submitted could not be read. It shows a foot.")
    send_due(charlie.pk)
    assert "foot" not in mail.outbox[0].body


def test_delivered_twice_it_is_mailed_once(due, charlie):
    due()
    assert send_due(charlie.pk) == 1
    assert send_due(charlie.pk) == 0
    assert len(mail.outbox) == 1
    assert Notification.objects.get().mail_due_at is None


def test_what_is_due_later_was_read_or_is_never_to_be_mailed_is_not(due, charlie):
    due(mail_due_at=timezone.now() + timedelta(minutes=1))
    due(mail_due_at=None)
    due(read_at=timezone.now())
    assert send_due(charlie.pk) == 0
    assert not mail.outbox


def test_somebody_who_may_not_sign_in_gets_no_mail(due, charlie):
    due()
    charlie.is_active = False
    charlie.save()
    assert send_due(charlie.pk) == 0
    assert not mail.outbox


@pytest.fixture
def broken_server(monkeypatch):
    def refuse(*args, **kwargs):
        raise smtplib.SMTPRecipientsRefused({"charlie@example.org": (550, b"no such user")})

    monkeypatch.setattr("clinical.notices.mail.send_mail", refuse)


@pytest.mark.usefixtures("broken_server")
def test_a_mail_that_was_refused_is_due_again_when_the_lease_has_ended(due, charlie, caplog):
    row = due()
    with caplog.at_level(logging.WARNING):
        assert send_due(charlie.pk) == 0
    row.refresh_from_db()
    assert timezone.now() < row.mail_due_at <= timezone.now() + LEASE
    assert "charlie@example.org" not in caplog.text


@pytest.mark.usefixtures("broken_server")
def test_a_mail_that_is_refused_for_days_is_given_up_and_stays_in_the_portal(due, charlie):
    due()
    send_due(charlie.pk)
    Notification.objects.update(created_at=timezone.now() - GIVE_UP, mail_due_at=timezone.now())
    assert not due_now(timezone.now()).exists()
    assert charlie.notifications.unread().count() == 1


def test_the_sweep_sends_one_task_to_each_user_with_something_due(due, charlie, alice, monkeypatch):
    sent = []
    monkeypatch.setattr(tasks.mail_due, "apply_async", lambda kwargs: sent.append(kwargs["user_id"]))
    due()
    due(Kind.STUDY_STOPPED)
    NotificationFactory(user=alice)
    tasks.mail_all_due()
    assert sent == [charlie.pk]


def test_the_task_mails(due, charlie):
    due()
    tasks.mail_due.apply(kwargs={"user_id": charlie.pk}).get()
    assert len(mail.outbox) == 1


def test_what_was_undone_is_not_mailed(hospital, charlie, django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks() as woken, transaction.atomic():
        notify([charlie], Kind.REPORT_READY, hospital=hospital, message="A report is ready.", url="/family/1/")
        transaction.set_rollback(True)
    assert not woken
    assert not Notification.objects.exists()


def test_a_broker_that_is_down_loses_nothing(hospital, charlie, django_capture_on_commit_callbacks, monkeypatch):
    def down(**kwargs):
        raise ConnectionError

    monkeypatch.setattr(tasks.mail_due, "apply_async", down)
    with django_capture_on_commit_callbacks(execute=True):
        notify([charlie], Kind.REPORT_READY, hospital=hospital, message="A report is ready.", url="/family/1/")
    assert send_due(charlie.pk) == 1
