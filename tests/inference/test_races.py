"""Many at once on PostgreSQL, where statements really run side by side."""

import pytest

from clinical.accounts.scope import every_hospital
from inference import registry, shadow, workflow
from inference.models import Analysis, ModelVersion, ShadowAnalysis
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
    outcomes = at_once(lambda number: workflow.retry(Analysis.objects.get(pk=analysis.pk), "F"))
    assert sum(isinstance(outcome, Analysis) for outcome in outcomes) == 1
    with every_hospital():
        assert Analysis.objects.count() == 2


def version(number, state="candidate", **fields):
    return ModelVersion.objects.create(name="m", version=str(number), sha256=f"{number:064}", state=state, **fields)


@pytest.mark.parametrize("serves", [True, False])
def test_of_many_activations_at_once_one_wins(serves):
    seen = version(99, "active").pk if serves else None
    candidates = [version(number) for number in range(CROWD)]
    outcomes = at_once(lambda number: registry.activate(candidates[number], seen=seen))
    assert outcomes.count(None) == 1
    assert sum(isinstance(outcome, workflow.WrongState) for outcome in outcomes) == CROWD - 1
    assert registry.active() == candidates[outcomes.index(None)]
    assert ModelVersion.objects.filter(state="retired").count() == (1 if serves else 0)


def test_of_many_shadow_runs_at_once_one_begins():
    candidates = [version(number) for number in range(CROWD)]
    outcomes = at_once(lambda number: registry.start_shadow_run(candidates[number]))
    assert outcomes.count(None) == 1
    assert sum(isinstance(outcome, workflow.WrongState) for outcome in outcomes) == CROWD - 1


def test_one_of_many_workers_claims_a_shadow():
    analysis = AnalysisFactory(hospital=HospitalFactory(), state="analysed", model_version=version(1, "active"))
    with every_hospital():
        ShadowAnalysis.objects.create(
            analysis=analysis, hospital=analysis.hospital, model_version=version(2, shadows=True)
        )
    outcomes = at_once(lambda number: shadow.claim(f"worker-{number}"))
    assert sum(isinstance(outcome, ShadowAnalysis) for outcome in outcomes) == 1
    assert outcomes.count(None) == CROWD - 1


def test_many_workers_that_start_at_once_register_one_active_version(monkeypatch, settings):
    settings.INFERENCE_ACTIVATE_ON_DEPLOY = False
    outcomes = at_once(lambda number: registry.register_deployed())
    assert outcomes == [None] * CROWD
    assert [row.state for row in ModelVersion.objects.all()] == ["active"]
