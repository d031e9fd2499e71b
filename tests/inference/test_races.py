"""Many at once on PostgreSQL, where statements really run side by side."""

import pytest

from clinical.accounts.scope import every_hospital
from inference import workflow
from inference.models import Analysis
from tests.crowd import CROWD, at_once
from tests.factories import AnalysisFactory, HospitalFactory

pytestmark = [pytest.mark.servers, pytest.mark.django_db(transaction=True)]


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
