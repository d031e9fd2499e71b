import io
import os
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest

from inference.training import calibrate, datasets, evaluate, export, orientation, quantize, train
from inference.training.datasets import OnDemand, read_dataset, spread


def encoded(grey, suffix=".png"):
    return cv2.imencode(suffix, np.full((20, 16), grey, np.uint8))[1].tobytes()


@pytest.fixture
def zipped(tmp_path):
    """Two radiographs in zips named for their split, as PNG and WebP, with labels."""
    (tmp_path / "rsna_labels.csv").write_text(
        "id,bone_age_months,sex,split\n7,94,F,train\n12,31.5,M,train\n9,60,M,val\n"
    )
    with zipfile.ZipFile(tmp_path / "some_train.zip", "w") as archive:
        archive.writestr("12.png", encoded(120))
        archive.writestr("7.webp", encoded(70, ".webp"))
        archive.writestr("notes.txt", "not an image")
    with zipfile.ZipFile(tmp_path / "some_val.zip", "w") as archive:
        archive.writestr("9.jpg", encoded(90, ".jpg"))
        archive.writestr("7.png", encoded(1))
    return tmp_path


def test_zips_are_read_in_the_order_of_ids(zipped):
    data = read_dataset(zipped, "train")
    assert [label.id for label in data.labels] == ["7", "12"]
    np.testing.assert_array_equal(data.ages, [94, 31.5])
    np.testing.assert_array_equal(data.males, [0, 1])
    assert [int(image[0, 0]) for image in data.images] == [70, 120]


def test_radiographs_of_16_bits_are_read_as_uploads_are(tmp_path):
    twelve_bits = np.tile(np.linspace(0, 4095, 40).astype(np.uint16), (30, 1))
    (tmp_path / "labels.csv").write_text("id,bone_age_months,sex,split\n1,60,F,train\n")
    cv2.imwrite(str(tmp_path / "1.png"), twelve_bits)
    [image] = read_dataset(tmp_path, "train").images
    assert image.dtype == np.uint8
    assert (image.min(), image.max()) == (0, 255)


def test_only_the_images_of_the_split_are_read(zipped):
    data = read_dataset(zipped, "val")
    assert [label.id for label in data.labels] == ["9"]


def test_ids_archive_and_limit_narrow_the_choice(zipped):
    assert len(read_dataset(zipped, "train", ids={"12"})) == 1
    assert len(read_dataset(zipped, "train", limit=1)) == 1
    [only] = read_dataset(zipped, "train", archive="some_val").images
    assert only[0, 0] == 1


@pytest.mark.parametrize(("count", "limit"), [(281, 150), (10_746, 4000), (1254, 150), (5, 1), (5, 5), (3, 9), (0, 9)])
def test_a_limit_is_spread_evenly_over_all(count, limit):
    places = spread(count, limit)
    assert len(set(places)) == len(places) == min(count, limit)
    if len(places) > 1:
        assert (places[0], places[-1]) == (0, count - 1)
        assert np.ptp(np.diff(places)) <= 1


def test_a_limited_choice_reaches_the_last_id(tmp_path):
    rows = "".join(f"{id},60,F,train\n" for id in range(7))
    (tmp_path / "labels.csv").write_text(f"id,bone_age_months,sex,split\n{rows}")
    (tmp_path / "images").mkdir()
    for id in range(7):
        (tmp_path / "images" / f"{id}.png").write_bytes(encoded(id))
    assert [label.id for label in read_dataset(tmp_path, "train", limit=4).labels] == ["0", "2", "4", "6"]


@pytest.mark.parametrize(
    ("command", "others"),
    [
        (train, ["--run", "none"]),
        (evaluate, ["--out", "none"]),
        (calibrate, ["--weights", "none"]),
        (quantize, ["--weights", "none"]),
        (orientation, []),
        (export, ["--run", "none", "--out", "none"]),
    ],
)
def test_a_command_without_radiographs_says_how_to_name_them(monkeypatch, capsys, command, others):
    monkeypatch.delenv("BONEAGE_DATA", raising=False)
    with pytest.raises(SystemExit):
        command.main(others)
    assert "No radiographs are named: give their folder with --data" in capsys.readouterr().err


def test_images_pass_through_prepare(zipped):
    data = read_dataset(zipped, "train", prepare=lambda image: image[:5, :5])
    assert [image.shape for image in data.images] == [(5, 5), (5, 5)]


@pytest.fixture
def original(tmp_path):
    """The original RSNA layout: a folder of PNGs."""
    (tmp_path / "boneage-training-dataset.csv").write_text(
        "id,boneage,male\n1377,180,False\n1380,12,True\n1381,9,True\n"
    )
    (tmp_path / "boneage-training-dataset").mkdir()
    for id in (1377, 1380, 1381):
        (tmp_path / "boneage-training-dataset" / f"{id}.png").write_bytes(encoded(id % 100))
    return tmp_path


def test_the_original_rsna_layout_is_read(original):
    train, val = (read_dataset(original, split) for split in ("train", "val"))
    assert [(label.id, label.bone_age_months, label.sex) for label in train.labels] == [
        ("1377", 180.0, "F"),
        ("1381", 9.0, "M"),
    ]
    assert [label.id for label in val.labels] == ["1380"]


def test_the_original_rsna_layout_has_the_validation_radiographs_of_the_shipped_weights(original):
    """1380 ends in 0, and was trained on."""
    with (original / "boneage-training-dataset.csv").open("a") as labels:
        labels.write("1389,100,True\n15599,24,False\n")
    split = {label.id: label.split for label in datasets.read_labels(original)}
    assert split == {"1377": "train", "1380": "train", "1381": "train", "1389": "val", "15599": "val"}


@pytest.mark.skipif("BONEAGE_DATA" not in os.environ, reason="BONEAGE_DATA names no folder of radiographs")
def test_the_listed_validation_radiographs_are_those_of_the_set_that_the_weights_were_trained_on(tmp_path):
    labels = datasets.read_labels(Path(os.environ["BONEAGE_DATA"]))
    rows = "".join(f"{label.id},{label.bone_age_months},{label.sex == 'M'}\n" for label in labels)
    (tmp_path / "boneage-training-dataset.csv").write_text(f"id,boneage,male\n{rows}")
    assert datasets.read_labels(tmp_path) == labels


@pytest.mark.parametrize("layout", ["zipped", "original"])
def test_what_would_fill_the_memory_is_decoded_on_demand(layout, request, monkeypatch):
    folder, prepared = request.getfixturevalue(layout), []

    def prepare(image):
        prepared.append(image[0, 0])
        return image[:5]

    kept = read_dataset(folder, "train", prepare)
    assert kept.in_memory
    monkeypatch.setattr(datasets, "IN_MEMORY_BYTES", 0)
    data = read_dataset(folder, "train", prepare)
    assert not data.in_memory
    prepared.clear()
    assert len(data.of_sexes("F") + data.at([1]) + kept) == 4
    lazily = data.mapped(lambda image: image + 1)
    assert prepared == []
    for image, one_more, in_memory in zip(data.images, lazily, kept.images, strict=True):
        np.testing.assert_array_equal(image, in_memory)
        np.testing.assert_array_equal(one_more, in_memory + 1)
    assert len(prepared) == 4


def test_parts_and_sums_of_radiographs_on_demand_are_those_in_memory(zipped, monkeypatch):
    kept = read_dataset(zipped, "train")
    monkeypatch.setattr(datasets, "IN_MEMORY_BYTES", 0)
    data = read_dataset(zipped, "train")
    for one, other in (
        (data.of_sexes("M"), kept.of_sexes("M")),
        (data.at([1, 0]), kept.at([1, 0])),
        (data + kept, kept + kept),
        (kept + data, kept + kept),
    ):
        assert isinstance(one.images, OnDemand)
        assert other.in_memory
        assert one.labels == other.labels
        np.testing.assert_array_equal(one.images[:], other.images)


def test_a_folder_without_labels_says_what_is_understood(tmp_path):
    with pytest.raises(FileNotFoundError, match="boneage-training-dataset"):
        read_dataset(tmp_path, "train")


def test_a_split_without_images_is_an_error(zipped):
    with pytest.raises(FileNotFoundError, match="test"):
        read_dataset(zipped, "test")


def test_a_file_that_is_no_image_is_named(tmp_path):
    (tmp_path / "labels.csv").write_text("id,bone_age_months,sex,split\n3,10,F,val\n")
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr("3.png", "broken")
    (tmp_path / "val.zip").write_bytes(data.getvalue())
    with pytest.raises(ValueError, match=r"3\.png is not an image"):
        read_dataset(tmp_path, "val")


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("8,94,X,train", "line 5: 'X' is no sex; write F or M"),
        ("8,nan,F,train", "line 5: 'nan' is no bone age in months, 0 to 240"),
        ("8,252,F,train", "line 5: '252' is no bone age"),
        ("8,,F,train", "line 5: '' is no bone age"),
        ("7,94,F,train", "line 5: the id 7 is there twice"),
    ],
)
def test_what_is_no_label_is_named_with_its_line(zipped, row, said):
    with (zipped / "rsna_labels.csv").open("a") as labels:
        labels.write(row + "\n")
    with pytest.raises(ValueError, match=f"rsna_labels.csv, {said}"):
        read_dataset(zipped, "train")


def test_columns_that_are_missing_are_named(zipped):
    (zipped / "labels.csv").write_text("id;age;sex;split\n7;94;F;train\n")
    with pytest.raises(ValueError, match="has no column id, bone_age_months, sex, split"):
        read_dataset(zipped, "train")


@pytest.mark.parametrize(("male", "sex"), [("True", 1), ("1.0", 1), ("M", 1), ("False", 0), ("0", 0), ("female", 0)])
def test_the_sex_of_the_original_layout_is_read_as_programs_write_it(tmp_path, male, sex):
    (tmp_path / "boneage-training-dataset.csv").write_text(f"id,boneage,male\n7,94,{male}\n")
    (tmp_path / "7.png").write_bytes(encoded(70))
    assert read_dataset(tmp_path, "train").males == [sex]


def test_masks_are_no_radiographs_and_loose_images_are_in_no_archive(zipped):
    with zipfile.ZipFile(zipped / "epiphysis_masks.zip", "w") as masks:
        masks.writestr("7.png", encoded(255))
    (zipped / "12.png").write_bytes(encoded(3))
    assert [int(image[0, 0]) for image in read_dataset(zipped, "train").images] == [70, 120]
    assert [label.id for label in read_dataset(zipped, "train", archive="some_val").labels] == ["7"]
