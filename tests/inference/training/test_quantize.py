import json

import keras
import numpy as np
import pytest

from inference.engine.gate import Hands
from inference.engine.networks import age_network, attention_network
from inference.engine.two_stage import TwoStageModel
from inference.engine.weights import load_arrays, read_card, save_arrays
from inference.training import quantize
from inference.training.datasets import Dataset
from inference.training.export import export_onnx

FIGURES = {
    "full": {"mae_months": 8.0, "milliseconds": 20.0},
    "int8": {"mae_months": 8.1, "milliseconds": 9.0},
}


@pytest.fixture
def folder(tiny, tmp_path):
    """An exported tiny model that was never trained."""
    keras.utils.set_random_seed(3)
    for name, build in (("attention", attention_network), ("age", age_network)):
        network = build(tiny)
        save_arrays(network.get_weights(), tmp_path / f"{name}.npz")
        network.set_weights(load_arrays(tmp_path / f"{name}.npz"))
        export_onnx(network, tmp_path / f"{name}.onnx")
    Hands(np.zeros(16), np.eye(16), limit=1e6).save(tmp_path / "hands.npz")
    interval = {"coefficients": [1.0] * 6, "floor_months": 3.0, "low": [-2.0] * 9, "high": [2.0] * 9}
    (tmp_path / "card.json").write_text(json.dumps({"name": "tiny", "version": "test", "interval": interval}))
    return tmp_path


def test_the_8_bit_copy_reads_nearly_the_same(tiny, folder, drawn):
    quantize.quantized(tiny, folder, drawn)
    models = [TwoStageModel.from_folder(tiny, read_card(folder), folder, name) for name in ("onnx", "onnx-int8")]
    full, int8 = (
        np.array([reading.months for reading in model.read(drawn.images, "F" * len(drawn), gate=False)])
        for model in models
    )
    assert 0 < np.abs(int8 - full).mean() < 3
    assert b"QuantizeLinear" in (folder / "age.int8.onnx").read_bytes()


@pytest.mark.parametrize("pays", [True, False])
def test_the_copy_is_kept_only_where_it_pays(tiny, folder, drawn, monkeypatch, pays):
    monkeypatch.setattr(quantize, "pays", lambda figures: pays)
    few = Dataset(drawn.labels[:6], drawn.images[:6])
    figures = quantize.quantize(tiny, folder, few, few)
    assert figures["kept"] == pays
    assert (folder / "age.int8.onnx").exists() == pays
    assert figures["int8"]["mae_months"] == pytest.approx(figures["full"]["mae_months"], abs=5)


def test_a_copy_pays_that_is_as_good_and_faster():
    assert quantize.pays(FIGURES)


@pytest.mark.parametrize("worse", [{"mae_months": 8.11}, {"milliseconds": 21.0}])
def test_a_copy_does_not_pay_that_is_worse_in_anything(worse):
    assert not quantize.pays({**FIGURES, "int8": {**FIGURES["int8"], **worse}})
