import os

import keras
import numpy as np
import pytest

from inference.engine.networks import age_network
from inference.engine.presets import SCALED_AGE_MONTHS
from inference.training.augmentation import jittered
from inference.training.batches import AgeBatches, AttentionBatches, drawing_shares
from inference.training.datasets import Dataset, OnDemand

VIEWS = ("carpal", "metacarpal", "whole")


@pytest.fixture
def boxes(drawn):
    return {name: np.tile([0.3, 0.5, 0.7, 0.9], (len(drawn), 1)) for name in ("carpal", "metacarpal")}


def test_the_same_seed_makes_the_same_batches(drawn, tiny):
    first, again, other = (AttentionBatches(drawn, tiny, 8, seed, augment=True)[0][0] for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


@pytest.mark.parametrize("augment", [True, False])
def test_batches_of_radiographs_on_demand_are_those_in_memory(drawn, tiny, boxes, augment):
    on_demand = Dataset(drawn.labels, OnDemand(drawn.images.__getitem__, range(len(drawn))))
    options = {"batch": 8, "seed": 1, "augment": augment}
    in_memory, lazily = (AgeBatches(data, tiny, boxes, VIEWS, **options) for data in (drawn, on_demand))
    assert (in_memory.workers, lazily.workers) == (1, os.cpu_count())
    for name, values in in_memory[1][0].items():
        np.testing.assert_array_equal(lazily[1][0][name], values)
    # Keras asks from several threads; what it gets still comes in turn.
    in_turn = np.concatenate([lazily[index][0]["male"] for index in range(len(lazily))])
    given = age_network(tiny).input
    males = keras.Model(given, given["male"]).predict(lazily, verbose=0)
    np.testing.assert_array_equal(males, in_turn)


def test_each_epoch_sees_every_radiograph_in_another_order(drawn, tiny):
    batches = AttentionBatches(drawn, tiny, 8, seed=1, augment=True)
    first = np.concatenate([batches[index][1]["age"][:, 0] for index in range(len(batches))])
    batches.on_epoch_end()
    second = np.concatenate([batches[index][1]["age"][:, 0] for index in range(len(batches))])
    assert (first != second).any()
    np.testing.assert_allclose(np.sort(first), np.sort(drawn.ages / SCALED_AGE_MONTHS), rtol=1e-6)
    np.testing.assert_allclose(np.sort(second), np.sort(first))


def test_rectangles_of_regions_are_blacked_out_where_it_is_asked_for(drawn, tiny, boxes):
    rng = np.random.default_rng(2)
    noise = Dataset(drawn.labels, [rng.integers(0, 256, (96, 96)).astype(np.uint8) for _ in drawn.labels])
    options = {"batch": len(noise), "seed": 1, "augment": True}
    for erased in (False, True):
        inputs, _ = AgeBatches(noise, tiny, boxes, VIEWS, erased=erased, **options)[0]
        black = np.array([(inputs[name] == -1).mean(axis=(1, 2, 3)) for name in VIEWS])
        # The smallest rectangle that is whole is a twenty-fifth of its view.
        assert ((black > 0.03).mean() > 0.1) == erased, black


def test_balance_draws_rare_ages_more_often_but_not_as_often_as_common_ones():
    ages = np.repeat(np.array([30.0, 130.0, 210.0], np.float32), [10, 1000, 20])
    shares = drawing_shares(ages, balance=0.5)
    assert shares.sum() == pytest.approx(1.0)
    assert shares[0] == pytest.approx(shares[-1] * 2**0.5)
    assert shares[0] == pytest.approx(shares[500] * 10)
    assert shares[:10].sum() < shares[10:1010].sum()


def test_a_balanced_epoch_has_its_usual_length(drawn, tiny, boxes):
    balanced = AgeBatches(drawn, tiny, boxes, VIEWS, batch=8, seed=1, augment=True, balance=0.4)
    assert len(balanced) == len(AgeBatches(drawn, tiny, boxes, VIEWS, batch=8, seed=1, augment=True))
    assert balanced[0][1].shape == (8, 1)


def test_fewer_radiographs_than_a_batch_are_one_batch(drawn, tiny):
    batches = AttentionBatches(drawn.at(range(5)), tiny, 8, seed=1, augment=True)
    assert len(batches) == 1
    assert len(batches[0][0]) == 5


def test_without_augmentation_nothing_is_left_out_or_shuffled(drawn, tiny, boxes):
    batches = AgeBatches(drawn, tiny, boxes, VIEWS, batch=16, seed=1, augment=False)
    ages = np.concatenate([batches[index][1][:, 0] for index in range(len(batches))])
    np.testing.assert_array_equal(ages, drawn.ages)


def test_age_batches_hold_every_view_and_the_sex(drawn, tiny, boxes):
    inputs, ages = AgeBatches(drawn, tiny, boxes, VIEWS, batch=8, seed=1, augment=True)[0]
    shapes = {name: batch.shape for name, batch in inputs.items()}
    assert shapes == {
        "carpal": (8, 32, 32, 1),
        "metacarpal": (8, 32, 32, 1),
        "whole": (8, 48, 48, 1),
        "male": (8, 1),
    }
    assert set(inputs["male"].ravel()) <= {0.0, 1.0}
    assert ages.shape == (8, 1)


def test_a_jittered_box_still_covers_most_of_its_own():
    rng = np.random.default_rng(0)
    for _ in range(100):
        x0, y0, x1, y1 = jittered(np.array([(0.2, 0.4, 0.6, 0.8)]), rng)[0]
        covered = (min(x1, 0.6) - max(x0, 0.2)) * (min(y1, 0.8) - max(y0, 0.4)) / 0.16
        assert covered > 0.65
