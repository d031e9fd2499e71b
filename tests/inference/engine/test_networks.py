"""Every network builds, trains a step, is kept and loaded, and reads the same afterwards."""

from dataclasses import replace

import keras
import numpy as np
import pytest

from inference.engine.explanation import grad_cam
from inference.engine.networks import age_network, attention_network, features_of, whole_hand_network
from inference.engine.presets import MEAN_AGE_MONTHS, PRESETS, Backbone, Preset, WholeHand
from inference.engine.weights import load_arrays, save_arrays
from inference.training.batches import AgeBatches, AttentionBatches, WholeHandBatches
from inference.training.phantom_set import draw_phantoms
from inference.training.train import whole_hand_losses

SMALLEST = {"inception_v3": 75, "inception_resnet_v2": 75, "xception": 71}
"""Sides below which a network of keras.applications has no feature map left."""
SMALL = {
    "plain": Backbone("plain", 32, (4, 8)),
    "residual": Backbone("residual", 32, (4, 8), blocks=1),
    "bonet": Backbone("bonet", 64, (4, 8, 8, 8, 8)),
    "vit": Backbone("vit", 32, (16,), blocks=2),
}
EAGERLY = keras.backend.backend() == "tensorflow"
"""Compiling the graph of a large network takes far longer than one step, but JAX would compile every operation."""
STEP = {"class_name": "SGD", "config": {"learning_rate": 1e-3, "clipnorm": 1.0}}
"""Of a large network the moments of Adam take longer to make than the step."""
SINGLE = {name: preset for name, preset in PRESETS.items() if isinstance(preset, WholeHand)}
TWO_STAGE = {name: preset for name, preset in PRESETS.items() if isinstance(preset, Preset)}


def small(preset):
    """The preset on inputs small enough for a test; classifications, which differ in the head, on a small network."""
    kind = "residual" if preset.target == "classes" else preset.branch.kind
    branch = SMALL.get(kind) or replace(preset.branch, size=SMALLEST.get(kind, 32))
    return replace(preset, branch=branch, dense=preset.dense and (8,), precision="float32")


def read_by(network, inputs):
    """What the network gives, as arrays of NumPy, whatever the backend."""
    return keras.tree.map_structure(keras.ops.convert_to_numpy, network(inputs, training=False))


@pytest.fixture(scope="module")
def two_hands():
    return draw_phantoms(2, seed=6)


@pytest.mark.parametrize("name", SINGLE)
def test_every_preset_trains_a_step_and_reads_the_same_after_loading(name, two_hands, tmp_path):
    preset = small(SINGLE[name])
    keras.utils.set_random_seed(4)
    network = whole_hand_network(preset)
    losses, weights = whole_hand_losses(preset)
    network.compile(STEP, losses, loss_weights=weights, run_eagerly=EAGERLY)
    before = [array.copy() for array in network.get_layer(features_of("whole")).get_weights()]
    inputs, truth = WholeHandBatches(two_hands, preset, batch=2, seed=1, augment=True)[0]
    assert np.isfinite(network.train_on_batch(inputs, truth)).all()
    after = network.get_layer(features_of("whole")).get_weights()
    assert any((one != other).any() for one, other in zip(before, after, strict=True))

    save_arrays(network.get_weights(), tmp_path / "age.npz")
    again = whole_hand_network(preset)
    for kept in (network, again):
        kept.set_weights(load_arrays(tmp_path / "age.npz"))
    read, reread = (read_by(kept, inputs)["age"] for kept in (network, again))
    assert read.shape == (2, 1)
    assert (read >= 0).all()
    np.testing.assert_allclose(reread, read, atol=1e-3)

    # The last feature map is where the convention says, and Grad-CAM finds it.
    _, *cells, _ = network.get_layer(features_of("whole")).output.shape
    maps = grad_cam(keras.Model(network.inputs, network.output["age"]), inputs)
    assert {view: values.shape for view, values in maps.items()} == {"whole": (2, *cells)}
    assert np.isfinite(maps["whole"]).all()


def small_stages(preset):
    """The two-stage preset on inputs small enough for a test."""
    backbone = preset.attention.backbone
    stage = replace(preset.attention, backbone=SMALL.get(backbone.kind) or replace(backbone, size=75), cbam_ratio=4)
    branches = {view: SMALL.get(spec.kind) or replace(spec, size=32) for view, spec in preset.age.branches.items()}
    return replace(preset, attention=stage, age=replace(preset.age, branches=branches, dense=(8,)))


def trained_a_step(build, loss, batch, path):
    """The network after a step on the batch, if one that takes its weights from their file reads as it does."""
    network, again = build(), build()
    network.compile(STEP, loss, run_eagerly=EAGERLY)
    inputs, truth = batch
    assert np.isfinite(network.train_on_batch(inputs, truth)).all()
    save_arrays(network.get_weights(), path)
    for kept in (network, again):
        kept.set_weights(load_arrays(path))
    read, reread = (read_by(kept, inputs) for kept in (network, again))
    for one, other in zip(keras.tree.flatten(read), keras.tree.flatten(reread), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-3)
    return network


# Presets that differ in stage 2 alone share their attention network.
@pytest.mark.parametrize("name", {preset.attention: name for name, preset in TWO_STAGE.items()}.values())
def test_every_attention_network_does_the_same(name, two_hands, tmp_path):
    preset = small_stages(TWO_STAGE[name])
    losses = {"age": "binary_crossentropy", "heat": None, "embedding": None}
    batch = AttentionBatches(two_hands, preset, 2, 1, augment=True)[0]
    trained_a_step(lambda: attention_network(preset), losses, batch, tmp_path / "attention.npz")


@pytest.mark.parametrize("name", TWO_STAGE)
def test_every_age_network_does_the_same(name, two_hands, tmp_path):
    preset = small_stages(TWO_STAGE[name])
    views = tuple(preset.age.branches)
    whole = dict.fromkeys(("carpal", "metacarpal"), np.tile(np.array([0.0, 0.0, 1.0, 1.0]), (2, 1)))
    batch = AgeBatches(two_hands, preset, whole, views, batch=2, seed=1, augment=True)[0]
    network = trained_a_step(lambda: age_network(preset), preset.age.loss, batch, tmp_path / "age.npz")
    maps = grad_cam(network, batch[0])
    assert set(maps) == set(views)
    assert all(np.isfinite(values).all() and len(values) == 2 for values in maps.values())


@pytest.mark.parametrize("name", ["simple_cnn", "bonet", "vit", "xception_classes", "whole_hand_sex_multitask"])
def test_a_checkpoint_holds_the_network_with_its_own_layers(name, two_hands, tmp_path):
    network = whole_hand_network(small(SINGLE[name]))
    network.save(tmp_path / "age.keras")
    inputs, _ = WholeHandBatches(two_hands, small(SINGLE[name]), batch=2, seed=1, augment=False)[0]
    read, reread = (read_by(kept, inputs) for kept in (network, keras.saving.load_model(tmp_path / "age.keras")))
    for key, values in read.items():
        np.testing.assert_allclose(reread[key], values, atol=1e-4)


def test_sex_is_an_input_only_where_the_preset_says_so():
    by_sex = {
        name: {tensor.name for tensor in whole_hand_network(small(SINGLE[name])).inputs} for name in ("vit", "bonet")
    }
    assert by_sex == {"vit": {"whole", "male"}, "bonet": {"whole"}}


def test_the_inception_resnet_has_one_network_for_each_sex():
    assert SINGLE["inception_resnet_v2"].networks == {"age_F": "F", "age_M": "M"}


def test_class_probabilities_read_as_the_mean_of_their_centres():
    network = whole_hand_network(small(SINGLE["resnet101_classes"]))
    inputs = {"whole": np.zeros((1, 32, 32, 1), np.float32), "male": np.ones((1, 1), np.float32)}
    outputs = read_by(network, inputs)
    assert outputs["classes"].shape == (1, 10)
    assert outputs["age"][0, 0] == pytest.approx(outputs["classes"][0] @ np.arange(12, 240, 24), rel=1e-4)


def begun(preset, rate, steps):
    """The ages (4, 1) that its network reads at first and after so many steps on four hands, and the first and the
    last loss.
    """
    keras.utils.set_random_seed(1)
    network = whole_hand_network(preset)
    network.compile(keras.optimizers.Adam(rate), whole_hand_losses(preset)[0], run_eagerly=EAGERLY)
    inputs, truth = WholeHandBatches(draw_phantoms(4, seed=6), preset, batch=4, seed=1, augment=False)[0]
    at_first = keras.ops.convert_to_numpy(network(inputs, training=True)["age"])
    first, *_, last = (float(np.sum(network.train_on_batch(inputs, truth))) for _ in range(steps))
    return at_first, keras.ops.convert_to_numpy(network(inputs, training=True)["age"]), first, last


def test_vgg16_begins_to_learn_at_once():
    preset = replace(small(SINGLE["vgg16"]), dropout=0.0)
    _, ages, first, last = begun(preset, preset.fit.learning_rate, steps=4)
    assert last < 0.97 * first
    assert np.ptp(ages) > 1


def test_a_rectified_age_begins_at_the_mean_and_learns():
    """From below 0 it never would. Its features are normalised, as those of the Inception-ResNet are."""
    branch = Backbone("residual", 32, (64, 128), blocks=1)
    preset = replace(small(SINGLE["inception_resnet_v2"]), branch=branch, normalised=True)
    at_first, ages, first, last = begun(preset, rate=1e-3, steps=12)
    np.testing.assert_allclose(at_first, MEAN_AGE_MONTHS, atol=2)
    assert last < 0.95 * first
    assert np.ptp(ages) > 1
    assert ages.min() > 0
