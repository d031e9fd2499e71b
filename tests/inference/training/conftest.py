import csv
import warnings

import cv2
import keras
import pytest

from inference.engine import presets
from inference.engine.presets import AgeStage, AttentionStage, Backbone, Fit, Preset, RegionRule
from inference.training.phantom_set import draw_phantoms

TINY = Preset(
    name="tiny",
    attention=AttentionStage(
        Backbone("residual", 48, (4, 8), blocks=1),
        Fit(epochs=2, batch=8, learning_rate=2e-3, schedule="one_cycle"),
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
        fit=Fit(epochs=2, batch=8, learning_rate=2e-3, schedule="one_cycle"),
        loss="huber",
        dense=(8,),
        mirrored=True,
        start_from_attention=True,
    ),
    working_size=128,
)


@pytest.fixture(autouse=True)
def precision_of_others():
    """A training sets the precision of its process, in which other tests count on that of before."""
    policy = keras.config.dtype_policy()
    yield
    keras.config.set_dtype_policy(policy)


@pytest.fixture
def tiny(monkeypatch):
    """A preset small enough to train in a moment, known by its name."""
    monkeypatch.setitem(presets.PRESETS, TINY.name, TINY)
    return TINY


@pytest.fixture
def eagerly():
    """Without graphs: to make that of a training takes many times as long as its few steps."""
    if keras.backend.backend() != "tensorflow":
        yield
        return
    import tensorflow

    warnings.filterwarnings("ignore", "Even though")  # that the batches themselves still come by a graph
    tensorflow.config.run_functions_eagerly(True)
    yield
    tensorflow.config.run_functions_eagerly(False)


@pytest.fixture(scope="session")
def drawn():
    """40 drawn hands."""
    return draw_phantoms(40, seed=5)


@pytest.fixture(scope="session")
def radiographs(drawn, tmp_path_factory):
    """A data folder of drawn hands: 24 to train on, 16 to validate."""
    folder = tmp_path_factory.mktemp("data")
    (folder / "images").mkdir()
    with (folder / "labels.csv").open("w", newline="") as lines:
        writer = csv.writer(lines)
        writer.writerow(("id", "bone_age_months", "sex", "split"))
        for number, (label, image) in enumerate(zip(drawn.labels, drawn.images, strict=True)):
            cv2.imwrite(str(folder / "images" / f"{number}.png"), cv2.resize(image, (160, 200)))
            writer.writerow((number, label.bone_age_months, label.sex, "train" if number < 24 else "val"))
    return folder
