import keras
import numpy as np
import pytest

from inference.training.averaging import AveragingAdamW, averaged


@pytest.fixture
def stepped():
    """A layer of two weights, one of them frozen, after 30 steps; and its kernel after each."""
    keras.utils.set_random_seed(1)
    given = keras.Input((2,))
    first, second = keras.layers.Dense(3, trainable=False), keras.layers.Dense(1, use_bias=False)
    model = keras.Model(given, second(first(given)))
    model.compile(AveragingAdamW(0.1), "mse")
    x = np.random.default_rng(2).normal(size=(8, 2)).astype(np.float32)
    kernels = []
    for _ in range(30):
        model.train_on_batch(x, x[:, :1])
        kernels.append(second.get_weights()[0])
    return model, np.array(kernels)


def test_the_average_follows_a_power_law_over_all_steps(stepped):
    model, kernels = stepped
    expected = kernels[0]
    for step, kernel in enumerate(kernels):
        expected = expected + (kernel - expected) * 9 / (9 + step)
    with averaged(model):
        np.testing.assert_allclose(model.get_weights()[-1], expected, rtol=1e-4)
    assert np.abs(expected - kernels[-1]).max() > 1e-3


def test_after_a_look_at_the_average_the_latest_weights_are_back_and_train_on(stepped):
    model, _ = stepped
    before = model.get_weights()
    with averaged(model):
        np.testing.assert_array_equal(model.get_weights()[0], before[0])
    for one, other in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(one, other)
    assert np.isfinite(model.train_on_batch(np.ones((8, 2), np.float32), np.ones((8, 1), np.float32)))


def test_a_network_whose_optimizer_keeps_none_is_left_as_it_is(stepped):
    model, kernels = stepped
    model.compile("adam", "mse")
    with averaged(model):
        np.testing.assert_array_equal(model.get_weights()[-1], kernels[-1])
