import numpy as np
import pytest

from inference.engine import orientation
from inference.engine.orientation import SIDE, eight_features, thumbnail
from inference.training import orientation as orientation_training
from inference.training.orientation import fit, measure, moved


@pytest.fixture(scope="module")
def pictures(drawn):
    return np.stack([thumbnail(image) for image in drawn.images])


def test_what_was_fitted_tells_hands_that_it_has_not_seen(pictures, monkeypatch):
    rng = np.random.default_rng(0)
    train = np.concatenate([pictures[:28], *([moved(one, rng)[np.newaxis] for one in pictures[:28]])])
    monkeypatch.setattr(orientation_training, "STEPS", 200)
    monkeypatch.setattr(orientation_training, "BATCH", 128)
    weights = fit(eight_features(train))
    monkeypatch.setattr(orientation, "_weights", lambda: weights)
    figures = measure(pictures[28:])
    assert figures["n"] == 12
    for way in ("left_as_they_are", "mirrored", "on_their_side", "upside_down"):
        assert figures[way] > 0.8, way


def test_without_weights_everything_is_left_as_it_lies(pictures, monkeypatch):
    nothing = np.zeros(eight_features(pictures[:1]).shape[2])
    monkeypatch.setattr(orientation, "_weights", lambda: nothing)
    figures = measure(pictures)
    assert (figures["left_as_they_are"], figures["mirrored"]) == (1.0, 0.0)


def test_a_moved_picture_is_another_one_of_the_same_size(pictures):
    other = moved(pictures[0], np.random.default_rng(1))
    assert other.shape == (SIDE, SIDE)
    assert (other != pictures[0]).mean() > 0.3
