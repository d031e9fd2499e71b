"""Many signatures at once on PostgreSQL, where statements really run side by side."""

import pytest
from django_scopes import scopes_disabled

from clinical.studies import workflow
from clinical.studies.models import Study
from reports.models import Report
from tests.crowd import CROWD, at_once

pytestmark = [pytest.mark.servers, pytest.mark.django_db(transaction=True)]


def sign_at_once(keys, doctor):
    """What came of signing the studies with these keys at the same moment: None, or the exception."""
    with scopes_disabled():
        studies = [Study.objects.get(pk=key) for key in keys]
    return at_once(lambda number: workflow.sign(studies[number], doctor, seen=studies[number].review_id))


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
