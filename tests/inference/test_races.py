"""Many at once on PostgreSQL, where statements really run side by side."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from django.db import connection

from clinical.accounts.scope import every_hospital
from inference import workflow
from inference.models import Analysis
from tests.factories import AnalysisFactory, HospitalFactory

pytestmark = [pytest.mark.servers, pytest.mark.django_db(transaction=True)]
CROWD = 8


def at_once(act):
    """What came of `act(number)` done by a crowd at the same moment: results, exceptions among them."""
    barrier = Barrier(CROWD)

    def one(number):
        try:
            with every_hospital():
                barrier.wait()
                return act(number)
        except Exception as error:
            return error
        finally:
            connection.close()

    with ThreadPoolExecutor(CROWD) as crowd:
        return list(crowd.map(one, range(CROWD)))


@pytest.fixture
def analysis(request):
    return AnalysisFactory(hospital=HospitalFactory(), state=request.param)


@pytest.mark.parametrize("analysis", ["queued"], indirect=True)
def test_one_of_many_workers_claims_an_analysis(analysis):
    outcomes = at_once(lambda number: workflow.start(analysis.pk, f"worker-{number}"))
    assert sum(isinstance(outcome, Analysis) for outcome in outcomes) == 1
    assert sum(isinstance(outcome, workflow.WrongState) for outcome in outcomes) == CROWD - 1


@pytest.mark.parametrize("analysis", ["failed"], indirect=True)
def test_many_clicks_on_retry_are_one(analysis):
    outcomes = at_once(lambda number: workflow.retry(Analysis.objects.get(pk=analysis.pk)))
    assert sum(isinstance(outcome, Analysis) for outcome in outcomes) == 1
    with every_hospital():
        assert Analysis.objects.count() == 2
