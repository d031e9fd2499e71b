import keras
import numpy as np
import pytest

from inference.engine.layers import ConvolutionalBlockAttention, HeatMap, ResidualScale


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def cbam_by_the_formulas(features, weights):
    """Woo et al. 2018, equations 2 and 3, one pixel at a time, in float64."""
    squeeze, squeeze_bias, excite, excite_bias, kernel = (weight.astype(np.float64) for weight in weights)

    def mlp(pooled):
        return np.maximum(pooled @ squeeze + squeeze_bias, 0) @ excite + excite_bias

    channel = sigmoid(mlp(features.mean((1, 2))) + mlp(features.max((1, 2))))
    features = features * channel[:, None, None, :]
    pooled = np.stack([features.mean(-1), features.max(-1)], axis=-1)
    reach = kernel.shape[0] // 2
    padded = np.pad(pooled, ((0, 0), (reach, reach), (reach, reach), (0, 0)))
    spatial = np.zeros(features.shape[:3])
    for y in range(features.shape[1]):
        for x in range(features.shape[2]):
            patch = padded[:, y : y + kernel.shape[0], x : x + kernel.shape[1]]
            spatial[:, y, x] = (patch * kernel[None, ..., 0]).sum((1, 2, 3))
    return features * sigmoid(spatial)[..., None]


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_cbam_follows_the_published_formulas(rng):
    layer = ConvolutionalBlockAttention(ratio=4)
    features = rng.normal(size=(2, 9, 8, 16))
    layer.build(features.shape)
    layer.set_weights([rng.normal(size=weight.shape) for weight in layer.get_weights()])
    computed = keras.ops.convert_to_numpy(layer(features.astype(np.float32)))
    np.testing.assert_allclose(computed, cbam_by_the_formulas(features, layer.get_weights()), rtol=1e-4, atol=1e-5)


def test_cbam_survives_being_saved_and_loaded(rng, tmp_path):
    image = keras.Input((6, 6, 8))
    model = keras.Model(image, ConvolutionalBlockAttention(ratio=2, kernel_size=3)(image))
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    features = rng.normal(size=(1, 6, 6, 8)).astype(np.float32)
    np.testing.assert_allclose(loaded.predict_on_batch(features), model.predict_on_batch(features), rtol=1e-6)
    assert loaded.layers[-1].kernel_size == 3


def test_residual_scale_starts_small_and_multiplies_each_channel():
    layer = ResidualScale(initial=0.2)
    features = np.ones((1, 2, 2, 3), np.float32)
    np.testing.assert_allclose(keras.ops.convert_to_numpy(layer(features)), 0.2 * features, rtol=1e-6)
    layer.set_weights([np.array([1.0, 2.0, 3.0])])
    np.testing.assert_allclose(keras.ops.convert_to_numpy(layer(features))[0, 0, 0], [1, 2, 3])


def test_a_residual_branch_is_left_out_of_whole_images_in_training_alone():
    keras.utils.set_random_seed(4)
    layer = ResidualScale(initial=0.5, left_out=0.25)
    features = np.ones((4000, 2, 2, 3), np.float32)
    np.testing.assert_allclose(keras.ops.convert_to_numpy(layer(features, training=False)), 0.5 * features)
    trained = keras.ops.convert_to_numpy(layer(features, training=True))
    first = trained[:, 0, 0, 0]
    np.testing.assert_array_equal(trained, np.broadcast_to(first[:, None, None, None], trained.shape))
    np.testing.assert_allclose(np.unique(first), [0, 0.5 / 0.75], rtol=1e-6)
    assert (first == 0).mean() == pytest.approx(0.25, abs=0.03)  # standard error 0.007


def test_heat_map_sums_magnitudes_over_channels():
    features = np.array([[[[1.0, -2.0]], [[0.0, 0.5]]]], np.float32)
    np.testing.assert_allclose(HeatMap()(features), [[[3.0], [0.5]]])
