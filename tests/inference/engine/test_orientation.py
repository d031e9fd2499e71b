from dataclasses import replace

import numpy as np
import pytest

from inference.engine.margins import ALL
from inference.engine.orientation import (
    AS_STORED,
    EIGHT,
    Orientation,
    edge_directions,
    eight_features,
    orientation,
    thumbnail,
)
from inference.engine.regions import Region
from inference.training.phantom import draw_phantom

MIRRORED = Orientation(mirrored=True)


@pytest.fixture(scope="module")
def drawn():
    """Six drawn left hands of different ages, fingers up."""
    return [draw_phantom(20.0 + 35 * number, "FM"[number % 2], seed=50 + number, size=300) for number in range(6)]


def test_a_hand_that_was_turned_or_mirrored_is_told(drawn):
    told = [(replace(orientation(way.stored(hand)), kept=ALL), way) for hand in drawn for way in EIGHT]
    right = [found == way for found, way in told]
    # In doubt a picture is left as it lies; it is never turned the wrong way.
    assert all(found in (way, AS_STORED) for found, way in told)
    assert np.mean(right) > 0.85


def test_what_shows_no_hand_is_left_as_it_lies():
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (20, 200, 200), dtype=np.uint8)
    assert {orientation(image) for image in noise} == {AS_STORED}


@pytest.mark.parametrize("way", EIGHT)
def test_regions_and_maps_find_the_way_back(way):
    """A bright square of the stored picture, found in the upright one, comes back to where it was."""
    stored = np.zeros((100, 100), np.uint8)
    stored[10:30, 20:60] = 255
    upright = way.upright(stored)
    rows, columns = np.nonzero(upright)
    found = Region(columns.min() / 100, rows.min() / 100, (columns.max() + 1) / 100, (rows.max() + 1) / 100)
    assert way.stored_region(found).box == pytest.approx((0.2, 0.1, 0.6, 0.3))
    np.testing.assert_array_equal(way.stored(upright), stored)


def test_a_turn_by_a_quarter_is_counter_clockwise():
    lying = np.zeros((100, 200), np.uint8)
    lying[:, 150:] = 255  # the fingers point to the right
    assert Orientation(quarters=1).upright(lying)[:50].min() == 255


def test_features_do_not_depend_on_exposure():
    rng = np.random.default_rng(1)
    images = rng.integers(0, 120, (3, 64, 64), dtype=np.uint8)
    np.testing.assert_allclose(edge_directions(images), edge_directions(images * 2), rtol=1e-4)


def test_a_right_hand_is_read_mirrored_and_said_so(load_tiny, drawn):
    model, hand = load_tiny(), drawn[4]
    left, right, lying = model.predict([hand, MIRRORED.stored(hand), EIGHT[1].stored(hand)], "FFF")
    assert (left.mirrored, left.turned_degrees, left.notes) == (False, 0, [])
    assert (right.mirrored, right.turned_degrees) == (True, 0)
    assert "right hand" in right.notes[0]
    assert (lying.mirrored, lying.turned_degrees) == (False, 90)
    assert "90 degrees" in lying.notes[0]
    for other, way in ((right, MIRRORED), (lying, EIGHT[1])):
        assert other.bone_age_months == pytest.approx(left.bone_age_months, abs=0.01)
        for name, region in left.regions.items():
            assert way.stored_region(region).box == pytest.approx(other.regions[name].box)
        np.testing.assert_allclose(other.heat_map, way.stored(left.heat_map), atol=1e-4)


def test_the_features_of_every_way_are_those_of_the_picture_turned_that_way(drawn):
    thumbnails = np.stack([thumbnail(hand) for hand in drawn])
    turned = np.stack([edge_directions(np.stack([way.upright(image) for way in EIGHT])) for image in thumbnails])
    np.testing.assert_allclose(eight_features(thumbnails), turned, atol=1e-4)
