import cv2
import numpy as np
import pytest
from keras import ops

from inference.engine.preprocessing import WHOLE, normalise_contrast, view, view_matrix
from inference.training.accelerated_views import MARKERS, AcceleratedViews, _exposed, _marker_stock, _seen
from inference.training.augmentation import Augmentation, add_marker, random_warp
from inference.training.batches import AgeBatches
from inference.training.datasets import Dataset

RANGES = Augmentation()
GREY = 1 / 255


@pytest.fixture
def alike(drawn):
    """Radiographs of one shape."""
    return Dataset(drawn.labels, [cv2.resize(image, (220, 220)) for image in drawn.images])


@pytest.fixture
def normalised(alike):
    return np.stack([normalise_contrast(image) for image in alike.images[:3]])


def seen(images, size, oversampling=1, *, matrices, marker=0, hole=(0, 0, 0, 0)):
    """(B, size, size) in 0..1, as the accelerator makes it of (B, H, W) uint8."""
    count = len(images)
    made = _seen(size, oversampling)(
        ops.convert_to_tensor(images.astype(np.float32) / 255),
        np.stack(matrices)[:, :2].astype(np.float32),
        *_marker_stock(size, RANGES, seed=1),
        np.full(count, marker, np.int32),
        np.tile(np.float32(hole), (count, 1)),
    )
    return (ops.convert_to_numpy(made)[..., 0] + 1) / 2


@pytest.mark.parametrize("box", [WHOLE, (0.3, 0.5, 0.7, 0.9)])
def test_it_sees_what_the_host_sees(normalised, box):
    warps = [random_warp(np.random.default_rng(seed), RANGES) for seed in range(3)]
    size, fine = 110, 1 if box != WHOLE else 2  # the whole image is shrunk
    matrices = [view_matrix(normalised.shape[1:], size * fine, box, warp) for warp in warps]
    on_the_host = np.stack([view(image, size, box, warp) for image, warp in zip(normalised, warps, strict=True)])
    difference = np.abs(seen(normalised, size, fine, matrices=matrices) - on_the_host / 255)
    assert difference.mean() < 1.5 * GREY
    assert np.quantile(difference, 0.99) < 16 * GREY  # edges: one averages before it turns, the other after


def test_without_a_change_the_exposure_is_the_radiograph(normalised):
    plain = (np.array([2, 0], np.int32), np.zeros(2, np.int32), np.zeros(2, np.float32))
    levels = np.tile(np.float32([1, 1, 0, 0]), (2, 1))
    made = ops.convert_to_numpy(_exposed([ops.convert_to_tensor(normalised)], *plain, levels))
    np.testing.assert_allclose(made, normalised[[2, 0]] / 255, atol=1e-5)
    inverted = _exposed([ops.convert_to_tensor(normalised)], *plain, np.tile(np.float32([1, 1, 0, 1]), (2, 1)))
    np.testing.assert_allclose(ops.convert_to_numpy(inverted), 1 - normalised[[2, 0]] / 255, atol=1e-5)


def test_sharpening_raises_the_contrast_of_edges_alone():
    step = np.full((1, 40, 40), 60, np.uint8)
    step[:, :, 20:] = 180
    sharp = _exposed(
        [ops.convert_to_tensor(step)],
        np.zeros(1, np.int32),
        np.zeros(1, np.int32),
        np.ones(1, np.float32),
        np.float32([[1, 1, 0, 0]]),
    )
    row = ops.convert_to_numpy(sharp)[0, 20] * 255
    assert row[19] < 50
    assert row[20] > 190
    np.testing.assert_allclose(row[[0, 10, 30, 39]], [60, 60, 180, 180], atol=0.1)


def test_a_marker_of_the_stock_is_drawn_as_on_the_host(normalised):
    [image] = normalised[:1]
    [marked] = seen(image[None], 96, 2, matrices=[view_matrix(image.shape, 192, WHOLE)], marker=7)
    [plain] = seen(image[None], 96, 2, matrices=[view_matrix(image.shape, 192, WHOLE)])
    rng = np.random.default_rng((1, 6))  # the first of the stock is none at all
    wanted = add_marker(np.round(plain * 255).astype(np.uint8), rng, Augmentation(marker_share=1.0))
    np.testing.assert_allclose(marked, wanted / 255, atol=2 * GREY)
    assert np.abs(marked - plain).max() > 0.3


def test_a_hole_is_black(normalised):
    matrices = [view_matrix(normalised.shape[1:], 64, WHOLE)]
    [view_] = seen(normalised[:1] // 2 + 100, 64, matrices=matrices, hole=(10, 20, 30, 50))
    assert (view_[20:50, 10:30] == 0).all()
    assert view_.mean() > 0.3
    assert view_[19, 10] > 0.3
    assert view_[50, 10] > 0.3


def test_batches_are_alike_for_a_seed_and_change_with_the_epoch(alike, tiny):
    boxes = {name: np.tile([0.3, 0.5, 0.7, 0.9], (len(alike), 1)) for name in ("carpal", "metacarpal")}
    views = ("carpal", "metacarpal", "whole")
    options = {"batch": 8, "seed": 1, "augment": True, "accelerated": True}
    batches, again = (AgeBatches(alike, tiny, boxes, views, **options) for _ in range(2))
    inputs, ages = batches[0]
    assert {name: tuple(values.shape) for name, values in inputs.items()} == {
        "carpal": (8, 32, 32, 1),
        "metacarpal": (8, 32, 32, 1),
        "whole": (8, 48, 48, 1),
        "male": (8, 1),
    }
    on_the_host = AgeBatches(alike, tiny, boxes, views, **{**options, "accelerated": False})[0]
    np.testing.assert_array_equal(ages, on_the_host[1])
    for name in views:
        values = ops.convert_to_numpy(inputs[name])
        assert -1 <= values.min() < values.max() <= 1
        assert values.mean() == pytest.approx(on_the_host[0][name].mean(), abs=0.25)
        np.testing.assert_array_equal(values, ops.convert_to_numpy(again[0][0][name]))
    batches.on_epoch_end()
    assert (ops.convert_to_numpy(batches[0][0]["whole"]) != ops.convert_to_numpy(inputs["whole"])).any()


def test_radiographs_of_several_shapes_are_refused():
    labels = [None, None]
    several = Dataset(labels, [np.zeros((40, 30), np.uint8), np.zeros((40, 40), np.uint8)])
    exposures = list(several.mapped(lambda image: (image, image)))
    with pytest.raises(ValueError, match="one shape"):
        AcceleratedViews(exposures, {"whole": 32}, {}, RANGES, seed=1)


def test_the_stock_begins_with_no_marker_and_has_no_other_of_the_kind():
    added, let_through = map(ops.convert_to_numpy, _marker_stock(64, RANGES, seed=3))
    assert not added[0].any()
    assert (let_through[0] == 255).all()
    assert len(added) == 1 + MARKERS
    assert all((let_through[number] < 255).any() for number in range(1, 1 + MARKERS))
