"""Networks of others, and ensembles, serve as this project's own models do."""

import json
import shutil

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import storages

from clinical.accounts.scope import every_hospital
from inference import registry, tasks
from inference.engine import presets
from inference.engine.model import DEFAULT_MODEL
from inference.engine.presets import Ensemble
from inference.engine.weights import SHIPPED
from inference.models import State
from inference.workflow import WrongState
from tests import radiograph_files
from tests.factories import AnalysisFactory
from tests.model_files import from_elsewhere

pytestmark = pytest.mark.django_db


@pytest.fixture
def analysed(hospital):
    """An analysis of a radiograph, read by the active version."""

    def read():
        picture = storages["private"].save("radiographs/elsewhere", ContentFile(radiograph_files.png()))
        with every_hospital():
            analysis = AnalysisFactory(hospital=hospital, radiograph=picture)
            tasks.analyse.apply(kwargs={"analysis_id": str(analysis.pk), "hospital_id": hospital.pk})
            analysis.refresh_from_db()
        return analysis

    return read


def test_a_model_from_elsewhere_is_registered_activated_and_reads(tmp_path, analysed):
    version = registry.register(from_elsewhere(tmp_path / "elsewhere"))
    registry.activate(version, seen=None)
    assert str(version) == "elsewhere 2.1"
    analysis = analysed()
    assert (analysis.state, analysis.reason) == (State.ANALYSED, "")
    assert analysis.bone_age_months == pytest.approx(120)
    assert analysis.model_version == version


def test_an_ensemble_is_registered_with_its_members_and_reads_their_mean(tmp_path, monkeypatch, analysed):
    monkeypatch.setitem(presets.PRESETS, "both", Ensemble("both", "two of them", ("younger", "older")))
    path = tmp_path / "both"
    from_elsewhere(path / "younger", age=8)
    older = from_elsewhere(path / "older", age=12)
    (path / "card.json").write_text(json.dumps({"name": "both", "version": "1"}))
    version = registry.register(path)
    registry.activate(version, seen=None)
    from_elsewhere(tmp_path / "replaced", age=18).joinpath("network.onnx").replace(older / "network.onnx")
    assert analysed().bone_age_months == pytest.approx(120)
    with pytest.raises(WrongState, match="need a version of their own"):
        registry.register(path)


# --- tried out ----------------------------------------------------------------------------------------------


def tried(path):
    """The version of that folder, after a worker has tried it."""
    version = registry.register(path)
    tasks.try_version.apply(kwargs={"version_id": version.pk})
    version.refresh_from_db()
    return version


def test_a_worker_tries_what_is_registered(tmp_path, monkeypatch, django_capture_on_commit_callbacks):
    asked = []
    monkeypatch.setattr(tasks.try_version, "delay", lambda **given: asked.append(given))
    with django_capture_on_commit_callbacks(execute=True):
        version = registry.register(from_elsewhere(tmp_path / "elsewhere"))
    assert asked == [{"version_id": version.pk}]
    with django_capture_on_commit_callbacks(execute=True):
        registry.register(tmp_path / "elsewhere")
    assert len(asked) == 1  # it was tried


def test_one_that_reads_a_drawn_hand_may_serve(tmp_path):
    version = tried(from_elsewhere(tmp_path / "elsewhere"))
    assert version.tried_at is not None
    assert version.problem == ""
    registry.start_shadow_run(version)
    registry.activate(version, seen=None)


def test_trying_one_takes_nothing_from_the_memory_of_what_serves(tmp_path):
    serving = registry.register(from_elsewhere(tmp_path / "serving"))
    model = registry.load(serving)
    for number in range(3):
        tried(from_elsewhere(tmp_path / f"other-{number}"))
    assert registry.load(serving) is model


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda path: (path / "network.onnx").write_bytes(b"no network"), "is not an ONNX network"),
        (lambda path: from_elsewhere(path, age=float("nan")), "network.onnx gave nan for a radiograph"),
    ],
)
def test_one_that_cannot_serve_says_why_and_is_kept_from_it(tmp_path, spoil, says):
    path = from_elsewhere(tmp_path / "elsewhere")
    spoil(path)
    version = tried(path)
    assert says in version.problem
    with pytest.raises(WrongState, match=says):
        registry.activate(version, seen=None)
    with pytest.raises(WrongState):
        registry.start_shadow_run(version)
    version.refresh_from_db()
    assert (version.state, version.shadows) == ("candidate", False)


def test_one_that_was_exported_without_onnx_files_says_so(tmp_path):
    shutil.copytree(SHIPPED / DEFAULT_MODEL, tmp_path, ignore=shutil.ignore_patterns("*.onnx"), dirs_exist_ok=True)
    assert tried(tmp_path).problem == (
        "The model has no attention.onnx: export it with its ONNX files, where TensorFlow is, or read it with the "
        "runtime tensorflow."
    )


def test_one_that_costs_its_worker_the_life_does_not_serve(tmp_path, monkeypatch):
    version = registry.register(from_elsewhere(tmp_path / "elsewhere"))

    class Killed(BaseException):
        """Nothing of the task runs after it, as after a SIGKILL."""

    def draw(*how, **drawn):
        raise Killed

    monkeypatch.setattr(registry, "draw_phantom", draw)
    with pytest.raises(Killed):
        registry.try_out(version)
    with pytest.raises(WrongState, match="has not come to an end"):
        registry.activate(version, seen=None)


def test_what_was_missing_at_the_first_trial_is_there_at_the_next(tmp_path):
    version = registry.register(from_elsewhere(tmp_path / "elsewhere"))
    kept = registry._local(version.sha256)
    away = kept.rename(kept.with_name("away"))
    registry.try_out(version)
    version.refresh_from_db()
    assert "cannot be read" in version.problem
    away.rename(kept)
    registry.try_out(version)
    version.refresh_from_db()
    assert version.problem == ""
