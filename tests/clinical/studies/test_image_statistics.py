import cv2
import numpy as np
import pytest

from clinical.studies import intake
from clinical.studies.image_statistics import image_statistics
from tests import radiograph_files


def test_brightness_is_from_black_to_white_and_its_spread_is_known():
    halves = np.zeros((400, 400), np.uint8)
    halves[:, 200:] = 255
    found = image_statistics(halves)
    assert found["mean"] == pytest.approx(0.5)
    assert found["sd"] == pytest.approx(0.5)


def test_an_even_picture_has_no_contrast_and_nothing_sharp():
    assert image_statistics(np.full((300, 200), 51, np.uint8)) == {"mean": pytest.approx(0.2), "sd": 0, "sharpness": 0}


def test_a_blurred_picture_is_less_sharp_and_as_bright():
    noise = np.random.default_rng(1).integers(0, 255, (500, 400), np.uint8)
    sharp, blurred = image_statistics(noise), image_statistics(cv2.GaussianBlur(noise, (0, 0), 3))
    assert blurred["sharpness"] < sharp["sharpness"] / 5
    assert blurred["mean"] == pytest.approx(sharp["mean"], abs=0.01)


def test_the_size_of_the_picture_changes_little():
    picture = cv2.GaussianBlur(np.random.default_rng(2).integers(0, 255, (1024, 800), np.uint8), (0, 0), 8)
    larger = cv2.resize(picture, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)
    for name, value in image_statistics(picture).items():
        assert image_statistics(larger)[name] == pytest.approx(value, rel=0.1)


@pytest.mark.usefixtures("unscoped")
def test_an_upload_keeps_the_statistics_of_its_picture(hospital):
    row, picture = intake.store(hospital, radiograph_files.png())
    assert {name: getattr(row, name) for name in ("mean", "sd", "sharpness")} == image_statistics(picture.pixels)
    assert 0 < row.mean < 1
