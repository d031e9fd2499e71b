import json

import pytest

from inference.engine.weights import available_models, fingerprint


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "card.json").write_text(json.dumps({"name": "m", "version": "1", "interval": {"quantile": 1.6}}))
    (tmp_path / "age.onnx").write_bytes(b"weights")
    (tmp_path / "MODEL_CARD.md").write_text("# m")
    return tmp_path


def change_card(folder, **values):
    card = json.loads((folder / "card.json").read_text()) | values
    (folder / "card.json").write_text(json.dumps(card, indent=2))


def test_figures_and_text_added_later_leave_the_fingerprint(folder):
    before = fingerprint(folder)
    change_card(folder, evaluation={"test": {"mae_months": 7.0}})
    (folder / "MODEL_CARD.md").write_text("# another text")
    (folder / ".DS_Store").write_text("")
    assert fingerprint(folder) == before


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: (folder / "age.onnx").write_bytes(b"weightz"),
        lambda folder: (folder / "age.onnx").rename(folder / "other.onnx"),
        lambda folder: (folder / "more.onnx").write_bytes(b""),
        lambda folder: change_card(folder, interval={"quantile": 1.7}),
        lambda folder: change_card(folder, preprocessing=3),
    ],
)
def test_whatever_decides_an_answer_changes_the_fingerprint(folder, change):
    before = fingerprint(folder)
    change(folder)
    assert fingerprint(folder) != before


@pytest.mark.parametrize(
    "card",
    [
        "{",
        "[]",
        '{"name": "m"}',
        '{"name": "m", "version": 1}',
        '{"name": "%s", "version": "1"}' % ("m" * 101),
        '{"name": "m", "version": "1", "evaluation": null}',
        '{"name": "m", "version": "1", "evaluation": {"validation": 7}}',
        '{"name": "m", "version": "1", "evaluation": {"validation": {"mae_months": NaN}}}',
    ],
)
def test_a_card_that_cannot_be_kept_and_shown_is_listed_with_its_problem(folder, monkeypatch, card):
    (folder / "card.json").write_text(card)
    monkeypatch.setenv("BONEAGE_WEIGHTS", str(folder.parent))
    [found] = [model for model in available_models() if model.path == folder]
    assert "cannot be read" in found.problem
