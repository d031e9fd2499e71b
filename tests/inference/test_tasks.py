import logging
from dataclasses import replace

import cv2
import numpy as np
import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import storages
from django.db import DatabaseError

from clinical.accounts.scope import every_hospital
from inference import registry, tasks, workflow
from inference.engine import Prediction, Refusal, Region
from inference.engine.weights import SHIPPED
from inference.models import Analysis, ModelVersion, State
from tests import radiograph_files
from tests.factories import AnalysisFactory


@pytest.fixture(autouse=True)
def in_every_scope(hospital):
    with every_hospital():
        yield


class Model:
    """A model that answers what a test tells it to; the real one has tests of its own."""

    def __init__(self, answer):
        self.answer = answer
        self.asked = []

    def predict(self, images, sexes):
        self.asked.append((images, sexes))
        if isinstance(self.answer, Exception):
            raise self.answer
        return [self.answer]


PREDICTION = Prediction(
    bone_age_months=100.0,
    low_months=90.0,
    high_months=111.0,
    regions={"carpal": Region(0.2, 0.5, 0.8, 0.9)},
    heat_map=np.linspace(0, 1, 144, dtype=np.float32).reshape(12, 12),
    milliseconds=12.0,
)


@pytest.fixture
def serve(monkeypatch, hospital):
    def answer_with(answer):
        model = Model(answer)
        version = ModelVersion.objects.create(name="two_stage_compact", version="test")
        monkeypatch.setattr(tasks, "serving", lambda: (model, version))
        return model

    return answer_with


@pytest.fixture
def queued(hospital):
    name = storages["private"].save("radiographs/task-test", ContentFile(radiograph_files.png()))
    return AnalysisFactory(hospital=hospital, radiograph=name, sex="M")


def run(analysis):
    tasks.analyse.apply(kwargs={"analysis_id": str(analysis.pk), "hospital_id": analysis.hospital_id})
    analysis.refresh_from_db()
    return analysis


def test_an_urgent_analysis_of_any_hospital_is_read_before_the_one_that_a_worker_was_called_for(
    queued, other_hospital, serve
):
    model = serve(PREDICTION)
    later = AnalysisFactory(hospital=queued.hospital, radiograph=queued.radiograph, sex="F")
    urgent = [
        AnalysisFactory(hospital=hospital, radiograph=queued.radiograph, sex="F", urgent=True)
        for hospital in (other_hospital, queued.hospital)
    ]
    run(queued)
    assert [asked for _, asked in model.asked] == [["F"], ["M"]]  # one urgent for each call, so that both come on
    assert set(Analysis.objects.filter(state=State.QUEUED)) == {later, urgent[1]}
    run(urgent[1])
    run(urgent[0])  # its own call finds it read
    assert set(Analysis.objects.filter(state=State.QUEUED)) == {later}
    assert len(model.asked) == 3


def test_an_analysis_is_called_for_again_where_an_urgent_one_took_the_time_of_its_task(
    queued, serve, settings, monkeypatch, django_capture_on_commit_callbacks
):
    serve(PREDICTION)
    urgent = AnalysisFactory(hospital=queued.hospital, radiograph=queued.radiograph, sex="F", urgent=True)
    called = []
    monkeypatch.setattr(tasks.analyse, "apply_async", lambda **given: called.append(given["kwargs"]))
    settings.CELERY_TASK_SOFT_TIME_LIMIT = 0
    with django_capture_on_commit_callbacks(execute=True):
        tasks.analyse.run(analysis_id=str(queued.pk))
    queued.refresh_from_db()
    urgent.refresh_from_db()
    assert (queued.state, urgent.state) == (State.QUEUED, State.ANALYSED)
    assert called == [{"analysis_id": str(queued.pk), "hospital_id": queued.hospital_id}]


def test_an_analysis_ends_with_its_result_and_a_heat_map_in_the_aspect_of_the_radiograph(queued, serve):
    model = serve(PREDICTION)
    analysis = run(queued)
    assert analysis.state == State.ANALYSED
    assert (analysis.bone_age_months, analysis.low_months, analysis.high_months) == (100.0, 90.0, 111.0)
    assert analysis.regions == {"carpal": {"x0": 0.2, "y0": 0.5, "x1": 0.8, "y1": 0.9}}
    assert analysis.model_version.version == "test"
    [([pixels], [sex])] = model.asked
    assert sex == "M"
    with storages["private"].open(analysis.heat_map) as file:
        encoded = np.frombuffer(file.read(), np.uint8)
    overlay = cv2.imdecode(encoded, cv2.IMREAD_UNCHANGED)
    assert overlay.shape[2] == 4
    assert overlay.shape[0] / overlay.shape[1] == pytest.approx(pixels.shape[0] / pixels.shape[1], rel=0.02)
    assert overlay[0, 0, 3] < 10 < 200 < overlay[-1, -1, 3]


def test_a_right_hand_is_kept_as_read_mirrored(queued, serve):
    serve(replace(PREDICTION, mirrored=True, turned_degrees=90))
    analysis = run(queued)
    assert (analysis.mirrored, analysis.turned_degrees) == (True, 90)
    assert ["right hand" in note for note in analysis.reading_notes] == [True, False]


def test_a_refusal_of_the_model_is_a_rejection_in_its_words(queued, serve):
    serve(Refusal(code="no-attention", reason="No hand was found. Take the radiograph again.", milliseconds=8.0))
    analysis = run(queued)
    assert (analysis.state, analysis.reason_code) == (State.REJECTED, "no-attention")
    assert analysis.reason == "No hand was found. Take the radiograph again."


def test_a_stored_file_that_cannot_be_read_is_rejected(queued, serve):
    serve(PREDICTION)
    storages["private"].delete(queued.radiograph)
    storages["private"].save(queued.radiograph, ContentFile(b"scrambled"))
    assert run(queued).state == State.REJECTED


def test_a_task_delivered_twice_runs_once(queued, serve):
    model = serve(PREDICTION)
    first = run(queued).finished_at
    assert run(queued).finished_at == first
    assert len(model.asked) == 1


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (MemoryError(), "no-memory", "ran out of memory"),
        (OSError("disk"), "storage", "could not use its storage"),
        (tasks.SoftTimeLimitExceeded(), "too-slow", "took too long"),
        (ZeroDivisionError(), "internal", "broke off unexpectedly"),
    ],
)
def test_what_breaks_fails_the_analysis_with_a_sentence_for_the_user(queued, serve, error, code, words):
    serve(error)
    analysis = run(queued)
    assert (analysis.state, analysis.reason_code) == (State.FAILED, code)
    assert words in analysis.reason


def test_a_model_whose_files_were_changed_fails_the_analysis_and_is_named_in_the_log(queued, caplog):
    version = registry.register(SHIPPED / "two_stage_compact")
    registry.activate(version, seen=None)
    (registry._local(version.sha256) / "age.onnx").write_bytes(b"tampered")
    registry._load.cache_clear()
    analysis = run(queued)
    assert (analysis.state, analysis.reason_code) == (State.FAILED, "model")
    assert "cannot be used at the moment" in analysis.reason
    assert f"The kept files of {version} were changed" in caplog.text


def test_the_next_task_is_read_by_the_version_that_was_activated_before_it(queued, monkeypatch):
    versions = [ModelVersion.objects.create(name="m", version=str(number), sha256=str(number)) for number in (1, 2)]
    monkeypatch.setattr(registry, "load", lambda version: Model(PREDICTION))
    registry.activate(versions[0], seen=None)
    assert run(queued).model_version == versions[0]
    registry.activate(versions[1], seen=versions[0].pk)
    assert run(workflow.reanalyse(queued, queued.sex)).model_version == versions[1]


def test_a_file_that_is_gone_fails_the_analysis(queued, serve):
    serve(PREDICTION)
    storages["private"].delete(queued.radiograph)
    assert run(queued).reason_code == "file-missing"


def test_a_database_that_is_gone_leaves_the_analysis_to_the_sweep(queued, serve, monkeypatch):
    serve(PREDICTION)

    def refuse(*args, **kwargs):
        raise DatabaseError

    monkeypatch.setattr(workflow, "finish", refuse)
    assert run(queued).state == State.ANALYSING


def test_a_result_that_comes_after_the_lease_was_lost_is_dropped(queued, serve, monkeypatch):
    model = serve(PREDICTION)
    predict = model.predict

    def overtaken(*args):
        Analysis.objects.filter(pk=queued.pk).update(attempt=2, worker="worker-2")
        return predict(*args)

    monkeypatch.setattr(model, "predict", overtaken)
    analysis = run(queued)
    assert (analysis.state, analysis.worker) == (State.ANALYSING, "worker-2")


def test_a_task_sees_its_own_hospital_only(queued, other_hospital, serve):
    serve(PREDICTION)
    tasks.analyse.apply(kwargs={"analysis_id": str(queued.pk), "hospital_id": other_hospital.pk})
    queued.refresh_from_db()
    assert queued.state == State.QUEUED


def test_the_log_of_a_failure_names_the_analysis_and_nothing_of_the_picture(queued, serve, caplog):
    serve(ZeroDivisionError())
    with caplog.at_level(logging.INFO):
        run(queued)
    assert str(queued.pk) in caplog.text
    assert queued.radiograph not in caplog.text
