import json
from importlib import import_module

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from inference.engine import BoneAgeModel, presets
from inference.engine.presets import Backbone, Ensemble, Fit, WholeHand
from inference.training import calibrate, compare, costs, evaluate, export, systems, train
from inference.training.robustness import COPIES

PLAIN = Backbone("plain", 32, (4, 8))
BY_SEX = WholeHand(
    "by_sex", "A paper, 2020", PLAIN, Fit(epochs=2, batch=4, learning_rate=1e-3), "MAE 1 month", sex="separate"
)


@pytest.fixture
def few_systems(monkeypatch):
    """Two presets that train in a moment, one of which never is, and an ensemble."""
    known = [
        BY_SEX,
        WholeHand("never", "Another paper, 2021", PLAIN, BY_SEX.fit),
        Ensemble("both", "Both of them", ("by_sex", "never")),
    ]
    for place in (presets, compare):
        monkeypatch.setattr(place, "PRESETS", {preset.name: preset for preset in known})


@pytest.fixture(autouse=True)
def few_phantoms(monkeypatch):
    monkeypatch.setattr(calibrate, "PHANTOMS", 4)
    monkeypatch.setattr(calibrate, "GATE_PHANTOMS", 4)
    monkeypatch.setattr(calibrate, "FEWEST", 16)


def run(command, *arguments):
    command.main([str(argument) for argument in arguments])


def in_this_process(step, name, at_once):
    """A step of `systems` where its presets are known."""
    command, *arguments = step
    import_module(f"inference.training.{command}").main(arguments)
    return 0


def test_from_radiographs_to_a_row_of_the_table(few_systems, radiographs, tmp_path, monkeypatch, capsys):
    """A network for each sex, by the same commands as any model: trained, exported, evaluated, compared."""
    weights, docs, networks = tmp_path / "weights", tmp_path / "docs", tmp_path / "networks"
    monkeypatch.setenv("BONEAGE_WEIGHTS", str(weights))
    docs.mkdir()
    run(compare, "--docs", docs, "--networks", networks)
    before = json.loads((docs / "comparison.json").read_text())["systems"]
    assert [(one["preset"], one["status"]) for one in before] == [
        (n, "not trained") for n in ("by_sex", "never", "both")
    ]
    assert all("evaluation" not in one for one in before)
    assert before[0]["cost"]["parameters"] > before[1]["cost"]["parameters"]  # two networks
    assert before[2]["cost"]["parameters"] == before[0]["cost"]["parameters"] + before[1]["cost"]["parameters"]

    monkeypatch.setattr(systems, "run_step", in_this_process)
    folders = ("--data", radiographs, "--runs", tmp_path / "runs", "--weights", weights)
    run(systems, "by_sex", *folders)
    assert "Measured: by_sex." in capsys.readouterr().out
    run(compare, "--docs", docs, "--networks", networks)
    [trained, never, _] = json.loads((docs / "comparison.json").read_text())["systems"]
    measured = json.loads((tmp_path / "runs" / "by_sex" / "validation" / "metrics.json").read_text())
    assert trained["status"] == "trained"
    assert trained["evaluation"]["mae_months"] == measured["mae_months"]
    assert trained["training"]["fits"]["age_F"]["epochs"] == 2
    assert trained["cost"] == before[0]["cost"]
    assert never == before[1]
    table = (docs / "comparison.md").read_text()
    assert f"| `by_sex` | trained | {measured['mae_months']:.2f} (" in table
    assert "| `never` | not trained | – |" in table
    assert (docs / "comparison.png").stat().st_size > 1000

    # The row stays where the weights are not at hand.
    monkeypatch.delenv("BONEAGE_WEIGHTS")
    run(compare, "--docs", docs, "--measure")
    assert (docs / "comparison.md").read_text() == table

    sample = evaluate.read_dataset(radiographs, "val", limit=4)
    onnx_read, keras_read = (
        BoneAgeModel.load("by_sex", runtime, weights / "by_sex").predict(sample.images, "FMFM")
        for runtime in ("onnx", "tensorflow")
    )
    for one, other in zip(onnx_read, keras_read, strict=True):
        assert one.bone_age_months == pytest.approx(other.bone_age_months, abs=0.1)
    model = BoneAgeModel.load("by_sex", "tensorflow", weights / "by_sex")
    assert model.explain(sample.images[0], "F", "gradcam").map.max() == pytest.approx(1)


def test_where_tensorflow_is_not_a_model_is_exported_and_measured_in_keras_alone(
    few_systems, radiographs, tmp_path, monkeypatch, capsys, eagerly
):
    weights, by_keras = tmp_path / "weights", tmp_path / "keras"
    run(train, "--preset", "by_sex", "--data", radiographs, "--run", tmp_path / "run")
    exported = ("--preset", "by_sex", "--data", radiographs, "--run", tmp_path / "run", "--out")
    run(export, *exported, weights)
    by_onnx = json.loads((weights / "by_sex" / "card.json").read_text())
    run(export, *exported, weights, "--without-onnx")  # over what is there
    assert {path.name for path in (weights / "by_sex").iterdir()} == {
        *("age_F.npz", "age_M.npz", "card.json", "MODEL_CARD.md")
    }
    alone = json.loads((weights / "by_sex" / "card.json").read_text())
    assert alone["validation"]["mae_months"] == pytest.approx(by_onnx["validation"]["mae_months"], abs=0.1)
    assert alone["version"] != by_onnx["version"]
    monkeypatch.setenv("BONEAGE_WEIGHTS", str(weights))
    measured = ("--model", "by_sex", "--data", radiographs, "--phantoms", 0, "--non-hands", 0, "--robustness", 2)
    run(evaluate, *measured, "--runtime", "tensorflow", "--out", by_keras)
    assert json.loads((by_keras / "metrics.json").read_text())["n"] == 16

    anew = ("--weights", weights / "by_sex", "--data", radiographs)
    with pytest.raises(SystemExit):
        run(calibrate, *anew)
    assert "The model has no age_F.onnx: export it with its ONNX files" in capsys.readouterr().err
    run(calibrate, *anew, "--runtime", "tensorflow")
    assert json.loads((weights / "by_sex" / "card.json").read_text())["interval"] == alone["interval"]


def test_part_of_a_training_is_said_with_its_epochs():
    fits = {"age_F": {"epochs": 2, "minutes": 1}, "age_M": {"epochs": 1, "minutes": 1}}
    kept = {"evaluation": {}, "training": {"fits": fits}}
    assert compare.status(BY_SEX, kept) == "trained in part: age_M 1 of 2 epochs"
    fits["age_M"]["epochs"] = 2
    assert compare.status(BY_SEX, kept) == "trained"
    kept["training"]["started_from"] = ["one 1", "other 2"]
    assert compare.status(BY_SEX, kept) == "trained, started from one 1 and other 2"


def test_a_system_trained_further_has_the_epochs_of_both_trainings():
    fit = {"history": [{}, {}], "seconds": 60}
    training = {"commit": "c", "commands": [], "machine": "m", "fits": {"attention": fit, "age": fit}}
    training["started_from"] = [{"model": "one 2026-1", "epochs": 5}, {"model": "other 2026-2", "epochs": 7}]
    card = {"name": "one", "evaluation": {compare.EVALUATION: {}}, "training": training}
    for name, epochs in (("one", 7), ("another", 2)):
        kept: dict = {}
        compare.keep_card(kept, card | {"name": name})
        assert kept["training"]["fits"]["age"]["epochs"] == epochs
        assert kept["training"]["fits"]["attention"]["epochs"] == 2


def test_every_fit_has_the_minutes_and_the_machine_that_it_ran_on():
    taken = {"history": [{}], "seconds": 1626, "machine": "2 cores", "taken_from": "earlier 1"}
    fits = {"attention": taken, "age": {"history": [{}], "seconds": 295}}
    training = {"commit": "c0ffee", "commands": [], "machine": "a GPU", "fits": fits}
    kept: dict = {"preset": "one"}
    compare.keep_card(kept, {"name": "one", "evaluation": {compare.EVALUATION: {}}, "training": training})
    assert compare._training(kept)[2:4] == ["attention 27.1, age 4.9", "attention: 2 cores; age: a GPU"]
    del taken["machine"]
    compare.keep_card(kept, {"name": "one", "evaluation": {compare.EVALUATION: {}}, "training": training})
    assert compare._training(kept)[3] == "a GPU"


@pytest.mark.parametrize(("kept", "count"), [({"n": 105, "both": 103}, 103), ({"n": 105}, 104), ({}, 1253)])
def test_the_worst_copy_and_the_wrist_say_of_how_many_radiographs(kept, count):
    shares = dict.fromkeys(("within_6", "within_12", "within_18", "within_24"), 50.0)
    errors = {"n": 1250, "refused": 4, "mae_months": 7.0, "rmse_months": 9.0, "r2": 0.9, "bias_months": 0.1, **shares}
    classes = dict.fromkeys(("accuracy", "precision", "recall", "f1"), 0.5)
    copies = {"flat": {"change_months": 0.5, "refused": 1, **kept}, "mirrored": {"change_months": 0.1, "refused": 0}}
    figures = {**errors, "classes": classes, "robustness": copies}
    figures["attention"] = {"images": 144, "wrist_covered_by_carpal_region": 0.74}
    cells = compare._errors({"preset": "one", "evaluation": figures})
    assert cells[-2:] == [f"+0.50 (flat, n = {count})", "74 % (n = 144)"]


def test_the_table_names_every_worse_copy():
    assert ", ".join(COPIES) in compare.markdown([])


def test_the_operations_of_a_network_are_those_of_its_convolutions_and_products():
    kernel = numpy_helper.from_array(np.zeros((4, 2, 3, 3), np.float32), "kernel")
    matrix = numpy_helper.from_array(np.zeros((4, 5), np.float32), "matrix")
    nodes = [
        helper.make_node("Conv", ["image", "kernel"], ["map"], pads=[1, 1, 1, 1], strides=[2, 2]),
        helper.make_node("ReduceMean", ["map"], ["pooled"], axes=[2, 3], keepdims=0),
        helper.make_node("MatMul", ["pooled", "matrix"], ["age"]),
    ]
    given = [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 2, 8, 8])]
    answer = [helper.make_tensor_value_info("age", TensorProto.FLOAT, ["n", 5])]
    graph = helper.make_graph(nodes, "network", given, answer, [kernel, matrix])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    assert costs.flop(model) == 2 * (4 * 4 * 4 * 2 * 3 * 3 + 4 * 5)


def test_every_figure_of_the_documented_table_is_of_a_preset_and_from_a_card():
    rows = json.loads((compare.DOCS / "comparison.json").read_text())["systems"]
    assert [one["preset"] for one in rows] == list(presets.PRESETS)
    for one in rows:
        assert ("evaluation" in one) == (one["status"] != compare.NOT_TRAINED)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--evaluation", "both"], "give it as NAME=DIR"),
        (["--evaluation", "nobody=here"], "give it as NAME=DIR, the name of a preset: by_sex, never, both."),
        (["--evaluation", "both=missing"], "metrics.json is not there: write it with inference.training.evaluate"),
        (["--evaluation", "both=broken"], "is not what inference.training.evaluate writes."),
        (["--evaluation", "both=other"], "is of never, not of both."),
        (["--evaluation", "both=train"], "is of train full_size, not of the validation radiographs, as the table is."),
        (["--measure", "both"], "There is no preset 'both' to measure. Choose from: by_sex, never."),
    ],
)
def test_a_wrong_input_is_told_before_anything_is_measured_or_written(
    few_systems, tmp_path, monkeypatch, capsys, arguments, told
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(compare, "measure", lambda *of: pytest.fail("measured"))
    of_train = {"model": "both 1", "n": 1, "data": "train full_size"}
    for name, text in (
        ("broken", "{"),
        ("other", json.dumps({"model": "never 1", "n": 1})),
        ("train", json.dumps(of_train)),
    ):
        (tmp_path / name).mkdir()
        (tmp_path / name / "metrics.json").write_text(text)
    with pytest.raises(SystemExit):
        run(compare, "--docs", tmp_path / "docs", *arguments)
    assert told in capsys.readouterr().err
    assert not (tmp_path / "docs").exists()


def test_a_table_that_cannot_be_made_leaves_the_one_before(few_systems, tmp_path, monkeypatch):
    (tmp_path / "comparison.md").write_text("before")
    (tmp_path / "metrics.json").write_text(json.dumps({"model": "both 1", "n": 1}))
    with pytest.raises(KeyError):
        run(compare, "--docs", tmp_path, "--measure", "--evaluation", f"both={tmp_path}")
    assert (tmp_path / "comparison.md").read_text() == "before"
    assert not (tmp_path / "comparison.json").exists()
