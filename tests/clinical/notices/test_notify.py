from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from django.utils import timezone

from clinical.notices import tasks
from clinical.notices.models import Frequency, Kind, MailPreference, Notification
from clinical.notices.notify import notify, take_back
from tests.factories import NotificationFactory, UserFactory

VIENNA = ZoneInfo("Europe/Vienna")


def tell(users, hospital, kind=Kind.REPORT_READY, url="/family/1/"):
    notify(users, kind, hospital=hospital, message="A report is ready.", url=url)


def test_each_is_told_once(hospital, charlie, django_assert_num_queries):
    other = UserFactory()
    with django_assert_num_queries(4):  # two of them the savepoint's
        tell([charlie, other], hospital)
    assert {row.user for row in Notification.objects.all()} == {charlie, other}


def test_the_same_thing_is_not_told_again_until_it_is_read(hospital, charlie):
    tell([charlie], hospital)
    tell([charlie], hospital)
    assert charlie.notifications.count() == 1
    charlie.notifications.all().mark_read()
    tell([charlie], hospital)
    assert charlie.notifications.count() == 2
    assert charlie.notifications.unread().count() == 1


def test_another_thing_is_told_beside_it(hospital, other_hospital, charlie):
    tell([charlie], hospital)
    tell([charlie], hospital, url="/family/2/")
    tell([charlie], other_hospital)
    assert charlie.notifications.unread().count() == 3


def test_nobody_to_tell_is_no_error(hospital):
    tell([], hospital)
    assert not Notification.objects.exists()


@pytest.mark.parametrize(
    ("kind", "chosen", "due"),
    [
        (Kind.REPORT_READY, None, Frequency.AT_ONCE),
        (Kind.STUDY_STOPPED, None, Frequency.HOURLY),
        (Kind.READING_DUE, None, Frequency.DAILY),
        (Kind.REPORT_READY, Frequency.DAILY, Frequency.DAILY),
        (Kind.REPORT_READY, Frequency.NEVER, Frequency.NEVER),
    ],
)
def test_the_mail_is_due_as_chosen(hospital, charlie, kind, chosen, due, monkeypatch):
    now = timezone.now()
    monkeypatch.setattr(timezone, "now", lambda: now)
    if chosen:
        MailPreference.objects.create(user=charlie, kind=kind, frequency=chosen)
    tell([charlie], hospital, kind)
    assert charlie.notifications.get().mail_due_at == due.next_mail(now)


def test_a_choice_for_one_kind_leaves_the_others(hospital, charlie):
    MailPreference.objects.create(user=charlie, kind=Kind.READING_DUE, frequency=Frequency.NEVER)
    tell([charlie], hospital)
    assert charlie.notifications.get().mail_due_at


def local(hour, minute, day=3):
    return datetime(2026, 3, day, hour, minute, tzinfo=VIENNA)


@pytest.mark.parametrize(
    ("frequency", "now", "due"),
    [
        (Frequency.AT_ONCE, local(10, 20), local(10, 20)),
        (Frequency.HOURLY, local(10, 20), local(11, 0)),
        (Frequency.HOURLY, local(11, 0), local(12, 0)),
        (Frequency.HOURLY, local(23, 59), local(0, 0, day=4)),
        (Frequency.DAILY, local(6, 59), local(7, 0)),
        (Frequency.DAILY, local(7, 0), local(7, 0, day=4)),
        (Frequency.DAILY, local(18, 0), local(7, 0, day=4)),
        (Frequency.NEVER, local(10, 20), None),
    ],
)
def test_when_a_mail_is_due(frequency, now, due):
    with timezone.override(VIENNA):
        assert frequency.next_mail(now) == due


def test_however_many_things_happen_there_is_one_mail_an_hour_at_most():
    began = local(9, 0)
    dues = {Frequency.HOURLY.next_mail(began + timedelta(minutes=minute)) for minute in range(120)}
    assert len(dues) == 2


def test_nothing_that_comes_in_numbers_can_be_mailed_at_once():
    assert [kind for kind in Kind if Frequency.AT_ONCE in kind.frequencies] == [
        Kind.REPORT_READY,
        Kind.URGENT_READING,
    ]


def test_only_mail_that_is_due_at_once_wakes_a_worker(hospital, charlie, django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks() as woken:
        tell([charlie], hospital)
        tell([charlie], hospital, Kind.STUDY_STOPPED)
    assert len(woken) == 1


def test_what_is_taken_back_is_gone_unless_it_was_read(hospital, charlie):
    unread = NotificationFactory(user=charlie, url="/family/1/#study-1")
    read = NotificationFactory(user=charlie, url="/family/1/#study-1", read_at=timezone.now())
    other_kind = NotificationFactory(user=charlie, url="/family/1/#study-1", kind=Kind.READING_DUE)
    take_back(Kind.REPORT_READY, "/family/1/")
    assert set(charlie.notifications.all()) == {read, other_kind}
    assert not Notification.objects.filter(pk=unread.pk).exists()


def test_what_was_told_long_ago_is_forgotten(charlie, settings):
    now = timezone.now()
    for days in (364, 366):
        Notification.objects.filter(pk=NotificationFactory(user=charlie).pk).update(created_at=now - timedelta(days))
    settings.NOTIFICATION_DAYS = 0
    tasks.remove_old()
    assert charlie.notifications.count() == 2
    settings.NOTIFICATION_DAYS = 365
    tasks.remove_old()
    assert [(now - row.created_at).days for row in charlie.notifications.all()] == [364]
