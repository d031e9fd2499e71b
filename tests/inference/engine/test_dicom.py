import io
import logging
import struct
import subprocess
import warnings
import zlib
from datetime import date

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    JPEG2000,
    UID,
    BasicTextSRStorage,
    DeflatedExplicitVRLittleEndian,
    EncapsulatedPDFStorage,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEG2000MCLossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
    generate_uid,
)

from inference.engine import dicom as reader
from inference.engine import gdcm_decoder
from inference.engine.imaging import UnreadableRadiograph, read_radiograph, to_eight_bits
from tests import radiograph_files as files

EIGHT, TWELVE = files.hand(), files.hand(depth=12)


def refusal(data: bytes) -> str:
    with pytest.raises(UnreadableRadiograph) as caught:
        read_radiograph(data)
    return caught.value.code


@pytest.mark.parametrize(
    ("syntax", "pixels", "error"),
    [
        (ImplicitVRLittleEndian, TWELVE, 0),
        (DeflatedExplicitVRLittleEndian, TWELVE, 0),
        (RLELossless, TWELVE, 0),
        (RLELossless, EIGHT, 0),
        (JPEGBaseline8Bit, EIGHT, 16),
        (JPEGExtended12Bit, EIGHT, 16),
        (JPEGLossless, EIGHT, 0),
        (JPEGLossless, TWELVE, 0),
        (JPEGLosslessSV1, TWELVE, 0),
        (JPEGLSLossless, EIGHT, 0),
        (JPEGLSLossless, TWELVE, 0),
        (JPEGLSNearLossless, TWELVE, 1),
        (JPEG2000Lossless, EIGHT, 0),
        (JPEG2000Lossless, files.hand(depth=16), 0),
        (JPEG2000, EIGHT, 0),
    ],
    ids=lambda value: value.name if hasattr(value, "name") else str(getattr(value, "dtype", value)),
)
def test_every_transfer_syntax_gives_the_same_picture(syntax, pixels, error):
    radiograph = read_radiograph(files.dicom(pixels, syntax))
    assert radiograph.format == "dicom"
    assert not radiograph.inverted
    assert np.abs(radiograph.pixels.astype(int) - to_eight_bits(pixels)).max() <= error


def test_twelve_bit_jpeg_extended_is_read():
    sample = get_testdata_file("JPGExtended.dcm", read=True, download=False)
    stored = reader._decode(sample)
    assert (sample.BitsStored, stored.dtype, stored[420, 140], stored[230, 120]) == (12, np.uint16, 244, 95)


def test_big_endian_is_read():
    pixels = TWELVE.astype(">u2")
    assert (read_radiograph(files.dicom(pixels, ExplicitVRBigEndian)).pixels == to_eight_bits(TWELVE)).all()


def test_signed_pixels_are_read():
    assert (read_radiograph(files.dicom(TWELVE.astype(np.int16) - 2048)).pixels == to_eight_bits(TWELVE)).all()


def test_signed_compressed_pixels_are_read():
    signed = (TWELVE.astype(np.int16) - 2048) & 0xFFF  # two's complement in 12 bits
    data = files.dicom(signed.astype(np.uint16), JPEGLossless, PixelRepresentation=1)
    assert (read_radiograph(data).pixels == to_eight_bits(TWELVE)).all()


def test_a_decoder_that_dies_or_never_ends_costs_only_that_file(monkeypatch, tmp_path):
    program = tmp_path / "decoder.py"
    monkeypatch.setattr(gdcm_decoder, "__file__", str(program))
    program.write_text("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)")
    assert refusal(files.dicom(syntax=JPEGLossless)) == "corrupt"

    program.write_text("while True: pass")
    run = subprocess.run
    monkeypatch.setattr(subprocess, "run", lambda *a, **k: run(*a, **{**k, "timeout": 0.2}))
    assert refusal(files.dicom(syntax=JPEGLSLossless)) == "corrupt"


def test_monochrome1_is_turned_round():
    radiograph = read_radiograph(files.dicom(4095 - TWELVE, PhotometricInterpretation="MONOCHROME1"))
    assert radiograph.inverted
    assert np.abs(radiograph.pixels.astype(int) - to_eight_bits(TWELVE)).max() <= 1


def test_what_the_header_says_of_polarity_is_believed_over_the_looks():
    radiograph = read_radiograph(files.dicom(4095 - TWELVE))
    assert not radiograph.inverted
    assert radiograph.pixels.mean() > 128


def test_the_window_decides_what_is_black_and_white():
    pixels = read_radiograph(files.dicom(WindowCenter=2000, WindowWidth=1000)).pixels
    assert (pixels[TWELVE < 1490] == 0).all()
    assert (pixels[TWELVE > 2510] == 255).all()


def test_the_window_applies_to_rescaled_values():
    moved = {"RescaleSlope": 2, "RescaleIntercept": -1000, "RescaleType": "US"}
    rescaled = read_radiograph(files.dicom(**moved, WindowCenter=3000, WindowWidth=2000)).pixels
    plain = read_radiograph(files.dicom(WindowCenter=2000, WindowWidth=1000)).pixels
    assert np.abs(rescaled.astype(int) - plain).max() <= 1


def lookup_table(entries: list[int], bits: int) -> Dataset:
    item = Dataset()
    item.LUTDescriptor = [len(entries), 0, bits]
    item.LUTData = struct.pack(f"<{len(entries)}H", *entries)
    return item


@pytest.mark.parametrize("keyword", ["VOILUTSequence", "ModalityLUTSequence"])
@pytest.mark.parametrize("bits", [8, 12])
def test_a_lookup_table_is_applied(keyword, bits):
    curve = [int((2**bits - 1) * (level / 4095) ** 2) for level in range(4096)]
    item = lookup_table(curve, bits)
    item.ModalityLUTType = "US"
    pixels = read_radiograph(files.dicom(**{keyword: [item]})).pixels
    assert (pixels == to_eight_bits(np.array(curve, np.uint16)[TWELVE])).all()


@pytest.mark.parametrize(
    "window",
    [
        {"WindowCenter": 0, "WindowWidth": 1},
        {"WindowCenter": 2000, "WindowWidth": 0},
        {"WindowCenter": 60000, "WindowWidth": 10},
        {"WindowCenter": [], "WindowWidth": []},
        {"VOILUTSequence": [lookup_table([1, 2, 3], 9)]},
    ],
)
def test_a_useless_window_does_not_hide_the_bones(window):
    assert (read_radiograph(files.dicom(**window)).pixels == to_eight_bits(TWELVE)).all()


def test_padding_is_black_in_either_polarity():
    for photometric, corner in (("MONOCHROME2", 4095), ("MONOCHROME1", 0)):
        pixels = TWELVE.copy()
        pixels[:30] = corner
        shown = read_radiograph(
            files.dicom(pixels, PhotometricInterpretation=photometric, PixelPaddingValue=corner)
        ).pixels
        assert (shown[:30] == 0).all()


def document(kind: UID, **elements) -> bytes:
    """A DICOM file without a picture."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID = kind
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID = generate_uid()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    for keyword, value in elements.items():
        setattr(dataset, keyword, value)
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("code", "data"),
    [
        ("dicom-without-image", document(BasicTextSRStorage)),
        ("dicom-without-image", document(EncapsulatedPDFStorage, EncapsulatedDocument=b"%PDF-1.4")),
        ("dicom-colour", files.dicom(EIGHT, SamplesPerPixel=3, PhotometricInterpretation="RGB")),
        ("dicom-colour", files.dicom(EIGHT, PhotometricInterpretation="PALETTE COLOR")),
        ("multi-frame", files.dicom(NumberOfFrames=2)),
        ("too-many-pixels", files.dicom(Rows=60000, Columns=60000)),
        ("too-many-pixels", files.dicom(NumberOfFrames=100000)),
        ("too-small", files.dicom(files.hand(99, 120))),
        ("corrupt", files.dicom()[:-20000]),
        ("corrupt", files.dicom()[:400]),
        ("corrupt", files.dicom(syntax=JPEGLossless)[:-3000]),
        ("corrupt", files.dicom(BitsAllocated=12)),
        ("corrupt", files.dicom(PhotometricInterpretation=None)),
    ],
)
def test_a_bad_dicom_file_is_refused_for_its_own_reason(code, data):
    assert refusal(data) == code


def test_an_unknown_compression_is_refused_with_what_to_do():
    data = files.dicom(EIGHT, JPEG2000Lossless)
    assert refusal(data.replace(JPEG2000Lossless.encode(), JPEG2000MCLossless.encode())) == "dicom-compression"


def test_a_compressed_stream_larger_than_its_header_says_is_not_decoded(monkeypatch):
    monkeypatch.setattr(reader, "pixel_array", lambda *a, **k: pytest.fail("decoded"))
    monkeypatch.setattr(gdcm_decoder, "decode", lambda *a, **k: pytest.fail("decoded"))
    for syntax in (JPEGBaseline8Bit, JPEGLossless, JPEGLSLossless, JPEG2000):
        assert refusal(files.dicom(EIGHT, syntax, Rows=120, Columns=120)) == "corrupt"


def test_runs_that_unpack_to_more_than_the_picture_are_not_decoded(monkeypatch):
    monkeypatch.setattr(reader, "pixel_array", lambda *a, **k: pytest.fail("decoded"))
    bomb = struct.pack("<16L", 1, 64, *[0] * 14) + b"\x81\0" * 500_000
    assert refusal(files.dicom(EIGHT, RLELossless, PixelData=encapsulate([bomb]))) == "corrupt"


def test_a_deflated_bomb_is_not_inflated(monkeypatch):
    monkeypatch.setattr(reader, "MAX_INFLATED", 10_000_000)
    monkeypatch.setattr(reader.pydicom, "dcmread", lambda *a, **k: pytest.fail("read"))
    data = files.dicom(syntax=DeflatedExplicitVRLittleEndian)
    header = data[: 144 + struct.unpack_from("<L", data, 140)[0]]
    packer = zlib.compressobj(9, wbits=-15)
    bomb = packer.compress(bytes(50_000_000)) + packer.flush()
    assert refusal(header + bomb) == "too-many-pixels"


def facts(**elements):
    return read_radiograph(files.dicom(**elements)).dicom


def test_the_facts_of_the_header_are_told():
    alice = facts(
        PatientID=" A-17 ", PatientSex="F", PatientBirthDate="20120229", StudyDate="20240105", ImageLaterality="L"
    )
    assert (alice.patient_id, alice.patient_sex) == ("A-17", "F")
    assert (alice.birth_date, alice.study_date) == (date(2012, 2, 29), date(2024, 1, 5))
    assert alice.laterality == "L"


def test_absent_facts_are_none():
    nobody = facts()
    assert nobody.patient_id is nobody.patient_sex is nobody.birth_date is nobody.study_date is None
    assert nobody.laterality is None


@pytest.mark.filterwarnings("ignore::UserWarning:pydicom")  # from writing what no writer should
@pytest.mark.parametrize("day", ["20120230", "2012", "12.03.2012", "00000000", "2012031", "now", "99999999"])
def test_a_malformed_date_is_none(day):
    assert facts(PatientBirthDate=day).birth_date is None


@pytest.mark.parametrize("sex", ["O", "X", "", "FEMALE"])
def test_a_sex_that_is_neither_m_nor_f_is_none(sex):
    assert facts(PatientSex=sex).patient_sex is None


@pytest.mark.parametrize(
    ("elements", "side"),
    [
        ({"Laterality": "R"}, "R"),
        ({"ImageLaterality": "B"}, None),
        ({"ImageLaterality": "U", "BodyPartExamined": "LHAND"}, "L"),
        ({"BodyPartExamined": "HAND_LT"}, "L"),
        ({"BodyPartExamined": "HAND"}, None),
        ({"SeriesDescription": "Right hand PA"}, "R"),
        ({"SeriesDescription": "Left and right hand"}, None),
    ],
)
def test_the_side_is_taken_from_where_it_is_said(elements, side):
    assert facts(**elements).laterality == side


@pytest.mark.filterwarnings("ignore::UserWarning:pydicom")
def test_nothing_of_the_patient_is_printed_or_logged(caplog, capfd):
    data = files.dicom(PatientBirthDate="Bob-birth", PatientID="Bob" * 40, PatientAge="Bob-age")
    capfd.readouterr()
    caplog.clear()
    caplog.set_level(logging.DEBUG)
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        assert read_radiograph(data).dicom.birth_date is None
    printed = capfd.readouterr()
    assert "Bob" not in caplog.text + printed.out + printed.err + " ".join(str(warning.message) for warning in seen)


WHOLE = [
    files.dicom(pixels, syntax, PatientID="A-17", StudyDate="20240105", WindowCenter=100, WindowWidth=200)
    for pixels, syntax in [
        (TWELVE, ImplicitVRLittleEndian),
        (TWELVE, DeflatedExplicitVRLittleEndian),
        (TWELVE, RLELossless),
        (EIGHT, JPEGBaseline8Bit),
        (EIGHT, JPEG2000),
    ]
]


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_damaged_bytes_are_read_or_refused_but_never_crash(data):
    whole = bytearray(data.draw(st.sampled_from(WHOLE)))
    places = st.integers(0, len(whole) - 1) | st.integers(128, 1400)
    for place, byte in data.draw(st.lists(st.tuples(places, st.integers(0, 255)), max_size=9)):
        whole[place] = byte
    try:
        radiograph = read_radiograph(bytes(whole[: data.draw(st.integers(0, len(whole)) | st.just(len(whole)))]))
    except UnreadableRadiograph:
        return
    assert radiograph.pixels.dtype == np.uint8
    assert radiograph.pixels.ndim == 2
