import csv
import zipfile

import cv2
import numpy as np
import pytest

from inference.engine import Prediction, Region
from inference.training import attention


def outcome(heat):
    regions = {"carpal": Region(0.2, 0.5, 0.6, 0.9), "metacarpal": Region(0.2, 0.1, 0.6, 0.5)}
    return Prediction(100.0, 90.0, 110.0, regions, heat, 1.0)


LEFT = np.zeros((12, 12), np.float32)
LEFT[:, :6] = 1.0


def test_heat_is_counted_where_it_lies():
    half = np.zeros((attention.SIDE, attention.SIDE), bool)
    half[:, : attention.SIDE // 2] = True
    assert attention.mass_inside(LEFT, half) > 0.95
    assert attention.mass_inside(LEFT, ~half) < 0.05
    assert attention.mass_inside(np.ones((12, 12), np.float32), half) == pytest.approx(half.mean(), abs=1e-6)


def test_a_hand_is_the_bright_piece_of_a_radiograph(drawn):
    for image in drawn.images[:5]:
        small = cv2.resize(image, (attention.SIDE,) * 2, interpolation=cv2.INTER_AREA)
        hand = attention.hand_of(image)
        assert 0.1 < hand.mean() < 0.7
        assert small[hand].mean() > 1.3 * small[~hand].mean()


def test_heat_in_the_marked_epiphyses_is_compared_with_a_uniform_map(tmp_path):
    mask = np.zeros((299, 299), np.uint8)
    mask[:, :74] = 255
    with zipfile.ZipFile(tmp_path / "masks.zip", "w") as masks:
        masks.writestr("7.png", cv2.imencode(".png", mask)[1].tobytes())
    assert attention.masked_ids(tmp_path / "masks.zip") == {"7"}
    figures = attention.against_epiphyses([("7", outcome(LEFT))], tmp_path / "masks.zip")
    assert figures["epiphyses_images"] == 1
    assert figures["uniform_in_epiphyses"] == pytest.approx(74 / 299, abs=1e-3)
    assert figures["epiphyses_times_uniform"] == pytest.approx(2.0, abs=0.05)


def test_regions_are_measured_by_the_share_of_the_boxes_that_they_cover(tmp_path):
    with (tmp_path / "boxes.csv").open("w", newline="") as lines:
        writer = csv.writer(lines)
        writer.writerow(("id", "region", "xmin", "ymin", "xmax", "ymax"))
        writer.writerow(("7", "Wrist", 0.2, 0.7, 0.6, 1.1))  # half of it in the carpal region
        writer.writerow(("7", "MCP", 0.3, 0.2, 0.4, 0.3))
        writer.writerow(("7", "MCP", 0.7, 0.2, 0.8, 0.3))
    assert attention.boxed_ids(tmp_path / "boxes.csv") == {"7"}
    figures = attention.against_boxes([("7", outcome(LEFT))], tmp_path / "boxes.csv")
    assert figures["wrist_covered_by_carpal_region"] == pytest.approx(0.5)
    assert figures["mcp_covered_by_metacarpal_region"] == pytest.approx(0.5)
