import json

import pytest

from inference.training import card

CHECK = {"n": 600, "coverage": 0.905, "coverage_ci95": [0.879, 0.926], "mean_width_months": 40.1}


@pytest.fixture
def weights(tmp_path):
    """A weights folder with the card that an export leaves."""
    figures = {
        "name": "tiny",
        "version": "1",
        "not_for": card.NOT_FOR,
        "interval_check": {**CHECK, "by_sex": {"F": CHECK}, "by_age_band": {"0-4 y": CHECK}},
        "training": {
            "data": "drawn hands",
            "citation": card.CITATION,
            "split": "none in both",
            "commit": "abc",
            "commands": ["python -m inference.training.train"],
            "machine": "2 cores",
            "fits": {"age": {"steps": 10, "seconds": 120.0}},
        },
    }
    (tmp_path / "card.json").write_text(json.dumps(figures))
    return tmp_path


def test_the_card_says_how_it_was_trained_and_what_it_is_not_for(weights):
    card.main(["--weights", str(weights)])
    text = (weights / "MODEL_CARD.md").read_text()
    assert "Not for diagnosis" in text
    assert "Halabi" in text
    assert "age: 10 steps in 2 minutes on 2 cores" in text
    assert "| 0-4 y | 600 | 90.5 | 87.9 to 92.6 | 40.1 |" in text


def test_the_radiographs_of_another_source_have_no_terms_of_the_challenge(weights):
    figures = json.loads((weights / "card.json").read_text())
    assert "research and education" in card.markdown(figures)
    figures["training"]["citation"] = card.AS_GIVEN
    text = card.markdown(figures)
    assert "drawn hands. Their source is that of the folder given with --data." in text
    assert "Halabi" not in text
    assert "research and education" not in text


def test_an_evaluation_becomes_a_column(weights, tmp_path):
    folder = tmp_path / "evaluation"
    folder.mkdir()
    group = {"n": 3, "mae_months": 7.5, "bias_months": -0.5}
    metrics = {"n": 3, "mae_months": 7.5, "mae_ci95": [7.0, 8.0], "by_sex": {"F": group}, "refused": 0}
    (folder / "metrics.json").write_text(json.dumps(metrics))
    card.main(["--weights", str(weights), "--evaluation", f"validation={folder}"])
    text = (weights / "MODEL_CARD.md").read_text()
    assert "| MAE, months | 7.50 |" in text
    assert "| its 95 % interval | 7.00 to 8.00 |" in text
    assert "| F | 3 | 7.50 | -0.50 |" in text
    assert json.loads((weights / "card.json").read_text())["evaluation"]["validation"]["n"] == 3


def test_an_evaluation_of_an_earlier_version_says_so(weights):
    figures = json.loads((weights / "card.json").read_text())
    measured = {"n": 3, "mae_months": 7.5, "refused": 0}
    evaluations = {"validation": measured | {"model": "tiny 0"}, "uploads": measured | {"model": "tiny 1"}}
    text = card.markdown(figures | {"evaluation": evaluations})
    assert "# tiny 1\n" in text
    assert "| Measured with | tiny 0 | tiny 1 |" in text


def test_the_card_of_an_ensemble_names_its_members_and_takes_an_evaluation(tmp_path):
    both = {"name": "both", "version": "3", "members": {"younger": "1", "older": "2"}, "not_for": card.NOT_FOR}
    (tmp_path / "card.json").write_text(json.dumps(both))
    (tmp_path / "metrics.json").write_text(json.dumps({"n": 3, "mae_months": 7.25, "refused": 0}))
    card.main(["--weights", str(tmp_path), "--evaluation", f"validation={tmp_path}"])
    text = (tmp_path / "MODEL_CARD.md").read_text()
    assert "- younger 1\n- older 2" in text
    assert "| MAE, months | 7.25 |" in text
    assert "fitted on others" not in text
