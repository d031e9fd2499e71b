import numpy as np
import pytest

from inference.engine.imaging import is_inverted
from inference.engine.margins import ALL, cut_to, kept_columns
from inference.engine.orientation import Orientation, orientation
from inference.engine.regions import Region
from inference.training.phantom import draw_phantom
from inference.training.robustness import COPIES


def beside(hand, share, left=False):
    """The hand on a film that is wider by that share, with the noise that film has."""
    film = np.full((hand.shape[0], int(hand.shape[1] * share)), np.percentile(hand, 2))
    film = np.clip(film + np.random.default_rng(0).normal(0, 3, film.shape), 0, 255).astype(np.uint8)
    return np.hstack([film, hand] if left else [hand, film])


def test_a_hand_in_the_middle_is_left_as_it_is(hands):
    assert {kept_columns(hand) for hand in hands} == {ALL}
    assert kept_columns(np.full((300, 300), 17, np.uint8)) == ALL


@pytest.mark.parametrize("left", [True, False])
def test_film_beside_a_hand_is_cut_off(hands, left):
    for hand in hands:
        film = beside(hand, 0.8, left)
        kept = cut_to(film, kept_columns(film))
        assert kept.shape[1] < 1.2 * hand.shape[1]
        assert kept.astype(int).sum() > 0.97 * hand.sum()
        assert kept_columns(255 - film) == pytest.approx(kept_columns(film), abs=0.05)
        assert not is_inverted(film)
        assert is_inverted(255 - film)


def test_film_beyond_the_fingers_of_a_hand_on_its_side_stays():
    lying = np.rot90(draw_phantom(125, "M", seed=53, size=300), -1)
    assert kept_columns(lying) != ALL
    assert orientation(lying) == Orientation(quarters=1)


def test_a_hand_at_one_side_is_read_as_in_the_middle_of_its_film(load_tiny, hands):
    model, hand = load_tiny(), hands[3]
    film = beside(hand, 0.8)
    middle, side = model.predict([hand, film], "FF")
    assert side.bone_age_months == pytest.approx(middle.bone_age_months, abs=1)
    assert side.heat_map.shape[1] > 1.5 * middle.heat_map.shape[1]
    for name, region in middle.regions.items():
        x0, y0, x1, y1 = region.box
        expected = (x0 / 1.8, y0, x1 / 1.8, y1)
        assert side.regions[name].box == pytest.approx(expected, abs=0.03)


@pytest.mark.parametrize("way", [Orientation(mirrored, 0, (0.25, 1.0)) for mirrored in (False, True)])
def test_regions_and_maps_find_the_way_back(way):
    stored = np.zeros((100, 100), np.uint8)
    stored[10:30, 40:60] = 255
    upright = way.upright(stored)
    assert upright.shape == (100, 75)
    rows, columns = np.nonzero(upright)
    found = Region(columns.min() / 75, rows.min() / 100, (columns.max() + 1) / 75, (rows.max() + 1) / 100)
    assert way.stored_region(found).box == pytest.approx((0.4, 0.1, 0.6, 0.3))
    np.testing.assert_array_equal(way.stored(upright), stored)


def test_of_a_flat_film_no_more_is_cut_off_than_of_the_same_in_full_contrast(hands):
    """A fifth of the contrast, as where films were scanned poorly: half a hand spans no more than noise elsewhere."""
    for hand in hands:
        assert kept_columns(COPIES["flat"](hand)) == ALL
        film = beside(hand, 0.8)
        assert kept_columns(COPIES["flat"](film)) == pytest.approx(kept_columns(film), abs=0.05)
