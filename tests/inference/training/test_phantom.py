import subprocess
import sys

import cv2
import numpy as np
import pytest

from inference.training.phantom import draw_phantom
from inference.training.phantom.anatomy import Pose, build_hand
from inference.training.phantom.maturity import (
    CARPALS,
    growth_at,
    ossification_table,
)
from inference.training.phantom.tissue import View, bone_attenuation
from inference.training.phantom_set import cached_phantoms

SMALL = 320


def hand_at(age, sex, subject=7):
    return build_hand(age, sex, Pose(), np.random.default_rng(subject))


def carpals_drawn(age, sex):
    return {nodule.name for nodule in hand_at(age, sex).nodules} & set(CARPALS)


def test_a_phantom_is_a_grey_portrait_image_of_the_asked_height():
    image = draw_phantom(100, "F", seed=1, size=SMALL)
    assert image.dtype == np.uint8
    assert image.shape[0] == SMALL
    assert 0.7 < image.shape[1] / image.shape[0] < 0.9
    assert image.std() > 3


def test_one_seed_always_draws_the_same_image():
    assert np.array_equal(draw_phantom(96, "M", 5, SMALL), draw_phantom(96, "M", 5, SMALL))


def test_different_seeds_draw_different_images():
    images = {draw_phantom(96, "M", seed, SMALL).tobytes() for seed in range(6)}
    assert len(images) == 6


def test_one_subject_keeps_the_proportions_while_the_pose_changes():
    alice, again, bob = (build_hand(96, "F", Pose(spread=s), np.random.default_rng(n)) for s, n in
                         ((0.2, 1), (1.4, 1), (0.2, 2)))  # fmt: skip

    def lengths(hand):
        return np.array([np.hypot(*np.diff(joints, axis=0).T).sum() for joints in hand.joints.values()])

    assert np.allclose(lengths(alice), lengths(again))
    assert not np.allclose(lengths(alice), lengths(bob))


@pytest.mark.parametrize("age", [2.9, 228.1, -1, float("nan")])
def test_a_bone_age_outside_the_atlas_is_refused(age):
    with pytest.raises(ValueError, match="bone age"):
        draw_phantom(age, "F", 1, SMALL)


@pytest.mark.parametrize("sex", ["f", "male", "", None])
def test_a_sex_other_than_m_or_f_is_refused(sex):
    with pytest.raises(ValueError, match="sex"):
        draw_phantom(96, sex, 1, SMALL)


@pytest.mark.parametrize(
    ("sex", "age", "expected"),
    [
        ("F", 3, {"capitate", "hamate"}),
        ("F", 24, {"capitate", "hamate", "triquetrum"}),
        ("F", 36, {"capitate", "hamate", "triquetrum", "lunate"}),
        ("M", 36, {"capitate", "hamate", "triquetrum"}),
        ("M", 60, {"capitate", "hamate", "triquetrum", "lunate"}),
        ("F", 72, set(CARPALS) - {"pisiform"}),
        ("M", 96, set(CARPALS) - {"pisiform"}),
        ("F", 120, set(CARPALS)),
        ("M", 150, set(CARPALS)),
    ],
)
def test_the_carpals_drawn_are_those_of_the_atlas_age(sex, age, expected):
    assert carpals_drawn(age, sex) == expected


def test_girls_are_ahead_of_boys_in_every_sign():
    girls, boys = ossification_table("F"), ossification_table("M")
    for name, girl in girls.items():
        assert girl.appears <= boys[name].appears
        assert girl.fused < boys[name].fused


@pytest.mark.parametrize("sex", ["F", "M"])
def test_growth_plates_are_open_at_ten_and_closed_at_eighteen(sex):
    table = ossification_table(sex)
    assert all(centre.union(120) == 0 for centre in table.values())
    assert all(centre.union(216) > 0.5 for centre in table.values())


def bone_along_third_metacarpal(age, sex):
    """Bone attenuation from the middle of the shaft to the knuckle."""
    hand = hand_at(age, sex)
    view = View(np.array([[4.0, 0, 400], [0, -4.0, 700]]), 4.0, (1000, 800))
    picture = bone_attenuation(hand, view, np.random.default_rng(0))
    base, knuckle = hand.joints[3][:2]
    columns, rows = np.round(view.pixels(np.linspace((base + knuckle) / 2, knuckle, 200))).astype(int).T
    return picture[rows, columns]


@pytest.mark.parametrize("sex", ["F", "M"])
def test_the_picture_shows_a_dark_plate_at_ten_and_solid_bone_at_eighteen(sex):
    child, adult = (bone_along_third_metacarpal(age, sex) for age in (120, 216))
    within = slice(20, 180)
    assert child[within].min() < 0.1 * np.median(child)
    assert adult[within].min() > 0.4 * np.median(adult)


@pytest.mark.parametrize("sex", ["F", "M"])
def test_the_hand_grows_with_age(sex):
    scales = [growth_at(age, sex).scale for age in range(3, 200, 6)]
    assert scales == sorted(scales)
    assert scales[-1] > 2 * scales[0]


def test_the_command_writes_an_image(tmp_path):
    out = tmp_path / "hand.png"
    command = [sys.executable, "-m", "inference.training.phantom", out, "--age-months", "96", "--sex", "F"]
    subprocess.run([*command, "--seed", "1", "--size", str(SMALL)], check=True)
    assert np.array_equal(cv2.imread(str(out), cv2.IMREAD_GRAYSCALE), draw_phantom(96, "F", 1, SMALL))


def test_phantoms_kept_at_their_own_sizes_are_read_again_as_they_were_drawn(tmp_path):
    drawn, again = (cached_phantoms(tmp_path / "phantoms.npz", 3, 2, lambda image: image) for _ in range(2))
    assert len({image.shape for image in drawn.images}) > 1
    assert again.labels == drawn.labels
    for one, other in zip(again.images, drawn.images, strict=True):
        assert np.array_equal(one, other)
