import numpy as np

from inference.training.non_hands import NON_HANDS, draw_non_hands


def test_every_kind_is_drawn_as_often_as_asked():
    drawn = draw_non_hands(2, seed=1)
    assert [name for name, _ in drawn] == [name for name in NON_HANDS for _ in range(2)]
    for name, image in drawn:
        assert image.dtype == np.uint8
        assert image.ndim == 2
        assert min(image.shape) < 100 if name == "tiny" else min(image.shape) >= 100


def test_a_seed_draws_the_same_again():
    for (_, first), (_, again) in zip(draw_non_hands(1, seed=2), draw_non_hands(1, seed=2), strict=True):
        np.testing.assert_array_equal(first, again)
