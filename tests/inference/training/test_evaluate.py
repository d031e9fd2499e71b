import json

import numpy as np
import pytest

from inference.engine import Prediction, Refusal
from inference.training import card, compare, evaluate
from inference.training.datasets import Dataset, Label, read_dataset


class Picky:
    """Reads the grey of an image as months, and refuses what is darker than 60."""

    name = "picky"
    has_attention = False

    def predict(self, images, sexes):
        return [
            Prediction(float(image.mean()), 0.0, 240.0, {}, None, 1.0)
            if image.mean() >= 60
            else Refusal("dark", "It is dark.", 1.0)
            for image in images
        ]


def test_a_worse_copy_is_compared_on_the_radiographs_that_were_read_both_ways(monkeypatch):
    """The one that is read badly is refused as a copy: without the pairs that would look like an improvement."""
    monkeypatch.setattr(evaluate, "is_inverted", lambda image: False)
    monkeypatch.setattr(evaluate, "COPIES", {"darker": lambda image: image - 20, "nothing": lambda image: image // 9})
    months = {70: 10, 100: 100, 120: 120, 40: 40}
    images = [np.full((8, 8), grey, np.uint8) for grey in months]
    data = Dataset([Label(str(grey), float(age), "F", "val") for grey, age in months.items()], images)
    rows = evaluate.robustness(Picky(), data, evaluate.evaluate(Picky(), data))
    assert rows["darker"] == {"n": 4, "both": 2, "mae_months": 20.0, "change_months": 20.0, "refused": 2}
    # Not NaN, which a database takes in no card.
    assert rows["nothing"] == {"n": 4, "both": 0, "mae_months": None, "change_months": None, "refused": 4}


def test_where_none_was_read_a_sentence_says_so_and_the_cases_say_why(monkeypatch, tmp_path):
    data = Dataset([Label("1", 100.0, "F", "val")], [np.full((8, 8), 40, np.uint8)])
    monkeypatch.setattr(evaluate, "is_inverted", lambda image: False)
    for find in ("read_dataset", "find_radiographs"):
        monkeypatch.setattr(evaluate, find, lambda *where, **options: data)
    monkeypatch.setattr(evaluate.BoneAgeModel, "load", lambda *named: Picky())
    with pytest.raises(SystemExit, match="picky read none of 1 radiographs"):
        evaluate.main(["--data", str(tmp_path), "--out", str(tmp_path / "out")])
    assert "1,F,100,,,,,dark" in (tmp_path / "out" / "cases.csv").read_text()


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--data", "absent"], "absent holds none of labels.csv, rsna_labels.csv and boneage-training-dataset.csv"),
        (["--split", "test"], "has no image of the split 'test'."),
        (["--images", "native"], "has no image of the split 'val' in zips and folders named 'native'."),
        (["--boxes", "absent.csv"], "absent.csv is not there; --marked 0 measures no attention by marks."),
        (["--masks", "absent.zip"], "absent.zip is not there"),
        (["--boxes", "boxes.csv"], "has no training radiograph that boxes.csv marks; --marked 0 leaves that out."),
        (["--boxes", "columns.csv"], "columns.csv has no column region, ymax: its columns are separated by commas."),
        (["--boxes", "words.csv"], "words.csv, line 2: 0, 0, 1, one are no corners of a box."),
        (["--masks", "boxes.csv"], "boxes.csv is no zip of masks."),
        (["--masks", "."], ". is no zip of masks."),
        (["--model", "nobody"], "There is no preset 'nobody'"),
    ],
)
def test_what_is_missing_is_told_before_anything_is_read(radiographs, tmp_path, monkeypatch, capsys, options, told):
    (tmp_path / "boxes.csv").write_text("id,region,xmin,ymin,xmax,ymax\n30,Wrist,0,0,1,1\n")  # of validation
    (tmp_path / "columns.csv").write_text("id,xmin,ymin,xmax\n10,0,0,1\n")
    (tmp_path / "words.csv").write_text("id,region,xmin,ymin,xmax,ymax\n10,Wrist,0,0,1,one\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(evaluate, "read_dataset", lambda *where, **options: pytest.fail("read"))
    attentive = Picky()
    attentive.has_attention = True
    load = evaluate.BoneAgeModel.load
    monkeypatch.setattr(evaluate.BoneAgeModel, "load", lambda name, *how: load(name) if name == "nobody" else attentive)
    with pytest.raises(SystemExit):
        evaluate.main(["--data", str(radiographs), "--out", str(tmp_path / "out"), *options])
    assert told in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_one_radiograph_is_measured_and_the_copies_that_are_all_refused_have_no_error(
    radiographs, tmp_path, monkeypatch
):
    monkeypatch.setattr(evaluate, "read_dataset", lambda *where, **how: read_dataset(*where, limit=1))
    monkeypatch.setattr(evaluate, "COPIES", {"darker": lambda image: image // 9})
    monkeypatch.setattr(evaluate.BoneAgeModel, "load", lambda *named: Picky())
    monkeypatch.setattr(Picky, "version", "1", raising=False)
    monkeypatch.setattr(Picky, "predict", read_unless_dark)
    quick = ["--phantoms", "0", "--non-hands", "0"]
    evaluate.main(["--data", str(radiographs), "--out", str(tmp_path), *quick])
    assert "RMSE" in (tmp_path / "report.md").read_text()
    assert "| darker | 1 | 0 | – | – | 1 |" in (tmp_path / "report.md").read_text()
    assert "NaN" not in (tmp_path / "metrics.json").read_text()
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert "| darker | – | – | 1 |" in "\n".join(card._details(metrics))
    assert compare._errors({"preset": "picky", "evaluation": metrics})[4::10] == ["–", "–"]


def read_unless_dark(model, images, sexes):
    return [
        Refusal("dark", "It is dark.", 1.0)
        if image.max() < 40
        else Prediction(float(image.mean()), 0.0, 240.0, {}, None, 1.0)
        for image in images
    ]


def test_the_coverage_of_radiographs_that_fitted_nothing_is_told(radiographs, tmp_path, monkeypatch):
    monkeypatch.setattr(evaluate.BoneAgeModel, "load", lambda *named: Picky())
    monkeypatch.setattr(Picky, "version", "1", raising=False)
    for split in ("val", "train"):
        quick = ["--phantoms", "0", "--non-hands", "0", "--robustness", "0", "--split", split]
        evaluate.main(["--data", str(radiographs), "--out", str(tmp_path / split), *quick])
    of_val, of_train = ((tmp_path / split / "report.md").read_text() for split in ("val", "train"))
    assert "90 % interval: covers" in of_train
    assert "covers" not in of_val
    assert "another split, tell its coverage" in of_val
