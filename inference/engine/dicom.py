"""Read one greyscale DICOM radiograph: pixels as the modality meant them to be shown, and a few facts."""

import io
import logging
import re
import struct
import zlib
from datetime import date, datetime
from itertools import pairwise
from typing import Literal

import numpy as np
import pydicom
from pydicom.encaps import get_frame
from pydicom.filereader import read_dataset
from pydicom.pixels import apply_modality_lut, apply_voi_lut, get_decoder, pixel_array
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    JPEG2000TransferSyntaxes,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    RLELossless,
)

from . import gdcm_decoder
from .imaging import (
    MAX_BYTES,
    MAX_PIXELS,
    DicomFacts,
    UnreadableRadiograph,
    check_jpeg_scans,
    check_size,
    to_eight_bits,
)

# It quotes element values, which are patient data, in what it logs.
logging.getLogger("pydicom").setLevel(logging.CRITICAL)

MAX_INFLATED = 2 * MAX_PIXELS + MAX_BYTES  # 16 bits a pixel, and the header
MIN_SHADES = 32  # a window that leaves fewer hides the bones


def read_dicom(data: bytes) -> tuple[np.ndarray, Literal["dicom"], DicomFacts, bool]:
    """The fields of a Radiograph, read from a DICOM Part 10 file.

    Raises UnreadableRadiograph; a damaged file may also raise whatever pydicom or a decoder does.
    """
    _check_deflated(data)
    dataset = pydicom.dcmread(io.BytesIO(data))
    _check_header(dataset)
    stored = _decode(dataset)
    dark_bones = dataset.PhotometricInterpretation == "MONOCHROME1"
    sign = -1 if dark_bones else 1
    pixels = to_eight_bits(stored, lambda levels: sign * _shown(levels, dataset), _padding(dataset))
    return pixels, "dicom", _facts(dataset), dark_bones


def _check_deflated(data: bytes) -> None:
    """pydicom inflates a Deflated data set whole, whatever its size: find out first, in bounded memory."""
    source = io.BytesIO(data)
    source.seek(132)
    meta = read_dataset(source, False, True, stop_when=lambda tag, vr, length: tag.group != 2)
    if meta.get("TransferSyntaxUID") != DeflatedExplicitVRLittleEndian:
        return
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    left, size = source.read(), 0
    while left and not inflater.eof:
        size += len(inflater.decompress(left, 1 << 20))
        if size > MAX_INFLATED:
            raise UnreadableRadiograph("too-many-pixels")
        left = inflater.unconsumed_tail


def _check_header(dataset: pydicom.Dataset) -> None:
    if "PixelData" not in dataset:
        # Of a file cut off, pydicom keeps what came before the pixels, or nothing.
        kind = UID(dataset.file_meta.get("MediaStorageSOPClassUID", "")).name
        cut_off = "Rows" in dataset or "Image Storage" in kind or len(dataset) == 0
        raise UnreadableRadiograph("corrupt" if cut_off else "dicom-without-image")
    samples, frames = int(dataset.get("SamplesPerPixel", 1)), int(dataset.get("NumberOfFrames") or 1)
    check_size(int(dataset.Columns), int(dataset.Rows), max(samples, 1) * max(frames, 1))
    if frames > 1:
        raise UnreadableRadiograph("multi-frame")
    if samples != 1 or dataset.PhotometricInterpretation not in ("MONOCHROME1", "MONOCHROME2"):
        raise UnreadableRadiograph("dicom-colour")


def _decode(dataset: pydicom.Dataset) -> np.ndarray:
    """(rows, columns) integers as stored."""
    syntax = dataset.file_meta.TransferSyntaxUID
    try:
        available = get_decoder(syntax).is_available
    except NotImplementedError:
        available = False
    if not available:
        raise UnreadableRadiograph("dicom-compression")
    if not syntax.is_encapsulated:
        return pixel_array(dataset)
    frame = get_frame(dataset.PixelData, 0, number_of_frames=1)
    if syntax == RLELossless:
        _check_runs(frame, dataset.Rows * dataset.Columns)
        return pixel_array(dataset)

    rows, columns, components, precision = _stream_size(frame)
    # What the decoders obey is the size in the compressed stream, not the one that was checked.
    if (rows, columns, components) != (dataset.Rows, dataset.Columns, 1):
        raise UnreadableRadiograph("corrupt")
    if syntax in JPEG2000TransferSyntaxes:
        return pixel_array(dataset, decoding_plugin="pillow")
    check_jpeg_scans(frame)
    if syntax in (JPEGBaseline8Bit, JPEGExtended12Bit) and precision == 8:
        return pixel_array(dataset, decoding_plugin="pillow")
    samples = gdcm_decoder.decode(frame, str(syntax), rows, columns, precision)
    stored = np.frombuffer(samples, "u1" if precision <= 8 else "<u2").reshape(rows, columns)
    if not dataset.PixelRepresentation:
        return stored
    spare = stored.dtype.itemsize * 8 - min(precision, dataset.BitsStored)
    return stored.view(stored.dtype.str.replace("u", "i")) << spare >> spare  # carries the sign bit up


def _stream_size(stream: bytes) -> tuple[int, int, int, int]:
    """Rows, columns, components and bits per sample that a JPEG, JPEG-LS or JPEG 2000 stream declares."""
    start = stream.find(b"\xff\x4f\xff\x51", 0, 4096)  # SOC, SIZ (ISO/IEC 15444-1 A.5.1)
    if start >= 0:
        right, bottom, left, top = struct.unpack_from(">4I", stream, start + 8)
        components, depth = struct.unpack_from(">HB", stream, start + 40)
        return bottom - top, right - left, components, (depth & 0x7F) + 1
    place = 2
    while place < len(stream):
        marker, length = struct.unpack_from(">HH", stream, place)
        # SOF0 to SOF15 but DHT, JPG and DAC (ITU-T T.81 B.1.1.3); SOF55 of JPEG-LS
        if (0xFFC0 <= marker <= 0xFFCF and marker not in (0xFFC4, 0xFFC8, 0xFFCC)) or marker == 0xFFF7:
            precision, rows, columns, components = struct.unpack_from(">BHHB", stream, place + 4)
            return rows, columns, components, precision
        place += 2 + length
    raise UnreadableRadiograph("corrupt")


def _check_runs(frame: bytes, pixels: int) -> None:
    """Refuse run-length segments (DICOM PS3.5 annex G) that unpack to far more than the picture."""
    count = struct.unpack_from("<L", frame)[0]
    if not 1 <= count <= 15:
        raise UnreadableRadiograph("corrupt")
    bounds = [*struct.unpack_from(f"<{count}L", frame, 4), len(frame)]
    for start, end in pairwise(bounds):
        place, unpacked = start, 0
        while place < min(end, len(frame)):
            run = frame[place]
            unpacked += 257 - run if run > 128 else run + 1 if run < 128 else 0
            place += 2 if run > 128 else run + 2 if run < 128 else 1
            if unpacked > pixels + 256:
                raise UnreadableRadiograph("corrupt")


def _shown(levels: np.ndarray, dataset: pydicom.Dataset) -> np.ndarray:
    """Stored levels through the modality LUT, then the VOI LUT or window (DICOM PS3.3 C.11.1 and C.11.2).

    A step that fails, or that leaves hardly any shades, is skipped: the picture itself is sound.
    """
    for name in ("ModalityLUTSequence", "VOILUTSequence"):
        for item in dataset.get(name) or ():
            # pydicom looks levels up in the integer type of the table's output, which wraps where that is 8 bits.
            item.LUTDescriptor[2] = 16
    values = levels
    for apply in (apply_modality_lut, apply_voi_lut):
        try:
            if apply is apply_voi_lut and dataset.get("VOILUTSequence"):
                values = np.rint(values).astype(np.int64)
            new = np.asarray(apply(values, dataset))
        except Exception:
            continue
        if np.isfinite(new).all() and np.unique(new).size >= min(MIN_SHADES, levels.size):
            values = new
    return values


def _padding(dataset: pydicom.Dataset) -> tuple[int, int] | None:
    """Lowest and highest stored value that stand for "no picture here"."""
    try:
        ends = [int(dataset.PixelPaddingValue), int(dataset.get("PixelPaddingRangeLimit", dataset.PixelPaddingValue))]
    except Exception:
        return None
    return min(ends), max(ends)


def _facts(dataset: pydicom.Dataset) -> DicomFacts:
    sex = _text(dataset, "PatientSex").upper()
    return DicomFacts(
        patient_id=_short(_text(dataset, "PatientID")),
        patient_sex=sex if sex in ("M", "F") else None,  # type: ignore[arg-type]
        birth_date=_date(_text(dataset, "PatientBirthDate")),
        study_date=_date(_text(dataset, "StudyDate")),
        laterality=_laterality(dataset),
        family_name=_short(_name(dataset, "family_name")),
        given_name=_short(_name(dataset, "given_name")),
    )


def _short(text: str) -> str | None:
    return text if 0 < len(text) <= 64 and text.isprintable() else None


def _name(dataset: pydicom.Dataset, part: str) -> str:
    try:
        return str(getattr(dataset.PatientName, part)).strip(" \0")
    except Exception:  # absent, or in a character set that is not what the file says
        return ""


def _text(dataset: pydicom.Dataset, keyword: str) -> str:
    try:
        return str(dataset.get(keyword) or "").strip(" \0")
    except Exception:  # a value that its type cannot hold
        return ""


def _date(text: str) -> date | None:
    try:
        day = datetime.strptime(text, "%Y%m%d").date()
    except ValueError:
        return None
    return day if len(text) == 8 and day.year >= 1900 else None


def _laterality(dataset: pydicom.Dataset) -> Literal["L", "R"] | None:
    for keyword in ("ImageLaterality", "Laterality"):
        side = _text(dataset, keyword).upper()
        if side in ("L", "R"):
            return side  # type: ignore[return-value]
    for keyword in ("BodyPartExamined", "SeriesDescription", "ProtocolName"):
        words = re.findall("[A-Z]+", _text(dataset, keyword).upper())
        left = any(word in ("L", "LT", "LEFT", "LHAND", "LWRIST") for word in words)
        right = any(word in ("R", "RT", "RIGHT", "RHAND", "RWRIST") for word in words)
        if left != right:
            return "L" if left else "R"
    return None
