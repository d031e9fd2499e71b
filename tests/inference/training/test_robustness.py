import numpy as np
import pytest

from inference.training.robustness import COPIES


@pytest.mark.parametrize("name", COPIES)
def test_a_copy_is_another_picture_of_the_same_kind(name, drawn):
    image = drawn.images[3]
    copy = COPIES[name](image)
    assert copy.dtype == np.uint8
    assert copy.shape != image.shape or (copy != image).mean() > 0.2


def test_copies_do_what_their_name_says(drawn):
    image = drawn.images[3]
    assert COPIES["darker"](image).mean() < image.mean() < COPIES["brighter"](image).mean()
    assert COPIES["flat"](image).std() < 0.3 * image.std()
    assert COPIES["half resolution"](image).shape == pytest.approx((image.shape[0] / 2, image.shape[1] / 2), abs=1)
