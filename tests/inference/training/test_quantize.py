import json
import shutil

import keras
import numpy as np
import pytest

from inference.engine.gate import Hands
from inference.engine.networks import age_network, attention_network
from inference.engine.two_stage import TwoStageModel
from inference.engine.weights import load_arrays, read_card, save_arrays
from inference.training import card, quantize
from inference.training.datasets import Dataset
from inference.training.export import export_onnx
from tests.inference.training.conftest import TINY


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """An exported tiny model that was never trained."""
    folder = tmp_path_factory.mktemp("tiny")
    keras.utils.set_random_seed(3)
    for name, build in (("attention", attention_network), ("age", age_network)):
        network = build(TINY)
        save_arrays(network.get_weights(), folder / f"{name}.npz")
        network.set_weights(load_arrays(folder / f"{name}.npz"))
        export_onnx(network, folder / f"{name}.onnx")
    width = TINY.attention.backbone.widths[-1]
    Hands(np.zeros(width), np.eye(width), limit=1e6).save(folder / "hands.npz")
    interval = {"coefficients": [1.0] * 6, "floor_months": 3.0, "low": [-2.0] * 9, "high": [2.0] * 9}
    (folder / "card.json").write_text(json.dumps({"name": "tiny", "version": "test", "interval": interval}))
    return folder


@pytest.fixture
def folder(exported, tmp_path):
    return shutil.copytree(exported, tmp_path / "tiny")


def test_the_8_bit_copy_reads_nearly_the_same(tiny, folder, drawn):
    quantize.quantized(tiny, folder, drawn)
    models = [TwoStageModel.from_folder(tiny, read_card(folder), folder, name) for name in ("onnx", "onnx-int8")]
    full, int8 = (
        np.array([reading.months for reading in model.read(drawn.images, "F" * len(drawn), gate=False)])
        for model in models
    )
    assert 0 < np.abs(int8 - full).mean() < 3
    assert b"QuantizeLinear" in (folder / "age.int8.onnx").read_bytes()


@pytest.mark.parametrize("good", [True, False])
def test_the_copy_is_kept_only_where_it_is_as_good(tiny, folder, drawn, monkeypatch, good):
    monkeypatch.setattr(quantize, "as_good", lambda figures: good)
    few = Dataset(drawn.labels[:6], drawn.images[:6])
    figures = quantize.quantize(tiny, folder, few, few)
    assert figures["kept"] == good
    assert (folder / "age.int8.onnx").exists() == good
    assert figures["int8"]["mae_months"] == pytest.approx(figures["full"]["mae_months"], abs=5)


@pytest.mark.parametrize(("months", "good"), [(7.9, True), (8.1, True), (8.11, False)])
def test_a_copy_is_as_good_that_errs_by_a_tenth_of_a_month_more_at_most(months, good):
    assert quantize.as_good({"full": {"mae_months": 8.0}, "int8": {"mae_months": months}}) == good


def test_a_copy_that_comes_or_goes_makes_another_version(tiny, folder, radiographs, monkeypatch):
    monkeypatch.setattr(card, "markdown", lambda card: "")  # of a model that was never trained it tells nothing
    for good, version in ((True, "test-r2"), (True, "test-r2"), (False, "test-r3")):
        monkeypatch.setattr(quantize, "as_good", lambda figures, good=good: good)
        quantize.main(["--weights", str(folder), "--data", str(radiographs)])
        assert read_card(folder)["version"] == version
        assert (folder / "age.int8.onnx").exists() == good
