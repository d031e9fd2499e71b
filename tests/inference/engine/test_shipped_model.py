"""The weights that are part of the repository, on drawn hands and, where they can be found, on real ones."""

import csv
import os
from pathlib import Path

import numpy as np
import pytest

from inference.engine import BoneAgeModel, Prediction, Refusal, read_radiograph
from inference.engine.model import DEFAULT_MODEL
from inference.engine.preprocessing import PREPROCESSING
from inference.engine.weights import SHIPPED
from inference.training.non_hands import draw_non_hands
from inference.training.phantom_set import draw_phantoms


@pytest.fixture(scope="module", params=sorted(path.name for path in SHIPPED.iterdir() if path.is_dir()))
def model(request):
    return BoneAgeModel.load(request.param, folder=SHIPPED / request.param)


@pytest.fixture(scope="module")
def phantoms():
    return draw_phantoms(8, seed=90_000)


def read(model, data):
    return model.predict(data.images, [label.sex for label in data.labels])


def test_the_default_is_shipped():
    assert (SHIPPED / DEFAULT_MODEL / "card.json").exists()


def test_drawn_hands_are_read_within_a_year_on_average(model, phantoms):
    outcomes = read(model, phantoms)
    assert all(isinstance(outcome, Prediction) for outcome in outcomes)
    errors = [outcome.bone_age_months - age for outcome, age in zip(outcomes, phantoms.ages, strict=True)]
    assert np.abs(errors).mean() < 12


def test_both_runtimes_agree_within_a_tenth_of_a_month(model, phantoms):
    in_keras = BoneAgeModel.load(model.name, "tensorflow", SHIPPED / model.name)
    for one, other in zip(read(model, phantoms), read(in_keras, phantoms), strict=True):
        assert one.bone_age_months == pytest.approx(other.bone_age_months, abs=0.1)


def test_images_of_no_hand_are_refused(model):
    kinds, images = zip(*draw_non_hands(2, seed=90_001), strict=True)
    outcomes = model.predict(images, ["F"] * len(images))
    accepted = [kind for kind, outcome in zip(kinds, outcomes, strict=True) if not isinstance(outcome, Refusal)]
    assert not accepted, accepted


def test_the_shipped_version_is_of_the_way_images_are_prepared_now(model):
    assert model.card["preprocessing"] == PREPROCESSING


def test_the_card_says_what_a_card_must_say(model):
    assert model.card["name"] == model.name
    assert "Halabi" in model.card["training"]["citation"]
    assert "Not for diagnosis" in model.card["not_for"]
    assert 0.87 <= model.card["interval_check"]["coverage"] <= 0.93
    assert model.card["evaluation"]["validation"]["n"] > 1200


@pytest.mark.skipif("BONEAGE_DATA" not in os.environ, reason="BONEAGE_DATA names no folder of real radiographs")
def test_real_uploads_of_any_resolution_are_read_close_to_their_labels(model):
    folder = Path(os.environ["BONEAGE_DATA"]) / "full_size"
    with (folder / "labels.csv").open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    images = [read_radiograph((folder / f"{row['id']}.png").read_bytes()).pixels for row in rows]
    outcomes = model.predict(images, [row["sex"] for row in rows])
    errors = [
        abs(outcome.bone_age_months - float(row["bone_age_months"]))
        for row, outcome in zip(rows, outcomes, strict=True)
        if isinstance(outcome, Prediction)
    ]
    assert len(errors) >= len(rows) - 1
    assert np.mean(errors) < 12
