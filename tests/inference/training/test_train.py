import csv
import json
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest

from inference.engine import BoneAgeModel, Prediction, presets
from inference.engine.networks import age_network, attention_network
from inference.engine.presets import preset
from inference.engine.weights import load_arrays, save_arrays
from inference.training import calibrate, card, evaluate, export, quantize, record, train
from inference.training import orientation as fit_orientation
from inference.training.datasets import Dataset, OnDemand


@pytest.fixture(autouse=True)
def few_phantoms(monkeypatch):
    monkeypatch.setattr(calibrate, "PHANTOMS", 4)
    monkeypatch.setattr(calibrate, "GATE_PHANTOMS", 4)
    monkeypatch.setattr(calibrate, "FEWEST", 16)


def test_from_radiographs_to_a_report(tiny, radiographs, tmp_path, monkeypatch, capsys):
    """Every step by its command: training both stages, exporting, reading, evaluating."""
    data, run, weights, out = (str(path) for path in (radiographs, tmp_path / "run", tmp_path / "w", tmp_path / "out"))
    train.main(["--preset", "tiny", "--data", data, "--run", run, "--phantoms", "8"])
    boxes = np.load(tmp_path / "run" / "regions_train.npz")
    assert boxes["carpal"].shape == boxes["metacarpal"].shape == (32, 4)
    [told] = [json.loads(line) for line in capsys.readouterr().out.splitlines() if "heat_in_hand" in line]
    assert 0.2 < told["heat_in_hand_times_uniform"] < 5
    history = json.loads((tmp_path / "run" / "age.json").read_text())["history"]
    assert [row["epoch"] for row in history] == [1, 2]

    export.main(["--preset", "tiny", "--data", data, "--run", run, "--out", weights])
    monkeypatch.setenv("BONEAGE_WEIGHTS", weights)
    model = BoneAgeModel.load("tiny")
    assert model.card["validation"]["n"] == 16
    assert model.card["training"]["citation"] == card.AS_GIVEN
    assert model.card["training"]["data"] == "24 radiographs of 160 x 200 pixels, and 8 drawn phantoms"
    assert "24 radiographs to train on, 16 to validate; none" in (tmp_path / "w" / "tiny" / "MODEL_CARD.md").read_text()
    assert model.card["int8"]["n"] == 16
    assert (tmp_path / "w" / "tiny" / "age.int8.onnx").exists() == model.card["int8"]["kept"]

    evaluate.main(["--data", data, "--model", "tiny", "--out", out, "--phantoms", "4", "--robustness", "4"])
    figures = json.loads((tmp_path / "out" / "metrics.json").read_text())
    with (tmp_path / "out" / "cases.csv").open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    errors = [abs(float(row["error"])) for row in rows if not row["refused"]]
    assert set(figures) >= {
        *("n", "mae_months", "mae_ci95", "rmse_months", "mse", "r2", "bias_months", "by_sex", "by_age_band", "refused"),
        *("within_6", "within_12", "within_18", "within_24", "classes", "interval90", "attention", "robustness"),
    }
    assert set(figures["classes"]) == {"accuracy", "precision", "recall", "f1"}
    assert set(figures["interval90"]) >= {"coverage", "mean_width_months", "by_sex", "by_age_band"}
    assert figures["interval90"]["in_sample"]
    assert 0 < figures["attention"]["heat_in_hand"] < 1
    assert list(rows[0]) == ["id", "sex", "truth", "prediction", "low", "high", "error", "refused"]
    assert len(rows) == 16
    assert figures["n"] == len(errors)
    assert figures["mae_months"] == pytest.approx(np.mean(errors), abs=0.01)
    assert set(figures["robustness"]) >= {"mirrored", "flat", "inverted"}
    report = (tmp_path / "out" / "report.md").read_text()
    assert "MAE" in report
    assert "fitted on validation radiographs" in report
    assert "covers" not in report
    assert (tmp_path / "out" / "bland_altman.png").stat().st_size > 1000

    sample = evaluate.read_dataset(radiographs, "val", limit=4)
    of_onnx, of_keras = (
        BoneAgeModel.load("tiny", runtime).predict(sample.images, [label.sex for label in sample.labels])
        for runtime in ("onnx", "tensorflow")
    )
    for one, other in zip(of_onnx, of_keras, strict=True):
        assert type(one) is type(other)
        if isinstance(one, Prediction):
            assert one.bone_age_months == pytest.approx(other.bone_age_months, abs=0.1)


def test_the_views_can_be_made_on_the_accelerator(tiny, radiographs, tmp_path, eagerly):
    run = tmp_path / "run"
    train.main(["--preset", "tiny", "--data", str(radiographs), "--run", str(run), "--accelerated"])
    assert len(json.loads((run / "age.json").read_text())["history"]) == 2
    assert "--accelerated" in json.loads((run / "record.json").read_text())["commands"][0]


def test_the_record_says_what_was_read(drawn):
    measured, halves = record.Measured(lambda image: image[:8, :8]), drawn.at(range(4))
    for shape in ((1200, 900), (30, 20), (2570, 2000), (40, 20)):
        measured(np.zeros(shape, np.uint8))
    on_demand = Dataset(drawn.labels, OnDemand(lambda image: image, drawn.images))
    read = record.what_was_read(on_demand, measured, halves, "half_native", 1400, drawn.at([0]))
    assert read["data"] == (
        "40 radiographs of 20 x 30 to 2,000 x 2,570 pixels, by a sample of them, and 4 other copies of them "
        "(half_native), and 1,400 drawn phantoms"
    )
    assert read["split"] == "40 radiographs to train on, 1 to validate; 1 of them in both"
    assert read["citation"] == card.AS_GIVEN
    of_rsna = Dataset([replace(drawn.labels[0], id=id) for id in ("1389", "1390", "16")], drawn.images[:3])
    assert "Halabi" in record.what_was_read(on_demand, measured, None, "", 0, of_rsna)["citation"]
    measured.shapes = {(299, 299)}
    read = record.what_was_read(drawn.at([0]), measured, None, "", 0, drawn.at([1]))
    assert read["data"] == "1 radiographs of 299 x 299 pixels"
    assert read["split"] == "1 radiographs to train on, 1 to validate; none of them in both"


def test_too_few_radiographs_are_not_exported_over_what_is_there(tiny, radiographs, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(calibrate, "FEWEST", 20)
    monkeypatch.setattr(calibrate.BoneAgeModel, "load", lambda *named: None)
    monkeypatch.setattr(export, "require_finished", lambda *named: None)
    (tmp_path / "tiny").mkdir()
    (tmp_path / "tiny" / "card.json").write_text(json.dumps({"name": "tiny"}))
    data = ["--data", str(radiographs)]
    for command in (
        lambda: export.main(["--preset", "tiny", *data, "--run", str(tmp_path), "--out", str(tmp_path)]),
        lambda: calibrate.main(["--weights", str(tmp_path / "tiny"), *data]),
    ):
        with pytest.raises(SystemExit):
            command()
        assert "There are 16 radiographs of the split 'val': gate and interval need 20" in capsys.readouterr().err
    assert (tmp_path / "tiny" / "card.json").exists()


def test_a_run_recorded_earlier_keeps_the_sentences_of_its_card(tiny, tmp_path):
    (tmp_path / "record.json").write_text(json.dumps({"commands": []}))
    for name in ("attention", "age"):
        (tmp_path / f"{name}.json").write_text("{}")
    assert export.training_record(tmp_path, tiny)["split"].startswith("10,746 radiographs to train on, 1,254 to")


@pytest.fixture
def earlier(tiny, tmp_path, monkeypatch, eagerly):
    """tiny as exported, and a preset of the same stage 1 whose age network sees the whole hand larger than tiny's."""
    larger = replace(tiny.age.branches["whole"], size=64)
    branches, fit = {**tiny.age.branches, "whole": larger}, replace(tiny.age.fit, epochs=1)
    age = replace(tiny.age, branches=branches, fit=fit, start_from_attention=False)
    later = replace(tiny, name="later", age=age)
    other = replace(tiny, name="other", age=replace(tiny.age, branches={"whole": larger}))
    for number, one in enumerate((tiny, other)):
        monkeypatch.setitem(presets.PRESETS, one.name, one)
        folder = tmp_path / "weights" / one.name
        folder.mkdir(parents=True)
        keras.utils.set_random_seed(number)
        save_arrays(attention_network(one).get_weights(), folder / "attention.npz")
        save_arrays(age_network(one).get_weights(), folder / "age.npz")
        fit = {"steps": 6, "seconds": 2.5, "history": [{"epoch": 1}]}
        told = {"commands": [f"train --preset {one.name}"], "commit": "c0ffee", "machine": "a GPU"}
        (folder / "card.json").write_text(
            json.dumps({"version": f"2026-{one.name}", "training": {**told, "fits": {"attention": fit, "age": fit}}})
        )
    monkeypatch.setitem(presets.PRESETS, "later", later)
    monkeypatch.setenv("BONEAGE_WEIGHTS", str(tmp_path / "weights"))
    return tmp_path / "weights"


def test_a_run_goes_on_from_exported_models(earlier, radiographs, tmp_path):
    """Stage 1 as it is, every branch of stage 2 from the model that has the same one, one of them frozen."""
    run = tmp_path / "run"
    options = ["--attention-of", "tiny", "--start", "tiny", "other", "--frozen", "whole", "--learning-rate", "1e-3"]
    train.main(["--preset", "later", "--data", str(radiographs), "--run", str(run), *options])
    later = presets.preset("later")
    started, fitted = age_network(later), age_network(later)
    train.start_branches(started, later, ["tiny", "other"])
    fitted.set_weights(load_arrays(run / "age.npz"))
    for view, source in (("carpal", "tiny"), ("metacarpal", "tiny"), ("whole", "other")):
        theirs = age_network(presets.preset(source))
        theirs.set_weights(load_arrays(earlier / source / "age.npz"))
        first = [network.get_layer(f"{view}_branch").get_weights()[0] for network in (started, theirs, fitted)]
        assert np.array_equal(first[0], first[1])
        assert np.array_equal(first[0], first[2]) == (view == "whole")
    assert (run / "attention.npz").read_bytes() == (earlier / "tiny" / "attention.npz").read_bytes()
    assert json.loads((run / "attention.json").read_text())["taken_from"] == "tiny 2026-tiny"
    kept = json.loads((run / "record.json").read_text())
    assert [origin["model"] for origin in kept["started_from"]] == ["tiny 2026-tiny", "other 2026-other"]
    assert " ".join(options).replace("1e-3", "0.001") in kept["commands"][0]
    told = card.markdown(
        {"name": "later", "version": "1", "not_for": "", "training": export.training_record(run, later)}
    )
    assert "- attention: 6 steps in 0 minutes on a GPU, taken from tiny 2026-tiny\n" in told
    assert "- Its age network started from other 2026-other (a GPU):\n    - `train --preset other`\n" in told


def test_a_run_goes_on_from_the_same_preset_with_all_that_it_has(earlier, radiographs, tmp_path):
    """The head too, not the branches alone; seen at a learning rate so small that the weights hardly move."""
    run = tmp_path / "run"
    options = ["--attention-of", "tiny", "--start", "tiny", "--learning-rate", "1e-9"]
    train.main(["--preset", "tiny", "--data", str(radiographs), "--run", str(run), *options])
    for before, after in zip(load_arrays(earlier / "tiny" / "age.npz"), load_arrays(run / "age.npz"), strict=True):
        np.testing.assert_allclose(before, after, atol=1e-3)


def test_the_card_tells_every_start_back_to_the_first(earlier, radiographs, tmp_path):
    training = json.loads((earlier / "other" / "card.json").read_text())
    training["training"] |= {"started_from": [record.origin("tiny")], "notes": ["Ended by a deadline."]}
    (earlier / "other" / "card.json").write_text(json.dumps(training))
    told = "\n".join(card._origins([record.origin("other")]))
    assert told == (
        "- Its age network started from other 2026-other (a GPU):\n    - `train --preset other`\n"
        "    - Ended by a deadline.\n    - That started from tiny 2026-tiny (a GPU):\n        - `train --preset tiny`"
    )


def test_what_a_run_cannot_go_on_from_is_said(earlier, radiographs, tmp_path, monkeypatch, capsys):
    begun = ["--preset", "later", "--data", str(radiographs), "--run", str(tmp_path / "run")]
    monkeypatch.setattr(train, "read_dataset", lambda *where, **options: pytest.fail("read"))
    for options, told in (
        (["--attention-of", "tiny", "--start", "tiny"], "None of tiny has the branch whole of later"),
        (["--attention-of", "tiny", "--start", "vit"], "There are no weights of 'vit'"),
        (["--attention-of", "two_stage"], "two_stage has another attention stage than later"),
        (["--attention-of", "nobody"], "There is no preset 'nobody'"),
        (["--stage", "regions"], "has no attention network yet: run --stage attention first."),
        (["--stage", "age"], "has no regions yet: run --stage regions first."),
        (["--minutes", "0"], "argument --minutes: 0 is not above 0."),
        (["--phantoms", "-3"], "argument --phantoms: -3 is below 0."),
        (["--frozen", "thumb"], "later has no branch thumb. Choose from: carpal, metacarpal, whole."),
        (["--preset", "vit", "--start", "tiny"], "vit has"),
        (["--preset", "vit", "--learning-rate", "1e-4"], "vit has"),
    ):
        with pytest.raises(SystemExit):
            train.main([*begun, *options])
        assert told in capsys.readouterr().err


def test_branches_fitted_alone_first_are_where_the_joint_fit_starts(tiny, radiographs, tmp_path, monkeypatch, eagerly):
    alone = replace(tiny.age.fit, epochs=1)
    published = replace(tiny, name="published", age=replace(tiny.age, alone=alone, start_from_attention=False))
    monkeypatch.setitem(presets.PRESETS, "published", published)
    run = tmp_path / "run"
    train.main(["--preset", "published", "--data", str(radiographs), "--run", str(run), "--frozen", *tiny.age.branches])
    together = age_network(published)
    together.set_weights(load_arrays(run / "age.npz"))
    for view in tiny.age.branches:
        network = age_network(published, (view,))
        network.set_weights(load_arrays(run / f"age_{view}.npz"))
        for one, other in zip(
            together.get_layer(f"{view}_branch").get_weights(),
            network.get_layer(f"{view}_branch").get_weights(),
            strict=True,
        ):
            assert np.array_equal(one, other)


@pytest.mark.parametrize("began", ["--preset two_stage --stage all", "--preset tiny --stage all --rehearse"])
def test_a_run_of_another_preset_or_of_a_rehearsal_is_not_gone_on_with(tiny, radiographs, tmp_path, capsys, began):
    command = f"python -m inference.training.train {began} --seed 1"
    (tmp_path / "record.json").write_text(json.dumps({"commands": [command]}))
    with pytest.raises(SystemExit):
        train.main(["--preset", "tiny", "--data", str(radiographs), "--run", str(tmp_path)])
    assert f"began otherwise: `{command}`" in capsys.readouterr().err


def test_a_stage_goes_on_with_the_settings_that_it_began_with_or_not_at_all(
    earlier, radiographs, tmp_path, capsys, eagerly
):
    begun = ["--preset", "tiny", "--data", str(radiographs), "--run", str(tmp_path / "run")]
    started = ["--start", "tiny", "--frozen", "whole", "carpal"]
    train.main([*begun, "--stage", "attention"])
    train.main([*begun, "--stage", "regions"])
    train.main([*begun, "--stage", "age", *started])  # a stage of its own
    for stage, options, told in (
        ("attention", ["--precision", "mixed_bfloat16"], "began with `--precision float32`, and would go on with that"),
        ("age", ["--start", "tiny"], "not with `--precision float32 --start tiny`. Give the same again, or name"),
        ("age", [], "began with `--precision float32 --start tiny --frozen carpal whole`"),
        ("all", started[:4], "not with `--precision float32 --start tiny --frozen whole`"),
    ):
        with pytest.raises(SystemExit):
            train.main([*begun, "--stage", stage, *options])
        assert told in capsys.readouterr().err
    train.main([*begun, "--precision", "float32", *started[:2], "--frozen", "carpal", "whole"])
    for checkpoint in (tmp_path / "run").glob("age*"):
        checkpoint.unlink()
    train.main([*begun, "--stage", "age", "--start", "tiny"])
    assert json.loads((tmp_path / "run" / "record.json").read_text())["began"]["age"].endswith("--start tiny")


def test_an_interrupted_taking_of_stage_1_leaves_the_run_as_it_was(earlier, tiny, tmp_path, monkeypatch):
    def interrupted(source, target):
        Path(target).write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(train.shutil, "copy2", interrupted)
    (tmp_path / "attention.npz").write_bytes(b"before")
    with pytest.raises(KeyboardInterrupt):
        train.take_attention(tiny, tmp_path, "tiny")
    assert (tmp_path / "attention.npz").read_bytes() == b"before"
    assert not (tmp_path / "attention.json").exists()


@pytest.mark.parametrize(("of_train", "of_val", "told"), [(3, 16, "regions_train.npz"), (24, 3, "regions_val.npz")])
def test_regions_of_other_radiographs_are_not_trained_on(tiny, radiographs, tmp_path, capsys, of_train, of_val, told):
    for name, many in (("train", of_train), ("val", of_val)):
        np.savez(tmp_path / f"regions_{name}.npz", carpal=np.zeros((many, 4)), metacarpal=np.zeros((many, 4)))
    with pytest.raises(SystemExit):
        train.main(["--preset", "tiny", "--data", str(radiographs), "--run", str(tmp_path), "--stage", "age"])
    assert f"{told} is of other radiographs: run --stage regions again." in capsys.readouterr().err


@pytest.mark.parametrize(
    ("command", "arguments", "told"),
    [
        (train, ["--run", "run", "--data", "absent"], "absent holds none of labels.csv"),
        (train, ["--run", "run", "--data", "torn"], "File is not a zip file"),
        (export, ["--preset", "nobody", "--out", "out"], "There is no preset 'nobody'"),
        (export, ["--preset", "ensemble_whole_hand", "--out", "out"], "There are no weights of 'efficientnet_b0'"),
        (export, ["--preset", "tiny", "--run", "absent", "--out", "out"], "absent has no record.json: it is no run of"),
        (calibrate, ["--weights", "absent"], "absent is no folder of a model."),
        (quantize, ["--weights", "absent"], "absent is no folder of a model."),
        (card, ["--weights", "absent"], "No such file or directory: 'absent/card.json'"),
        (fit_orientation, ["--data", "absent"], "absent holds none of labels.csv"),
    ],
)
def test_what_a_command_lacks_is_a_sentence_and_nothing_exported_before_is_lost(
    tiny, radiographs, tmp_path, monkeypatch, capsys, command, arguments, told
):
    monkeypatch.setenv("BONEAGE_WEIGHTS", str(tmp_path / "out"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "torn").mkdir()
    (tmp_path / "torn" / "labels.csv").write_text("id,bone_age_months,sex,split\n1,100,F,train\n")
    (tmp_path / "torn" / "train.zip").write_bytes(b"PK")
    for name in ("tiny", "ensemble_whole_hand"):
        (tmp_path / "out" / name).mkdir(parents=True)
        (tmp_path / "out" / name / "card.json").write_text(json.dumps({"name": name}))
    data = [] if command is card or "--data" in arguments else ["--data", str(radiographs)]
    with pytest.raises(SystemExit):
        command.main([*arguments, *data])
    assert told in capsys.readouterr().err
    assert len(list((tmp_path / "out").glob("*/card.json"))) == 2


def test_the_shipped_preset_has_the_networks_of_its_figures():
    compact = preset("two_stage_compact")
    heat = attention_network(compact).get_layer("heat").output
    assert tuple(heat.shape) == (None, 12, 12)
    assert {tensor.name for tensor in age_network(compact).inputs} == {"carpal", "metacarpal", "whole", "male"}
