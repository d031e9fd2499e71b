import json

import cv2
import pytest

from inference.engine.__main__ import main


@pytest.fixture
def radiograph(hands, tmp_path):
    path = tmp_path / "hand.png"
    cv2.imwrite(str(path), hands[2])
    return path


def test_a_radiograph_prints_one_json_line(load_tiny, radiograph, capsys):
    assert main([str(radiograph), "--sex", "F", "--model", "tiny"]) == 0
    [line] = capsys.readouterr().out.splitlines()
    answer = json.loads(line)
    assert set(answer) == {"bone_age_months", "interval", "regions", "model", "milliseconds"}
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
