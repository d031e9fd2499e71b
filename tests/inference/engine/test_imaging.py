import io
import os
import pickle
import struct
import threading
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from inference.engine import imaging
from inference.engine.imaging import REASONS, UnreadableRadiograph, is_inverted, read_radiograph, to_eight_bits
from tests import radiograph_files as files

HAND = files.hand()


def refusal(data: bytes) -> str:
    with pytest.raises(UnreadableRadiograph) as caught:
        read_radiograph(data)
    assert str(caught.value) == REASONS[caught.value.code]
    return caught.value.code


@pytest.mark.parametrize(
    ("data", "format", "error"),
    [
        (files.png(), "png", 0),
        (files.jpeg(), "jpeg", 12),
        (files.jpeg(progressive=True), "jpeg", 12),
        (files.tiff(), "tiff", 0),
        (files.tiff(compression="tiff_lzw"), "tiff", 0),
        (files.tiff(compression="tiff_deflate"), "tiff", 0),
        (files.webp(), "webp", 2),
        (files.webp(lossless=False, quality=90), "webp", 25),
    ],
)
def test_every_picture_format_is_read_at_full_resolution(data, format, error):
    radiograph = read_radiograph(data)
    assert radiograph.format == format
    assert radiograph.pixels.dtype == np.uint8
    assert radiograph.pixels.shape == HAND.shape
    assert np.abs(radiograph.pixels.astype(int) - HAND).max() <= error
    assert not radiograph.inverted
    assert radiograph.dicom is None


@pytest.mark.parametrize(
    ("code", "data"),
    [
        ("empty", files.empty()),
        ("too-large", files.png() + bytes(imaging.MAX_BYTES)),
        ("too-many-pixels", files.bomb_png()),
        ("too-many-pixels", files.bomb_png(8_000)),  # above our limit, below the one at which Pillow warns
        ("too-small", files.png(files.hand(99, 300))),
        ("not-an-image", files.text_named_png()),
        ("not-an-image", b"GIF89a" + bytes(1000)),
        ("corrupt", files.truncated_jpeg()),
        ("corrupt", files.png()[:600]),
        ("corrupt", files.tiff()[:600]),
        ("corrupt", files.webp()[:600]),
        ("corrupt", files.png()[:8]),
        ("multi-frame", files.animated_png()),
        ("multi-frame", files.animated_webp()),
        ("multi-frame", files.multi_page_tiff()),
        ("colour", files.colour_photograph()),
        ("colour", files.png(Image.open(io.BytesIO(files.colour_photograph())))),
        ("colour", files.jpeg(Image.open(io.BytesIO(files.colour_photograph())).convert("CMYK"))),
    ],
)
def test_a_bad_file_is_refused_for_its_own_reason(code, data):
    assert refusal(data) == code


def test_every_reason_is_one_sentence_of_its_own():
    assert len(set(REASONS.values())) == len(REASONS)
    for sentence in REASONS.values():
        assert sentence.endswith(".")
        assert ": " in sentence  # what is wrong: what to do


def test_a_refusal_survives_the_way_between_processes():
    copy = pickle.loads(pickle.dumps(UnreadableRadiograph("colour")))
    assert (copy.code, str(copy)) == ("colour", REASONS["colour"])


def webp_declaring(chunk: bytes, body: bytes) -> bytes:
    return b"RIFF" + struct.pack("<L", 100) + b"WEBP" + chunk + struct.pack("<L", len(body)) + body.ljust(80, b"\0")


@pytest.mark.parametrize(
    "bomb",
    [
        webp_declaring(b"VP8X", bytes(4) + b"\xff\xff\x00" + b"\xff\xff\x00"),
        webp_declaring(b"VP8L", b"\x2f" + struct.pack("<L", 0x3FFF | 0x3FFF << 14)),
        webp_declaring(b"VP8 ", b"\0\0\0\x9d\x01\x2a" + struct.pack("<2H", 0x3FFF, 0x3FFF)),
    ],
)
def test_a_webp_bomb_is_refused_before_pillow_makes_room_for_it(bomb, monkeypatch):
    monkeypatch.setattr(Image, "open", lambda *a, **k: pytest.fail("opened"))
    assert refusal(bomb) == "too-many-pixels"


def test_a_tiff_whose_tiles_dwarf_the_picture_is_refused():
    tags = {256: 200, 257: 200, 258: 8, 259: 8, 262: 1, 277: 1, 322: 32768, 323: 32768, 324: 8, 325: 100}
    body = b"".join(struct.pack("<HHLL", tag, 4, 1, value) for tag, value in tags.items())
    assert refusal(b"II*\0" + struct.pack("<LH", 8, len(tags)) + body + bytes(200)) == "too-many-pixels"


def test_a_jpeg_of_countless_scans_is_refused():
    assert refusal(files.jpeg(progressive=True)[:-2] + b"\xff\xda\0\x08\1\1\0\0\x3f\0" * 1000) == "corrupt"


@pytest.mark.parametrize("orientation", range(1, 9), ids=lambda number: f"orientation {number}")
@pytest.mark.parametrize("save", [files.png, files.jpeg, files.tiff, files.webp])
def test_exif_orientation_is_applied_once(save, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    turned = np.asarray(Image.fromarray(HAND))
    undo = {2: turned[:, ::-1], 3: turned[::-1, ::-1], 4: turned[::-1], 5: turned.T, 6: np.rot90(turned)}
    undo |= {7: turned[::-1, ::-1].T, 8: np.rot90(turned, -1)}
    stored = np.ascontiguousarray(undo.get(orientation, turned))
    pixels = read_radiograph(save(stored, exif=exif)).pixels
    assert pixels.shape == HAND.shape
    assert np.abs(pixels.astype(int) - HAND).mean() < 2


def test_damaged_exif_data_do_not_cost_a_sound_picture():
    assert read_radiograph(files.jpeg(exif=b"Exif\0\0II*\0\xff\xff\xff\xff")).pixels.shape == HAND.shape


def grey_as(mode: str) -> Image.Image:
    grey = Image.fromarray(HAND)
    if mode == "RGBA":
        return Image.merge("RGBA", [grey, grey, grey, Image.fromarray(np.full_like(HAND, 128))])
    return grey.convert(mode)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA", "P"])
def test_a_grey_picture_saved_with_colour_or_transparency_is_read_as_grey(mode):
    assert np.abs(read_radiograph(files.png(grey_as(mode))).pixels.astype(int) - HAND).max() <= 1


def test_a_grey_cmyk_picture_is_read():
    pixels = read_radiograph(files.tiff(Image.fromarray(HAND).convert("RGB").convert("CMYK"))).pixels
    assert np.abs(pixels.astype(int) - HAND).max() <= 1


def test_a_slight_even_tint_and_a_small_coloured_marker_are_no_photograph():
    tinted = np.stack([HAND * 0.9, HAND * 0.95, HAND], axis=-1)
    tinted[:16, :16] = (255, 0, 0)
    assert read_radiograph(files.png(tinted.astype(np.uint8))).pixels.shape == HAND.shape


@pytest.mark.parametrize("save", [files.png, files.tiff])
def test_sixteen_bits_are_scaled_without_banding(save):
    narrow = 20_000 + files.hand(depth=12)  # 12 bits of contrast somewhere within 16
    low, high = np.percentile(narrow, (0.1, 99.9), method="inverted_cdf")
    exact = np.clip((narrow.astype(float) - low) / (high - low), 0, 1) * 255
    pixels = read_radiograph(save(narrow)).pixels
    assert np.abs(pixels - exact).max() <= 0.5001


def test_a_picture_of_floating_point_numbers_is_scaled_too():
    values = (HAND / 255 - 0.5).astype(np.float32)
    values[0, 0], values[0, 1] = np.nan, np.inf
    pixels = read_radiograph(files.tiff(values)).pixels
    assert np.corrcoef(pixels.ravel(), HAND.ravel())[0, 1] > 0.99


def test_levels_deeper_than_sixteen_bits_are_scaled():
    deep = HAND.astype(np.int32) * 8_000_000 - 1_000_000_000
    assert np.abs(to_eight_bits(deep).astype(int) - to_eight_bits(HAND.astype(np.uint16))).max() <= 1


def test_padding_is_black_and_does_not_squeeze_the_rest():
    padded = files.hand(depth=12)
    padded[:50] = 65535
    pixels = to_eight_bits(padded, padding=(65535, 65535))
    assert (pixels[:50] == 0).all()
    assert pixels[50:].max() == 255


def test_a_negative_is_turned_round_and_said_so():
    radiograph = read_radiograph(files.png(255 - HAND))
    assert radiograph.inverted
    assert (radiograph.pixels == HAND).all()


@pytest.mark.parametrize("frame", [0, 255])
@pytest.mark.parametrize("contrast", [1, 0.1])
def test_polarity_is_found_whatever_the_collimator_left_and_however_flat(frame, contrast):
    picture = np.pad((HAND * contrast).astype(np.uint8), 15, constant_values=frame)
    assert not is_inverted(picture)
    assert is_inverted(255 - picture)


def test_an_even_picture_is_not_called_inverted():
    assert not is_inverted(np.full((200, 150), 90, np.uint8))


def test_nothing_about_a_patient_shows_in_a_repr():
    assert "Alice" not in repr(imaging.DicomFacts(patient_id="Alice"))


def test_files_are_read_from_several_threads_at_once():
    results = []
    jobs = [(files.png(), "png"), (files.dicom(), "dicom"), (files.truncated_jpeg(), "corrupt")] * 4

    def read(data, expected):
        try:
            results.append(read_radiograph(data).format == expected)
        except UnreadableRadiograph as error:
            results.append(error.code == expected)

    threads = [threading.Thread(target=read, args=job) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [True] * len(jobs)


WHOLE = [files.png(), files.jpeg(), files.tiff(), files.tiff(compression="tiff_lzw"), files.webp()]


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_damaged_bytes_are_read_or_refused_but_never_crash(data):
    whole = bytearray(data.draw(st.sampled_from(WHOLE)))
    for place, byte in data.draw(st.lists(st.tuples(st.integers(0, len(whole) - 1), st.integers(0, 255)), max_size=9)):
        whole[place] = byte
    try:
        radiograph = read_radiograph(bytes(whole[: data.draw(st.integers(0, len(whole)))]))
    except UnreadableRadiograph:
        return
    assert radiograph.pixels.dtype == np.uint8
    assert radiograph.pixels.ndim == 2


@pytest.mark.skipif("BONEAGE_DATA" not in os.environ, reason="BONEAGE_DATA is not set: no real radiographs to read")
def test_polarity_of_real_radiographs_is_wrong_in_less_than_half_a_percent():
    with zipfile.ZipFile(Path(os.environ["BONEAGE_DATA"]) / "rsna299_val.zip") as archive:
        names = [name for name in archive.namelist() if name.endswith(".webp")]
        pictures = [np.asarray(Image.open(archive.open(name)).convert("L")) for name in names]
    assert len(pictures) > 1000
    assert np.mean([is_inverted(picture) for picture in pictures]) < 0.005
    assert np.mean([not is_inverted(255 - picture) for picture in pictures]) < 0.005
