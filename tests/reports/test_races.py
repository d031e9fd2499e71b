"""Many signatures at once on PostgreSQL, where statements really run side by side."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from django.db import connection
from django_scopes import scopes_disabled

from clinical.accounts.scope import every_hospital
from clinical.studies import workflow
from clinical.studies.models import Study
from reports.models import Report

pytestmark = [pytest.mark.servers, pytest.mark.django_db(transaction=True)]
CROWD = 6


def sign_at_once(keys, doctor):
    """What came of signing the studies with these keys at the same moment: None, or the exception."""
    barrier = Barrier(len(keys))

    def sign(key):
        try:
            with every_hospital():
                study = Study.objects.get(pk=key)
                barrier.wait()
                return workflow.sign(study, doctor, seen=study.review_id)
        except Exception as error:
            return error
        finally:
            connection.close()

    with ThreadPoolExecutor(len(keys)) as crowd:
        return list(crowd.map(sign, keys))


@pytest.fixture
def numbers():
    def read():
        with scopes_disabled():
            return sorted(report.number for report in Report.objects.all())

    return read


def test_studies_that_are_signed_at_once_get_numbers_of_their_own(reviewed, patient, alice, numbers):
    with scopes_disabled():
        keys = [reviewed(patient).pk for _ in range(CROWD)]
    assert sign_at_once(keys, alice) == [None] * CROWD
    assert [number[-6:] for number in numbers()] == [f"{number:06}" for number in range(1, CROWD + 1)]


def test_many_clicks_on_sign_are_one_report(reviewed, patient, alice, numbers):
    with scopes_disabled():
        study = reviewed(patient)
    outcomes = sign_at_once([study.pk] * CROWD, alice)
    assert outcomes.count(None) == 1
    assert sum(isinstance(outcome, workflow.WrongState) for outcome in outcomes) == CROWD - 1
    assert len(numbers()) == 1
