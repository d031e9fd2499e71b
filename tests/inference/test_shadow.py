"""The shadow run: after the studies, never instead of one, and told to nobody."""

from datetime import timedelta

import numpy as np
import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import storages
from django.utils import timezone

from clinical.accounts.scope import every_hospital
from clinical.audit.models import AccessEvent
from inference import registry, shadow, tasks, workflow
from inference.engine import Prediction, Refusal, Region
from inference.models import Analysis, ModelVersion, ShadowAnalysis, State
from tests import radiograph_files
from tests.factories import AnalysisFactory


@pytest.fixture(autouse=True)
def in_every_scope(hospital, other_hospital):
    with every_hospital():
        yield


class Model:
    """A model that answers what a test tells it to."""

    def __init__(self, months):
        self.months = months

    def predict(self, images, sexes):
        if self.months is None:
            return [Refusal(code="blank", reason="The picture is blank.", milliseconds=3.0)]
        heat = np.zeros((8, 8), np.float32)
        region = {"carpal": Region(0.2, 0.5, 0.8, 0.9)}
        return [Prediction(self.months, self.months - 9, self.months + 9, region, heat, 12.0)]


@pytest.fixture
def active(db):
    return ModelVersion.objects.create(name="m", version="1", sha256="1" * 64, state="active")


@pytest.fixture
def candidate(db):
    return ModelVersion.objects.create(name="m", version="2", sha256="2" * 64, state="candidate", shadows=True)


@pytest.fixture
def models(monkeypatch, active, candidate):
    """What each version answers, by its primary key."""
    answers = {active.pk: Model(100.0), candidate.pk: Model(108.0)}
    monkeypatch.setattr(registry, "load", lambda version: answers[version.pk])
    return answers


@pytest.fixture
def called(monkeypatch):
    """How often a worker was called to the shadow run."""
    calls = []
    monkeypatch.setattr(tasks.read_shadow, "delay", lambda: calls.append(1))
    return calls


@pytest.fixture
def queued(hospital):
    name = storages["private"].save("radiographs/shadow-test", ContentFile(radiograph_files.png()))
    return AnalysisFactory(hospital=hospital, radiograph=name, sex="M")


def analyse(analysis):
    tasks.analyse.apply(kwargs={"analysis_id": str(analysis.pk), "hospital_id": analysis.hospital_id})
    analysis.refresh_from_db()
    return analysis


def ended(hospital, version, **fields):
    """An analysis that the active version has read."""
    return AnalysisFactory(hospital=hospital, state=State.ANALYSED, model_version=version, **fields)


@pytest.mark.usefixtures("called")
def test_the_candidate_reads_what_the_active_version_has_read(queued, models, active, candidate):
    analyse(queued)
    waiting = ShadowAnalysis.objects.get()
    assert (waiting.analysis, waiting.model_version, waiting.state) == (queued, candidate, State.QUEUED)
    tasks.read_shadow.apply()
    read = ShadowAnalysis.objects.get()
    assert (read.state, read.bone_age_months, read.low_months, read.milliseconds) == ("analysed", 108.0, 99.0, 12.0)
    queued.refresh_from_db()
    assert (queued.state, queued.bone_age_months, queued.model_version) == (State.ANALYSED, 100.0, active)
    assert Analysis.objects.count() == 1


@pytest.mark.usefixtures("called")
def test_a_refusal_of_either_is_read_by_the_other(queued, models, active, candidate):
    models[active.pk] = Model(None)
    assert analyse(queued).state == State.REJECTED
    models[candidate.pk] = Model(None)
    tasks.read_shadow.apply()
    assert ShadowAnalysis.objects.get().reason_code == "blank"


def test_a_file_that_no_model_has_seen_is_not_run_again(queued, models, called):
    storages["private"].delete(queued.radiograph)
    storages["private"].save(queued.radiograph, ContentFile(b"scrambled"))
    assert analyse(queued).state == State.REJECTED
    assert not ShadowAnalysis.objects.exists()
    assert called == []


def test_without_a_candidate_in_the_shadow_nothing_happens(queued, models, candidate, called):
    registry.end_shadow_run(candidate)
    analyse(queued)
    assert not ShadowAnalysis.objects.exists()
    assert called == []


def test_a_task_delivered_twice_makes_one_shadow(queued, models, called):
    analyse(queued)
    analyse(queued)
    assert ShadowAnalysis.objects.count() == 1


@pytest.mark.parametrize("where", ["hospital", "other_hospital"])
def test_no_shadow_is_read_while_a_study_of_any_hospital_waits(request, hospital, active, models, called, where):
    shadow.follow(ended(hospital, active))
    AnalysisFactory(hospital=request.getfixturevalue(where))
    tasks.read_shadow.apply()
    assert ShadowAnalysis.objects.get().state == State.QUEUED


def test_no_worker_is_called_while_a_study_waits_and_whoever_ends_the_last_one_calls(
    hospital, active, models, called, django_capture_on_commit_callbacks
):
    waiting = AnalysisFactory(hospital=hospital)
    with django_capture_on_commit_callbacks(execute=True):
        shadow.follow(ended(hospital, active))
    assert called == []
    Analysis.objects.filter(pk=waiting.pk).update(state=State.ANALYSED, model_version=active)
    waiting.refresh_from_db()
    with django_capture_on_commit_callbacks(execute=True):
        shadow.follow(waiting)
    assert called == [1]


def test_one_call_after_another_works_off_all_that_waits(
    hospital, active, models, monkeypatch, queued, django_capture_on_commit_callbacks
):
    for _ in range(3):
        analysis = ended(hospital, active, radiograph=queued.radiograph)
        ShadowAnalysis.objects.create(
            hospital=hospital,
            analysis=analysis,
            model_version=ModelVersion.objects.get(shadows=True),
            radiograph=queued.radiograph,
        )
    Analysis.objects.filter(pk=queued.pk).delete()
    monkeypatch.setattr(tasks.read_shadow, "delay", lambda: tasks.read_shadow.apply())
    with django_capture_on_commit_callbacks(execute=True):
        shadow.wake()
    assert set(ShadowAnalysis.objects.values_list("state", flat=True)) == {State.ANALYSED}


def test_the_sweep_finds_what_a_worker_has_lost_and_calls(
    hospital, active, models, called, django_capture_on_commit_callbacks
):
    shadow.follow(ended(hospital, active))
    run = shadow.claim("worker-1")
    assert shadow.claim("worker-2") is None
    long_ago = timezone.now() - timedelta(hours=1)
    ShadowAnalysis.objects.update(started_at=long_ago, lease_until=long_ago)
    with django_capture_on_commit_callbacks(execute=True):
        workflow.requeue_due()
    assert called == [1]
    assert ShadowAnalysis.objects.get().state == State.QUEUED
    with pytest.raises(workflow.LeaseLost):
        workflow.finish(run, bone_age_months=100.0)


def test_the_sweep_does_not_call_beside_a_worker_that_reads_one_after_another(
    hospital, active, models, called, django_capture_on_commit_callbacks
):
    for _ in range(2):
        shadow.follow(ended(hospital, active))
    called.clear()
    workflow.reject(shadow.claim("worker-1"), "blank", "The picture is blank.")
    with django_capture_on_commit_callbacks(execute=True):
        workflow.requeue_due()
    assert called == []


def test_a_shadow_that_is_lost_each_time_is_given_up(hospital, active, models, called, settings):
    shadow.follow(ended(hospital, active))
    past = timezone.now() - timedelta(seconds=1)
    ShadowAnalysis.objects.update(state=State.ANALYSING, attempt=settings.INFERENCE_MAX_ATTEMPTS, lease_until=past)
    workflow.requeue_due()
    assert ShadowAnalysis.objects.get().state == State.FAILED


def test_a_candidate_that_breaks_leaves_the_study_alone(queued, models, called, candidate, monkeypatch):
    analyse(queued)

    def unavailable(version):
        raise registry.ModelUnavailable("Its files were changed.")

    monkeypatch.setattr(registry, "load", unavailable)
    tasks.read_shadow.apply()
    assert (ShadowAnalysis.objects.get().state, ShadowAnalysis.objects.get().reason_code) == (State.FAILED, "model")
    queued.refresh_from_db()
    assert queued.state == State.ANALYSED


@pytest.mark.usefixtures("called")
def test_nobody_is_told_of_a_shadow(queued, models):
    analyse(queued)
    heard = []
    workflow.analysis_changed.connect(receiver := lambda sender, analysis, **kwargs: heard.append(analysis))
    before = AccessEvent.objects.count()
    tasks.read_shadow.apply()
    workflow.analysis_changed.disconnect(receiver)
    assert ShadowAnalysis.objects.get().state == State.ANALYSED
    assert heard == []
    assert AccessEvent.objects.count() == before
