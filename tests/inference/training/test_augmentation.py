from dataclasses import replace

import numpy as np
import pytest

from inference.engine.preprocessing import normalise_contrast
from inference.training.augmentation import Augmentation, add_marker, erase, random_exposure, random_warp

RANGES = Augmentation()


@pytest.fixture
def rng():
    return np.random.default_rng(4)


def test_a_warp_stays_within_its_ranges(rng):
    for _ in range(200):
        warp = random_warp(rng, RANGES)
        # The smallest allowed zoom, twice (both axes), and the shear bound how much the area changes.
        assert 0.5 < abs(np.linalg.det(warp)) < 2.0
        assert (np.abs(warp[:2, 2]) <= 2 * RANGES.shift).all()


def test_half_of_the_warps_mirror(rng):
    mirrored = [np.linalg.det(random_warp(rng, RANGES)) < 0 for _ in range(400)]
    assert 0.4 < np.mean(mirrored) < 0.6


def test_no_ranges_change_nothing(rng):
    still = Augmentation(rotation_degrees=0, shift=0, zoom=0, shear=0, flip_share=0)
    np.testing.assert_allclose(random_warp(rng, still), np.eye(3), atol=1e-12)


def test_another_exposure_leaves_a_readable_image(rng, drawn):
    raw = drawn.images[0]
    normalised = normalise_contrast(raw)
    for _ in range(20):
        changed = random_exposure(raw, normalised, rng, replace(RANGES, inverted_share=0))
        assert changed.shape == raw.shape
        assert np.corrcoef(changed.ravel(), normalised.ravel())[0, 1] > 0.4


def test_erasing_blacks_out_one_rectangle(rng):
    white = np.full((100, 100), 255, np.uint8)
    erased = erase(white, rng, replace(RANGES, erased_share=1))
    rows, columns = np.nonzero(erased == 0)
    assert 0 < len(rows) == (np.ptp(rows) + 1) * (np.ptp(columns) + 1)
    assert white.all()


def test_a_marker_keeps_clear_of_the_middle(rng):
    grey = np.full((192, 192), 60, np.uint8)
    for _ in range(20):
        marked = add_marker(grey, rng, replace(RANGES, marker_share=1))
        assert (marked != grey).any()
        assert (marked[80:112, 80:112] == 60).all()
