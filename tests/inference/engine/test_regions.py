import cv2
import numpy as np
import pytest

from inference.engine.presets import AttentionStage, Backbone, Fit, RegionRule
from inference.engine.regions import Region, blacked_out, find_regions, region_of, scaled


def heat_at(*centres, shape=(12, 12), spread=1.0):
    """A heat map with a Gaussian at each (x, y, height), in fractions."""
    rows, columns = (np.arange(size) + 0.5 for size in shape)
    heat = np.zeros(shape, np.float32)
    for x, y, height in centres:
        across, down = columns - x * shape[1], rows - y * shape[0]
        heat += height * np.exp(-(across[None] ** 2 + down[:, None] ** 2) / (2 * spread**2))
    return heat


def centre(region):
    return ((region.x0 + region.x1) / 2, (region.y0 + region.y1) / 2)


def test_the_published_rule_boxes_what_is_above_the_threshold():
    region = region_of(heat_at((0.5, 0.7, 1.0), spread=1.5), RegionRule(threshold=0.5))
    # A Gaussian falls to half at 1.18 standard deviations.
    half = 1.18 * 1.5 / 12
    np.testing.assert_allclose(region.box, (0.5 - half, 0.7 - half, 0.5 + half, 0.7 + half), atol=0.03)


def test_a_window_is_centred_on_the_peak():
    region = region_of(heat_at((0.55, 0.65, 1.0)), RegionRule(window=0.3))
    np.testing.assert_allclose(centre(region), (0.55, 0.65), atol=0.02)
    np.testing.assert_allclose((region.x1 - region.x0, region.y1 - region.y0), 0.3)


def test_a_window_stays_inside_the_image():
    region = region_of(heat_at((0.98, 0.02, 1.0)), RegionRule(window=0.4))
    np.testing.assert_allclose(region.box, (0.6, 0.0, 1.0, 0.4), atol=1e-9)


def test_reach_prefers_the_hand_to_a_brighter_marker_in_the_corner():
    heat = heat_at((0.5, 0.55, 1.0), (0.95, 0.05, 1.2))
    np.testing.assert_allclose(centre(region_of(heat, RegionRule(window=0.3, reach=0.3))), (0.5, 0.55), atol=0.05)


def test_a_flat_heat_map_is_no_attention():
    assert region_of(np.full((8, 8), 3.0, np.float32), RegionRule()) is None
    assert region_of(np.zeros((8, 8), np.float32), RegionRule(window=0.3)) is None


def test_scaled_spans_zero_to_one():
    heat = scaled(np.array([[2.0, 4.0], [3.0, 6.0]]))
    np.testing.assert_allclose(heat, [[0.0, 0.5], [0.25, 1.0]])


def test_the_region_is_blacked_out_in_a_copy():
    image = np.full((10, 10), 7, np.uint8)
    masked = blacked_out(image, Region(0.2, 0.4, 0.6, 0.8))
    assert masked[4:8, 2:6].sum() == 0
    assert masked.sum() == 7 * (100 - 16)
    assert image.sum() == 700


def test_the_second_pass_looks_elsewhere():
    """The attention network here is the image's brightness: two spots, the brighter one is found first."""

    def brightness(images):
        small = [cv2.resize(image[..., 0] + 1, (12, 12), interpolation=cv2.INTER_AREA) for image in images]
        return {
            "heat": np.stack(small),
            "age": np.full((len(images), 1), 0.5),
            "embedding": np.zeros((len(images), 4)),
        }

    hand = cv2.resize(heat_at((0.5, 0.75, 1.0), (0.45, 0.35, 0.8)), (96, 96))
    rule = RegionRule(window=0.36)
    stage = AttentionStage(Backbone("residual", 96, (4,)), Fit(1, 1, 1e-3), carpal=rule, metacarpal=rule)
    [found] = find_regions(brightness, (hand * 255).astype(np.uint8)[None], stage)
    assert centre(found.carpal) == pytest.approx((0.5, 0.75), abs=0.05)
    assert centre(found.metacarpal) == pytest.approx((0.45, 0.35), abs=0.05)
    assert found.scaled_age == 0.5
