import json

import numpy as np
import pytest

from inference.engine import presets
from inference.engine.presets import AgeStage, AttentionStage, Backbone, Fit, Preset, RegionRule
from inference.training.phantom import draw_phantom

FIT = Fit(epochs=1, batch=4, learning_rate=1e-3)
TINY = Preset(
    name="tiny",
    attention=AttentionStage(
        Backbone("residual", 48, (4, 8, 16), blocks=1),
        FIT,
        cbam_ratio=4,
        carpal=RegionRule(window=0.4),
        metacarpal=RegionRule(window=0.4),
    ),
    age=AgeStage(
        branches={
            "carpal": Backbone("residual", 32, (4, 8), blocks=1),
            "metacarpal": Backbone("residual", 32, (4, 8), blocks=1),
            "whole": Backbone("residual", 48, (4, 8), blocks=1),
        },
        fit=FIT,
        dense=(8,),
        mirrored=True,
    ),
    working_size=96,
)


@pytest.fixture
def tiny(monkeypatch):
    """A preset small enough to build in a moment, known by its name."""
    monkeypatch.setitem(presets.PRESETS, TINY.name, TINY)
    return TINY


@pytest.fixture(scope="session")
def untrained_weights(tmp_path_factory):
    """A folder with the exported networks of the tiny preset as they start, a gate open to all, and a card."""
    import keras

    from inference.engine.gate import Hands
    from inference.engine.networks import age_network, attention_network
    from inference.engine.weights import load_arrays, save_arrays
    from inference.training.export import export_onnx

    keras.utils.set_random_seed(3)
    root = tmp_path_factory.mktemp("weights")
    folder = root / "tiny"
    folder.mkdir()
    for name, build in (("attention", attention_network), ("age", age_network)):
        network = build(TINY)
        save_arrays(network.get_weights(), folder / f"{name}.npz")
        network.set_weights(load_arrays(folder / f"{name}.npz"))
        export_onnx(network, folder / f"{name}.onnx")
    Hands(np.zeros(16), np.eye(16), limit=1e6).save(folder / "hands.npz")
    interval = {"coefficients": [1.0] * 6, "floor_months": 3.0, "low": [-2.0] * 9, "high": [2.0] * 9}
    (folder / "card.json").write_text(json.dumps({"name": "tiny", "version": "test", "interval": interval}))
    return root


@pytest.fixture
def load_tiny(tiny, untrained_weights, monkeypatch):
    """BoneAgeModel.load of the tiny model."""
    from inference.engine import BoneAgeModel

    monkeypatch.setenv("BONEAGE_WEIGHTS", str(untrained_weights))
    return lambda runtime="onnx": BoneAgeModel.load("tiny", runtime)


@pytest.fixture(scope="session")
def hands():
    """Five drawn radiographs of different ages and sizes."""
    return [draw_phantom(30 + 40 * number, "F", seed=number, size=200 + 20 * number) for number in range(5)]
