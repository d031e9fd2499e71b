from dataclasses import replace

import numpy as np
import pytest

from inference.engine import Explanation, Refusal, presets
from inference.engine.explanation import GRID, grad_cam, laid_together, occlusion_rows
from inference.engine.orientation import Orientation, orientation
from inference.training.phantom import draw_phantom

SIDE = 48
LARGEST = 7.0


def disc_among_stripes(rng):
    """(image, size of its disc, where the disc is): the striped patches, brighter, say nothing."""
    image = rng.normal(30, 5, (SIDE, SIDE))
    y, x = np.mgrid[:SIDE, :SIDE]
    for row, column in rng.uniform(6, SIDE - 6, (3, 2)):
        patch = np.maximum(np.abs(x - column), np.abs(y - row)) < 5
        image[patch & (x % 3 == 0)] = 255
    centre, radius = rng.uniform(10, SIDE - 10, 2), rng.uniform(2, LARGEST)
    image[np.hypot(x - centre[1], y - centre[0]) < radius] = 150
    return np.clip(image, 0, 255).astype(np.uint8), radius, centre / SIDE


def network(seed):
    import keras
    from keras import layers

    keras.utils.set_random_seed(seed)
    image = keras.Input((SIDE, SIDE, 1), name="hand")
    features = image
    for width in (8, 16, 16):
        features = layers.Conv2D(width, 3, padding="same", activation="relu")(features)
        features = layers.MaxPooling2D()(features)
    male = keras.Input((1,), name="male")
    pooled = layers.Concatenate()([layers.GlobalAveragePooling2D()(features), male])
    return keras.Model({"hand": image, "male": male}, layers.Dense(1)(layers.Dense(16, activation="relu")(pooled)))


def inputs(images):
    return {"hand": images[..., np.newaxis] / 127.5 - 1, "male": np.zeros((len(images), 1))}


@pytest.fixture(scope="module")
def trained():
    """A network that reads the size of a disc, fitted in seconds."""
    import keras

    rng = np.random.default_rng(1)
    drawn = [disc_among_stripes(rng) for _ in range(800)]
    model = network(seed=2)
    model.compile(keras.optimizers.Adam(5e-3), "mse")
    images, sizes = np.stack([one[0] for one in drawn]), np.array([one[1] for one in drawn])
    model.fit(inputs(images), sizes[:, np.newaxis], batch_size=50, epochs=8, verbose=0)
    return model


@pytest.fixture(scope="module")
def shown():
    rng = np.random.default_rng(7)
    drawn = [disc_among_stripes(rng) for _ in range(24)]
    large = [one for one in drawn if one[1] > 4]
    return np.stack([one[0] for one in large]), [one[2] for one in large]


def occlusion_maps(model, images):
    def read(hidden):
        return model.predict_on_batch(inputs(hidden))[:, 0]

    return np.stack([np.stack(list(occlusion_rows(read, image, range(8), grid=8))) for image in images])


def grad_cams(model, images):
    return grad_cam(model, inputs(images))["hand"]


METHODS = pytest.mark.parametrize("maps_of", [occlusion_maps, grad_cams])


@METHODS
def test_the_map_peaks_where_the_only_thing_is_that_matters(trained, shown, maps_of):
    images, centres = shown
    near = []
    for found, centre in zip(maps_of(trained, images), centres, strict=True):
        peak = (np.array(np.unravel_index(found.argmax(), found.shape)) + 0.5) / found.shape
        near.append(np.abs(peak - centre).max() < LARGEST / SIDE + 1 / 8)
    assert np.mean(near) >= 0.9


@METHODS
def test_other_weights_give_another_map(trained, shown, maps_of):
    """The check of Adebayo et al. (NeurIPS 2018): a map that any weights would give explains nothing."""
    images, _ = shown
    of_trained, of_random = maps_of(trained, images), maps_of(network(seed=3), images)
    alike = [np.corrcoef(one.ravel(), other.ravel())[0, 1] for one, other in zip(of_trained, of_random, strict=True)]
    assert np.mean(alike) < 0.8


def test_an_occlusion_map_comes_row_by_row_and_says_how_far_it_is(load_tiny, hands):
    model, shares = load_tiny(), []
    whole = model.explain(hands[0], "F", "occlusion", progress=shares.append)
    assert shares == pytest.approx([row / GRID for row in range(1, GRID + 1)])
    rows = np.stack([model.occlusion_row(hands[0], "F", row) for row in range(GRID)])
    assert rows.max() == pytest.approx(whole.months, rel=1e-3)
    upright = (rows - rows.min()) / np.ptp(rows)
    np.testing.assert_allclose(orientation(hands[0]).stored(upright), whole.map, atol=1e-3)


def test_a_large_image_is_occluded_at_about_the_size_that_the_networks_see(load_tiny, tiny, monkeypatch):
    """Regions are cut from the upload itself where a preset has no working size."""
    monkeypatch.setitem(presets.PRESETS, "tiny", replace(tiny, working_size=None))
    model, hand, seen = load_tiny(), draw_phantom(90.0, "F", seed=52, size=900), []
    ages = model._ages
    monkeypatch.setattr(model, "_ages", lambda images, *rest: seen.append(max(images[-1].shape)) or ages(images, *rest))
    rows = np.stack([model.occlusion_row(hand, "F", row) for row in (3, 7, 10)])
    assert seen[1::2] == [4 * 48] * 3
    monkeypatch.setattr(model, "_occluded_side", lambda: 2000)
    in_full = np.stack([model.occlusion_row(hand, "F", row) for row in (3, 7, 10)])
    assert seen[-1] >= 900
    np.testing.assert_allclose(rows, in_full, atol=0.1 * in_full.max())


def test_a_network_without_feature_maps_is_an_error():
    import keras

    image = keras.Input((4, 4, 1), name="hand")
    flat = keras.Model({"hand": image}, keras.layers.Dense(1)(keras.layers.Flatten()(image)))
    with pytest.raises(ValueError, match="no feature maps"):
        grad_cam(flat, {"hand": np.zeros((1, 4, 4, 1), np.float32)})


def test_grad_cam_of_a_pooled_linear_network_is_its_class_activation_map():
    """There the gradient is known: each cell adds weight x feature / cells (Zhou et al., CVPR 2016)."""
    import keras

    image = keras.Input((6, 6, 3), name="hand")
    pooled = keras.layers.GlobalAveragePooling2D()(keras.layers.Activation("linear")(image))
    linear = keras.Model({"hand": image}, keras.layers.Dense(1)(pooled))
    pixels = np.random.default_rng(0).normal(size=(2, 6, 6, 3)).astype(np.float32)
    weights = linear.get_weights()[0][:, 0]
    [(name, found)] = grad_cam(linear, {"hand": pixels}).items()
    assert name == "hand"
    np.testing.assert_allclose(found, np.abs(pixels @ weights) / 36, rtol=1e-4, atol=1e-6)


def test_views_are_laid_where_they_were_cut_from():
    views = {"carpal": np.ones((4, 4), np.float32), "whole": np.zeros((4, 4), np.float32)}
    together = laid_together(views, {"carpal": (0.25, 0.5, 0.75, 1.0)})
    rows, columns = np.nonzero(together > together.max() / 2)
    assert (columns.min() / 96, (columns.max() + 1) / 96) == pytest.approx((0.25, 0.75), abs=0.09)
    assert (rows.min() / 96, (rows.max() + 1) / 96) == pytest.approx((0.5, 1.0), abs=0.09)


@pytest.mark.parametrize(("method", "runtime"), [("occlusion", "onnx"), ("gradcam", "tensorflow")])
def test_a_model_explains_its_reading_over_the_image_as_it_was_given(load_tiny, method, runtime):
    model, hand = load_tiny(runtime), draw_phantom(90.0, "F", seed=52, size=300)
    right_hand = Orientation(mirrored=True)
    found = model.explain(hand, "F", method)
    assert isinstance(found, Explanation)
    assert (found.map.min(), found.map.max()) == (0, 1)
    other = model.explain(right_hand.stored(hand), "F", method)
    np.testing.assert_allclose(other.map, right_hand.stored(found.map), atol=1e-3)


def test_hiding_moves_the_reading_by_the_months_it_says(load_tiny, hands):
    found = load_tiny().explain(hands[0], "M", "occlusion")
    assert 0 < found.months < 240


def test_what_cannot_be_read_is_refused(load_tiny):
    refused = load_tiny().explain(np.zeros((200, 200), np.uint8), "F", "occlusion")
    assert isinstance(refused, Refusal)


def test_grad_cam_on_a_runtime_without_gradients_says_what_to_do(load_tiny, hands):
    with pytest.raises(ValueError, match="TensorFlow"):
        load_tiny().explain(hands[0], "F", "gradcam")
