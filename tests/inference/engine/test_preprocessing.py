import numpy as np
import pytest

from inference.engine import presets
from inference.engine.preprocessing import (
    network_input,
    normalise_contrast,
    percentiles,
    view,
    view_matrix,
    working_image,
)


@pytest.fixture
def gradient():
    return np.add.outer(np.arange(100), np.arange(100)).astype(np.uint8)


def test_the_whole_view_at_the_same_size_is_the_image_itself(gradient):
    np.testing.assert_array_equal(view(gradient, 100), gradient)


def test_a_box_is_cut_out_at_its_place(gradient):
    np.testing.assert_array_equal(view(gradient, 50, (0.25, 0.5, 0.75, 1.0)), gradient[50:, 25:75])


def test_a_mirror_warp_mirrors_the_view(gradient):
    np.testing.assert_array_equal(view(gradient, 100, warp=np.diag([-1.0, 1.0, 1.0])), gradient[:, ::-1])


def test_outside_the_image_the_border_goes_on(gradient):
    beyond = view(gradient, 50, (-0.5, 0.0, 0.0, 0.5))
    np.testing.assert_array_equal(beyond[:, :49], np.repeat(gradient[:50, :1], 49, axis=1))


def test_shrinking_averages_instead_of_skipping_pixels():
    stripes = np.tile(np.array([0, 255], np.uint8), (200, 100))
    assert abs(view(stripes, 50).astype(float) - 127.5).max() < 2


@pytest.mark.parametrize("shape", [(1, 1), (7, 3), (200, 150)])
def test_percentiles_of_a_histogram_are_those_of_the_pixels(shape):
    rng = np.random.default_rng(3)
    for top in (1, 2, 20, 255):
        image = rng.integers(0, top, shape, np.uint8, endpoint=True)
        percents = (0.0, 1.0, 37.0, 99.5, 100.0)
        np.testing.assert_allclose(percentiles(image, percents), np.percentile(image, percents), rtol=1e-12)


def test_contrast_normalisation_undoes_a_flat_exposure(hands):
    flat = (hands[0] * 0.3 + 90).astype(np.uint8)
    difference = normalise_contrast(flat).astype(float) - normalise_contrast(hands[0])
    assert np.abs(difference).mean() < 6


def test_a_constant_image_survives_contrast_normalisation():
    assert normalise_contrast(np.full((64, 64), 80, np.uint8)).shape == (64, 64)


def test_the_compact_preset_squashes_uploads_to_what_training_saw():
    assert working_image(np.zeros((1200, 900), np.uint8), presets.preset("two_stage_compact")).shape == (299, 299)
    assert working_image(np.zeros((1200, 900), np.uint8), presets.preset("two_stage")).shape == (1200, 900)


def test_an_upload_loses_as_much_of_its_finest_detail_as_the_training_set_did():
    period = 2.5  # in pixels of the small image
    places = (np.arange(4 * 299) + 0.5) / 4
    stripes = np.tile(128 + 100 * np.cos(2 * np.pi * places / period), (4 * 299, 1)).round().astype(np.uint8)
    row = working_image(stripes, presets.preset("two_stage_compact"))[150].astype(float)
    wave = np.exp(2j * np.pi * (np.arange(299) + 0.5) / period)
    left = 2 * abs(np.mean((row - row.mean()) * wave)) / 100
    assert left == pytest.approx(np.sinc(1 / period) ** 2, abs=0.02)  # of a triangle; 0.757 of a mean over pixels


def test_network_input_spans_minus_one_to_one():
    np.testing.assert_allclose(network_input(np.array([[[0, 255]]], np.uint8))[0, 0, :, 0], [-1, 1])


def test_the_matrices_of_many_boxes_are_those_of_each():
    rng = np.random.default_rng(3)
    boxes, warps = rng.uniform((0, 0, 0.6, 0.6), (0.4, 0.4, 1, 1), (5, 4)), rng.normal(size=(5, 3, 3))
    together = view_matrix((200, 150), 64, boxes, warps)
    for matrix, box, warp in zip(together, boxes, warps, strict=True):
        np.testing.assert_allclose(matrix, view_matrix((200, 150), 64, tuple(box), warp))
    corners = view_matrix((200, 150), 64, (0.1, 0.2, 0.5, 0.8)) @ np.array([[-0.5, 63.5], [-0.5, 63.5], [1, 1]])
    np.testing.assert_allclose(corners[:2], [[14.5, 74.5], [39.5, 159.5]])
