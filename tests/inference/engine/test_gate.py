from dataclasses import replace

import numpy as np
import pytest

from inference.engine.gate import REASONS, Hands, refuse_attention, refuse_pixels
from inference.engine.regions import Attention, Region

HERE = Region(0.1, 0.1, 0.5, 0.5)


@pytest.fixture
def embeddings():
    return np.random.default_rng(0).gamma(4.0, 1.0, size=(2000, 8))


def test_a_small_image_is_refused():
    assert refuse_pixels(np.zeros((99, 500), np.uint8)) == "too-small"


def test_a_long_strip_is_refused():
    assert refuse_pixels(np.eye(120, 400, dtype=np.uint8) * 255) == "not-a-hand"


def test_a_blank_image_is_refused_and_a_flat_hand_is_not(hands):
    assert refuse_pixels(np.full((300, 300), 17, np.uint8)) == "blank"
    assert refuse_pixels((hands[0] * 0.05 + 100).astype(np.uint8)) is None


def test_every_refusal_has_a_sentence():
    assert set(REASONS) == {"too-small", "blank", "no-attention", "not-a-hand", "cut-off"}
    assert all(reason.endswith(".") for reason in REASONS.values())


def test_hands_like_those_it_was_fitted_on_are_about_one_away(embeddings):
    assert Hands.fitted(embeddings).distance(embeddings).mean() == pytest.approx(1.0, abs=0.1)


def test_what_looks_unlike_every_hand_is_refused(embeddings):
    fitted = Hands.fitted(embeddings)
    hands = Hands(fitted.mean, fitted.whitening, limit=float(fitted.distance(embeddings).max()))
    usual, strange = embeddings[0], np.array([40.0, 0, 0, 0, 0, 0, 0, 0])
    assert refuse_attention(Attention(0.5, np.eye(3), usual, HERE, HERE), hands) is None
    assert refuse_attention(Attention(0.5, np.eye(3), strange, HERE, HERE), hands) == "not-a-hand"


def test_part_of_a_hand_is_refused_for_its_own_reason(embeddings):
    hands = replace(Hands.fitted(embeddings), whole=np.eye(8)[:, :2], least=np.array([-1.5, -9.0]))
    whole, part = embeddings.mean(axis=0), embeddings.mean(axis=0) * [0.1, *[1] * 7]
    assert refuse_attention(Attention(0.5, np.eye(3), whole, HERE, HERE), hands) is None
    assert refuse_attention(Attention(0.5, np.eye(3), part, HERE, HERE), hands) == "cut-off"


def test_no_region_is_no_attention(embeddings):
    hands = Hands.fitted(embeddings)
    assert refuse_attention(Attention(0.5, np.zeros((3, 3)), embeddings[0], None, None), hands) == "no-attention"


def test_the_gate_survives_being_saved_and_loaded(embeddings, tmp_path):
    hands = replace(Hands.fitted(embeddings, limit=2.5), whole=np.eye(8)[:, :2], least=np.array([-3.5, -1.0]))
    hands.save(tmp_path / "hands.npz")
    loaded = Hands.load(tmp_path / "hands.npz")
    assert (loaded.limit, *loaded.least) == (2.5, -3.5, -1.0)
    np.testing.assert_allclose(loaded.distance(embeddings), hands.distance(embeddings), rtol=1e-4)
    np.testing.assert_allclose(loaded.wholeness(embeddings), hands.wholeness(embeddings), atol=1e-3)


def test_a_gate_fitted_before_it_knew_parts_of_hands_refuses_none(embeddings, tmp_path):
    hands = Hands.fitted(embeddings)
    np.savez(tmp_path / "hands.npz", mean=hands.mean, whitening=hands.whitening, limit=9.0)
    part = Attention(0.5, np.eye(3), embeddings[0] * [0.1, *[1] * 7], HERE, HERE)
    assert refuse_attention(part, Hands.load(tmp_path / "hands.npz")) is None
