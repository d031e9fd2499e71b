import json

import cv2
import pytest

from inference.engine.__main__ import main
from tests.model_files import from_elsewhere


def test_grad_cam_of_a_model_from_elsewhere_is_one_line_on_standard_error(radiograph, tmp_path, monkeypatch, capsys):
    from_elsewhere(tmp_path / "other")
    monkeypatch.setenv("BONEAGE_WEIGHTS", str(tmp_path))
    asked = ["--model", "other", "--explain", "gradcam", "--out", str(tmp_path / "map.png")]
    assert main([str(radiograph), "--sex", "F", *asked]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert "occlusion map" in line


def test_a_model_that_reads_no_number_is_one_line_on_standard_error(radiograph, tmp_path, monkeypatch, capsys):
    from_elsewhere(tmp_path / "other", age=float("nan"))
    monkeypatch.setenv("BONEAGE_WEIGHTS", str(tmp_path))
    assert main([str(radiograph), "--sex", "F", "--model", "other"]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert "gave nan for a radiograph: no age" in line


@pytest.fixture
def radiograph(hands, tmp_path):
    path = tmp_path / "hand.png"
    cv2.imwrite(str(path), hands[2])
    return path


def test_a_radiograph_prints_one_json_line(load_tiny, radiograph, capsys):
    assert main([str(radiograph), "--sex", "F", "--model", "tiny"]) == 0
    [line] = capsys.readouterr().out.splitlines()
    answer = json.loads(line)
    assert set(answer) == {"bone_age_months", "interval", "regions", "notes", "model", "milliseconds"}
    low, high = answer["interval"]
    assert low <= answer["bone_age_months"] <= high
    assert answer["model"] == "tiny test"


def test_a_bad_file_is_one_line_on_standard_error(load_tiny, tmp_path, capsys):
    (tmp_path / "notes.png").write_text("not a picture")
    assert main([str(tmp_path / "notes.png"), "--sex", "M", "--model", "tiny"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert len(err.splitlines()) == 1


def test_a_missing_file_is_one_line_on_standard_error(load_tiny, tmp_path, capsys):
    assert main([str(tmp_path / "none.png"), "--sex", "M", "--model", "tiny"]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_missing_weights_are_one_line_on_standard_error(tiny, radiograph, monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("BONEAGE_WEIGHTS", str(tmp_path))
    assert main([str(radiograph), "--sex", "M", "--model", "tiny"]) == 2
    assert "There are no weights of 'tiny'" in capsys.readouterr().err


@pytest.mark.parametrize("method", ["occlusion", "gradcam"])
def test_an_explanation_is_drawn_over_the_radiograph(load_tiny, radiograph, tmp_path, capsys, method):
    out = tmp_path / "map.png"
    assert main([str(radiograph), "--sex", "F", "--model", "tiny", "--explain", method, "--out", str(out)]) == 0
    drawn, plain = cv2.imread(str(out)), cv2.imread(str(radiograph))
    assert drawn.shape == plain.shape
    assert not (drawn == drawn[..., :1]).all()
    assert "bone_age_months" in json.loads(capsys.readouterr().out)


def test_an_explanation_needs_a_place_to_go(load_tiny, radiograph, capsys):
    with pytest.raises(SystemExit) as stopped:
        main([str(radiograph), "--sex", "F", "--model", "tiny", "--explain", "occlusion"])
    assert stopped.value.code == 2
    assert "--out" in capsys.readouterr().err


def test_an_explanation_that_cannot_be_written_is_one_line_on_standard_error(load_tiny, radiograph, tmp_path, capsys):
    out = tmp_path / "none" / "map.png"
    assert main([str(radiograph), "--sex", "F", "--model", "tiny", "--explain", "occlusion", "--out", str(out)]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
