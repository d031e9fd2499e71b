import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from inference.engine import BoneAgeModel, Prediction, Refusal, whole_hand
from inference.engine.intervals import Interval
from inference.engine.presets import PRESETS
from inference.engine.weights import MissingWeights
from inference.engine.whole_hand import WholeHandModel


def test_importing_the_engine_loads_neither_runtime():
    code = "import sys, inference.engine; print({'tensorflow', 'keras', 'onnxruntime'} & set(sys.modules))"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "set()"


def test_a_hand_gets_a_bone_age_inside_its_interval(load_tiny, hands):
    [outcome] = load_tiny().predict(hands[:1], ["F"])
    assert isinstance(outcome, Prediction)
    assert outcome.low_months <= outcome.bone_age_months <= outcome.high_months
    assert set(outcome.regions) == {"carpal", "metacarpal"}
    for region in outcome.regions.values():
        assert 0 <= region.x0 < region.x1 <= 1
        assert 0 <= region.y0 < region.y1 <= 1
    assert outcome.heat_map.dtype == np.float32
    assert (outcome.heat_map.min(), outcome.heat_map.max()) == (0.0, 1.0)
    assert outcome.milliseconds > 0


def test_a_batch_reads_each_hand_as_if_it_were_alone(load_tiny, hands):
    model, sexes = load_tiny(), ["F", "M", "F", "M", "F"]
    together = model.predict(hands, sexes)
    alone = [model.predict([hand], [sex])[0] for hand, sex in zip(hands, sexes, strict=True)]
    for one, other in zip(together, alone, strict=True):
        assert one.bone_age_months == pytest.approx(other.bone_age_months, abs=0.01)
        assert one.regions == other.regions


def test_both_runtimes_agree_within_a_tenth_of_a_month(load_tiny, hands):
    sexes = ["F", "M", "F", "M", "F"]
    onnx, keras = (load_tiny(runtime).predict(hands, sexes) for runtime in ("onnx", "tensorflow"))
    for one, other in zip(onnx, keras, strict=True):
        assert one.bone_age_months == pytest.approx(other.bone_age_months, abs=0.1)
        assert one.regions == other.regions


def test_a_model_without_an_8_bit_copy_is_read_in_full(load_tiny, hands):
    [full] = load_tiny().predict(hands[:1], ["F"])
    [other] = load_tiny("onnx-int8").predict(hands[:1], ["F"])
    assert other.bone_age_months == full.bone_age_months


def test_sex_and_image_both_move_the_reading(load_tiny, hands):
    model = load_tiny()
    girl, boy, other = (one.bone_age_months for one in model.predict([hands[0], hands[0], hands[4]], "FMF"))
    assert girl != boy
    assert girl != other


def test_threads_read_what_one_thread_reads(load_tiny, hands):
    model = load_tiny()
    [expected] = model.predict(hands[:1], ["F"])
    with ThreadPoolExecutor(4) as pool:
        readings = list(pool.map(lambda _: model.predict(hands[:1], ["F"])[0].bone_age_months, range(12)))
    assert readings == [pytest.approx(expected.bone_age_months, abs=1e-3)] * 12


def test_refused_images_do_not_disturb_the_others(load_tiny, hands):
    images = [np.zeros((200, 200), np.uint8), hands[1], np.zeros((50, 50), np.uint8)]
    blank, read, small = load_tiny().predict(images, "FMF")
    assert isinstance(blank, Refusal)
    assert blank.code == "blank"
    assert isinstance(small, Refusal)
    assert small.code == "too-small"
    [alone] = load_tiny().predict([hands[1]], "M")
    assert read.bone_age_months == pytest.approx(alone.bone_age_months, abs=0.01)


def test_nothing_in_gives_nothing_out(load_tiny):
    assert load_tiny().predict([], []) == []


@pytest.mark.parametrize(
    ("image", "sexes", "told"),
    [
        (np.full((200, 160), np.nan, np.float32), "F", r"\(H, W\) uint8, not float32: `read_radiograph` gives"),
        (np.ones((200, 160), bool), "F", "not bool"),
        (np.full((200, 160), -5, np.int16), "F", "not int16"),
        (np.zeros((200, 160, 3), np.uint8), "F", r"one plane of grey, .* not of shape \(200, 160, 3\)"),
        (np.zeros((1, 200, 160, 1), np.uint8), "F", r"not of shape \(1, 200, 160, 1\)"),
        (np.zeros((0, 160), np.uint8), "F", r"not of shape \(0, 160\)"),
        ([[0, 1], [1, 0]], "F", "NumPy array, .* not list"),
        (np.zeros((200, 160), np.uint8), "FM", "there are 2 images and 3 sexes"),
        (np.zeros((200, 160), np.uint8), "", "there are 2 images and 1 sexes"),
        (np.zeros((200, 160), np.uint8), "X", 'Sex is "M" or "F", not \'X\''),
        (np.zeros((200, 160), np.uint8), [None], "not None"),
    ],
)
def test_what_is_no_image_of_a_boy_or_girl_is_an_error_that_says_so(load_tiny, hands, image, sexes, told):
    with pytest.raises(ValueError, match=told):
        load_tiny().predict([hands[0], image], ["M", *sexes])


@pytest.mark.parametrize("explain", ["explain", "occlusion_row"])
def test_explanations_are_of_such_images_alone_too(load_tiny, hands, explain):
    argument = {"explain": "occlusion", "occlusion_row": 0}[explain]
    with pytest.raises(ValueError, match="not 'X'"):
        getattr(load_tiny(), explain)(hands[0], "X", argument)
    with pytest.raises(ValueError, match="not float64"):
        getattr(load_tiny(), explain)(hands[0] / 255, "F", argument)


def test_however_an_image_lies_in_memory_it_is_read_alike(load_tiny, hands):
    wider, turned = np.repeat(hands[0], 2, axis=1), np.ascontiguousarray(hands[0][::-1, ::-1])
    kept = hands[0].copy()
    kept.flags.writeable = False
    images = [hands[0], wider[:, ::2], turned[::-1, ::-1], np.asfortranarray(hands[0]), kept]
    first, *others = load_tiny().predict(images, "FFFFF")
    assert isinstance(first, Prediction)
    assert [one.bone_age_months for one in others] == [pytest.approx(first.bone_age_months, abs=0.01)] * 4
    assert [one.regions for one in others] == [first.regions] * 4


def test_missing_weights_name_where_they_were_looked_for(tiny, monkeypatch, tmp_path):
    monkeypatch.setenv("BONEAGE_WEIGHTS", str(tmp_path))
    with pytest.raises(MissingWeights, match=str(tmp_path)):
        BoneAgeModel.load("tiny")


def test_a_wrong_runtime_lists_the_right_ones(tiny):
    with pytest.raises(ValueError, match="onnx, onnx-int8, tensorflow"):
        BoneAgeModel.load("tiny", "openvino")


def test_a_network_that_reads_both_sexes_is_loaded_once(monkeypatch):
    monkeypatch.setattr(whole_hand, "OnnxNetwork", lambda path: path)
    card = {"version": "1", "interval": asdict(Interval([], 3.0, [], []))}
    networks = {
        name: WholeHandModel.from_folder(PRESETS[name], card, Path("weights"), "onnx")._networks
        for name in ("simple_cnn", "inception_resnet_v2")
    }
    assert networks["simple_cnn"]["F"] is networks["simple_cnn"]["M"]
    assert networks["inception_resnet_v2"] == {"F": Path("weights/age_F.onnx"), "M": Path("weights/age_M.onnx")}
