"""Networks of others, and ensembles, serve as this project's own models do."""

import json

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import storages

from clinical.accounts.scope import every_hospital
from inference import registry, tasks
from inference.engine import presets
from inference.engine.presets import Ensemble
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
