"""Turn the bytes of an upload into one greyscale radiograph, bone bright, or say in a sentence why not."""

import contextlib
import io
import threading
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import Literal

import numpy as np
from PIL import Image, ImageOps

from inference.engine.margins import cut_to, kept_columns

MAX_BYTES = 25 * 1024 * 1024
MAX_PIXELS = 60_000_000
MIN_SIDE = 100  # pixels
MAX_JPEG_SCANS = 100  # an honest progressive JPEG has about ten

Format = Literal["png", "jpeg", "tiff", "webp", "dicom"]

REASONS = {
    "empty": "The file is empty (0 bytes): export the radiograph again and upload the new file.",
    "too-large": "The file is larger than 25 MB: export the radiograph alone, or with compression, and upload that.",
    "too-many-pixels": "The picture has more than 60 million pixels: export the radiograph at its original size "
    "or smaller.",
    "too-small": "The picture is less than 100 pixels wide or high, too small to read a bone age from: export the "
    "radiograph at its original size.",
    "not-an-image": "This is not a PNG, JPEG, TIFF, WebP or DICOM file, whatever its name says: export the "
    "radiograph in one of these formats.",
    "corrupt": "The file is damaged or incomplete: export or copy the radiograph again and upload the new file.",
    "multi-frame": "The file holds several pictures (an animation, several pages or a series of frames): upload "
    "the radiograph of the hand as a file of its own.",
    "colour": "This is a colour picture, not a radiograph: upload the greyscale radiograph itself.",
    "dicom-without-image": "This DICOM file holds no picture (it may be a report, a document or a directory): "
    "export the radiograph itself.",
    "dicom-colour": "This DICOM file holds a colour picture, such as a screen capture or a photograph: export the "
    "original greyscale radiograph.",
    "dicom-compression": "This DICOM file is compressed in a way that cannot be read here: export it uncompressed, "
    "or as JPEG Lossless or JPEG 2000.",
}


class UnreadableRadiograph(ValueError):
    """A file that cannot be taken as a radiograph.

    `code` is a key of `REASONS`; `str()` is its sentence, which tells a technician what to do.
    """

    def __init__(self, code: str):
        super().__init__(code)
        self.code = code

    def __str__(self) -> str:
        return REASONS[self.code]


@dataclass(frozen=True, repr=False)  # no repr: patient data must not reach a log or a traceback
class DicomFacts:
    """What a DICOM header says about the patient and the study; None where it is absent or implausible."""

    patient_id: str | None = None
    patient_sex: Literal["M", "F"] | None = None
    birth_date: date | None = None
    study_date: date | None = None
    laterality: Literal["L", "R"] | None = None
    family_name: str | None = None
    given_name: str | None = None


@dataclass(frozen=True, eq=False, repr=False)
class Radiograph:
    """One radiograph as read: `pixels` is (height, width) uint8 at full resolution, bone bright.

    `inverted` is True where the stored picture had bone dark and was turned round.
    """

    pixels: np.ndarray
    format: Format
    dicom: DicomFacts | None
    inverted: bool


# One file at a time in a process: it bounds the memory that decoding takes, and changing the filter of warnings
# (which may quote patient data) is not safe between threads.
_reading = threading.Lock()


def read_radiograph(data: bytes) -> Radiograph:
    """Decode a PNG, JPEG, TIFF, WebP or DICOM file, told apart by content.

    Raises UnreadableRadiograph, and nothing else, for bytes that are no usable radiograph. Size and dimensions
    are checked before any pixel is decoded.
    """
    if not data:
        raise UnreadableRadiograph("empty")
    if len(data) > MAX_BYTES:
        raise UnreadableRadiograph("too-large")
    format = _format(data)
    with _reading, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            if format == "dicom":
                # Imported on first use: pydicom and GDCM take longer to import than all the rest.
                from .dicom import read_dicom

                return Radiograph(*read_dicom(data))
            pixels = _read_picture(data, format)
        except UnreadableRadiograph:
            raise
        except Image.DecompressionBombError:
            raise UnreadableRadiograph("too-many-pixels") from None
        except Exception:  # decoders raise anything on hostile bytes, and their messages may quote patient data
            raise UnreadableRadiograph("corrupt") from None
    inverted = is_inverted(pixels)
    return Radiograph(255 - pixels if inverted else pixels, format, None, inverted)


def check_size(width: int, height: int, planes: int = 1) -> None:
    """Raise UnreadableRadiograph unless the dimensions a header declares are worth decoding."""
    if width * height * planes > MAX_PIXELS:
        raise UnreadableRadiograph("too-many-pixels")
    if min(width, height) < MIN_SIDE:
        raise UnreadableRadiograph("too-small")


def check_jpeg_scans(stream: bytes) -> None:
    """Raise UnreadableRadiograph for a JPEG whose countless empty scans would each be drawn over all pixels."""
    if stream.count(b"\xff\xda") > MAX_JPEG_SCANS:
        raise UnreadableRadiograph("corrupt")


def to_eight_bits(
    stored: np.ndarray,
    shown: Callable[[np.ndarray], np.ndarray] = lambda levels: levels,
    padding: tuple[int, int] | None = None,
) -> np.ndarray:
    """Scale integers of any depth to uint8 between their 0.1 and 99.9 percentiles.

    `shown` maps stored levels (int64) to displayed ones; it is applied to each level once, not to each pixel.
    Levels within `padding` (lowest, highest; both included) are no picture: left out, and black.
    """
    lowest, highest = int(stored.min()), int(stored.max())
    step = (highest - lowest) // 65536 + 1  # deeper than 16 bits: no more levels than 16 bits have
    levels = np.arange(lowest, highest + 1, step)
    wide = np.int32 if stored.dtype.itemsize < 4 else np.int64
    index = np.subtract(stored, lowest, dtype=wide) // step
    counts = np.bincount(index.ravel(), minlength=levels.size)
    blank = np.zeros(levels.size, bool) if padding is None else (levels >= padding[0]) & (levels <= padding[1])
    counts[blank] = 0

    values = shown(levels).astype(np.float64)
    order = np.argsort(values, kind="stable")
    share = np.cumsum(counts[order]) / max(1, counts.sum())
    black, white = values[order][np.minimum(np.searchsorted(share, (0.001, 0.999)), levels.size - 1)]
    grey = np.clip((values - black) / max(white - black, 1e-9), 0, 1)
    grey[blank] = 0
    return np.rint(grey * 255).astype(np.uint8)[index]


def is_inverted(pixels: np.ndarray) -> bool:
    """Whether a (height, width) uint8 picture of a hand is stored with bone dark on a bright background.

    The middle, where the hand lies, is compared with the ring around it by brightness rank, so that neither
    exposure nor contrast matters. The corners count little: outside the collimator they are as often white as black.
    Film beside the hand is left out: with that it does not lie in the middle.
    """
    around = cut_to(pixels, kept_columns(pixels))
    thumbnail = np.asarray(Image.fromarray(around).resize((64, 64), Image.Resampling.BOX))
    counts = np.bincount(thumbnail.ravel(), minlength=256)
    rank = (np.cumsum(counts) - counts / 2) / thumbnail.size
    return float((rank[thumbnail] * _MIDDLE_AGAINST_RING).sum()) < -1e-6


def _middle_against_ring() -> np.ndarray:
    distance = np.hypot(*np.mgrid[-1:1:64j, -1:1:64j])
    # Widths found on the RSNA 2017 training radiographs: 0.2 % of them, and of their negatives, come out wrong.
    middle, ring = (np.exp(-0.5 * (distance / width) ** 2) for width in (0.2, 0.5))
    return middle / middle.sum() - ring / ring.sum()


_MIDDLE_AGAINST_RING = _middle_against_ring()


def _format(data: bytes) -> Format:
    if data[128:132] == b"DICM":
        return "dicom"
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png"
    if data.startswith(b"\xff\xd8\xff"):
        return "jpeg"
    if data.startswith((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")):
        return "tiff"
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return "webp"
    raise UnreadableRadiograph("not-an-image")


def _read_picture(data: bytes, format: Format) -> np.ndarray:
    if format == "webp":
        check_size(*_webp_size(data))
    elif format == "jpeg":
        check_jpeg_scans(data)
    with Image.open(io.BytesIO(data), formats=(format.upper(),)) as image:
        check_size(*image.size)
        if format == "tiff":
            # libtiff decodes whole tiles, which may be declared far larger than the picture.
            tile = [int(image.tag_v2.get(tag, 1)) for tag in (322, 323)]  # type: ignore[attr-defined]
            check_size(max(tile[0], MIN_SIDE), max(tile[1], MIN_SIDE))
        # A JPEG is one picture; what phones append to it are previews and gain maps.
        if format != "jpeg" and _has_second_frame(image):
            raise UnreadableRadiograph("multi-frame")
        image.load()
        _turn_upright(image)
        return _grey(image)


def _webp_size(data: bytes) -> tuple[int, int]:
    """Width and height from the first chunk (RFC 9649): Pillow makes room for the whole canvas on opening."""
    chunk, body = data[12:16], data[20:30]
    if chunk == b"VP8X":
        return 1 + int.from_bytes(body[4:7], "little"), 1 + int.from_bytes(body[7:10], "little")
    if chunk == b"VP8L":
        bits = int.from_bytes(body[1:5], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if chunk == b"VP8 ":
        return int.from_bytes(body[6:8], "little") & 0x3FFF, int.from_bytes(body[8:10], "little") & 0x3FFF
    raise UnreadableRadiograph("corrupt")


def _has_second_frame(image: Image.Image) -> bool:
    try:
        image.seek(1)
    except EOFError:
        return False
    return True


def _turn_upright(image: Image.Image) -> None:
    # Damaged EXIF data may lie beside a sound picture.
    with contextlib.suppress(Exception):
        ImageOps.exif_transpose(image, in_place=True)


def _grey(image: Image.Image) -> np.ndarray:
    """(height, width) uint8; transparency is ignored."""
    if image.mode == "F":
        values = np.nan_to_num(np.asarray(image), nan=0, posinf=0, neginf=0)
        span = max(float(np.ptp(values)), 1e-30)
        return to_eight_bits(((values - values.min()) / span * 65535).astype(np.uint16))
    if image.mode.startswith("I"):
        return to_eight_bits(np.asarray(image))
    if image.mode == "L":
        return np.array(image)
    if image.mode in ("1", "LA", "La"):
        return np.array(image.convert("LA").getchannel("L") if image.mode == "La" else image.convert("L"))
    if image.mode in ("LAB", "HSV"):
        raise UnreadableRadiograph("colour")
    rgb = image if image.mode == "RGB" else image.convert("RGB")
    if _is_colour(rgb):
        raise UnreadableRadiograph("colour")
    return np.array(rgb.convert("L"))


def _is_colour(rgb: Image.Image) -> bool:
    """Whether the picture has colours of its own, beyond a marker or the even tint of film and lamp.

    Chroma is the distance from grey in the Cb, Cr plane (0 to 181); skin in daylight has 20 to 40.
    """
    small = rgb.reduce(max(1, max(rgb.size) // 256)).convert("YCbCr")
    chroma = np.asarray(small, np.float32)[..., 1:].reshape(-1, 2) - 128
    tint = np.median(chroma, axis=0)
    coloured = np.hypot(*(chroma - tint).T) > 16
    return bool(np.hypot(*tint) > 24 or coloured.mean() > 0.02)
