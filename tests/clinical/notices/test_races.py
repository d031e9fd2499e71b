"""Many at once on PostgreSQL, where statements really run side by side."""

import pytest
from django.core import mail
from django.utils import timezone

from clinical.notices.mail import send_due
from clinical.notices.models import Kind, Notification
from clinical.notices.notify import notify
from tests.crowd import at_once
from tests.factories import HospitalFactory, NotificationFactory, UserFactory

pytestmark = [pytest.mark.servers, pytest.mark.django_db(transaction=True)]


def test_of_many_workers_one_sends_the_mail():
    user = UserFactory()
    NotificationFactory.create_batch(3, user=user, mail_due_at=timezone.now())
    assert sorted(at_once(lambda number: send_due(user.pk)))[-2:] == [0, 3]
    assert len(mail.outbox) == 1


def test_many_results_at_once_are_told_once():
    user, hospital = UserFactory(), HospitalFactory()

    def tell(number):
        notify([user], Kind.READING_DUE, hospital=hospital, message="Studies are ready.", url="/studies/")

    assert at_once(tell) == [None] * 8
    assert Notification.objects.count() == 1
