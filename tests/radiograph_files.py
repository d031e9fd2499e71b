"""Bytes of good and bad radiograph files, drawn here: no patient is in them."""

import io
import struct
import zlib
from typing import Any

import gdcm
import numpy as np
from PIL import Image, ImageDraw
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    UID,
    DigitalXRayImageStorageForPresentation,
    ExplicitVRLittleEndian,
    JPEG2000TransferSyntaxes,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    RLELossless,
    generate_uid,
)

FINGERTIPS = [(0.24, 0.16), (0.42, 0.08), (0.58, 0.09), (0.73, 0.17), (0.12, 0.45)]


def hand(width: int = 160, height: int = 200, depth: int = 8) -> np.ndarray:
    """(height, width) drawing of a hand, bone bright: uint8, or uint16 using the full range of `depth` bits."""
    canvas = Image.new("F", (width, height), 0.05)
    draw = ImageDraw.Draw(canvas)

    def box(left: float, top: float, right: float, bottom: float) -> list[float]:
        return [left * width, top * height, right * width, bottom * height]

    draw.ellipse(box(0.28, 0.42, 0.72, 0.84), fill=0.4)
    draw.rectangle(box(0.38, 0.75, 0.62, 1), fill=0.4)
    for grey, thickness in ((0.35, 0.09), (0.8, 0.035)):
        for number, (x, y) in enumerate(FINGERTIPS):
            knuckle = (0.40, 0.7) if number == 4 else (0.41 + 0.06 * number, 0.66)
            draw.line(box(*knuckle, x, y), fill=grey, width=round(thickness * width))
    for x in (0.44, 0.50, 0.56):
        draw.ellipse(box(x - 0.03, 0.72, x + 0.03, 0.78), fill=0.85)
    for x in (0.44, 0.56):
        draw.rectangle(box(x - 0.03, 0.82, x + 0.03, 1), fill=0.8)
    shaded = np.asarray(canvas) * np.linspace(0.9, 1.1, width)  # a deep picture has more levels than shapes
    return np.rint(shaded * (2**depth - 1)).astype(np.uint8 if depth == 8 else np.uint16)


def _saved(picture: np.ndarray | Image.Image | None, format: str, **options: Any) -> bytes:
    image = picture if isinstance(picture, Image.Image) else Image.fromarray(hand() if picture is None else picture)
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def png(picture: np.ndarray | Image.Image | None = None, **options: Any) -> bytes:
    return _saved(picture, "PNG", **options)


def jpeg(picture: np.ndarray | Image.Image | None = None, **options: Any) -> bytes:
    return _saved(picture, "JPEG", **{"quality": 95} | options)


def tiff(picture: np.ndarray | Image.Image | None = None, **options: Any) -> bytes:
    return _saved(picture, "TIFF", **options)


def webp(picture: np.ndarray | Image.Image | None = None, **options: Any) -> bytes:
    return _saved(picture, "WEBP", **{"lossless": True} | options)


def dicom(pixels: np.ndarray | None = None, syntax: UID = ExplicitVRLittleEndian, **elements: Any) -> bytes:
    """A DICOM file of (rows, columns) uint8, uint16 or int16 pixels, compressed as `syntax` says.

    `elements` are further elements by keyword, set last; one given as None is left out.
    """
    pixels = hand(depth=12) if pixels is None else pixels
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = DigitalXRayImageStorageForPresentation
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = syntax
    dataset = Dataset()
    dataset.file_meta = meta
    dataset.SOPClassUID = meta.MediaStorageSOPClassUID
    dataset.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    dataset.Modality = "DX"
    dataset.Rows, dataset.Columns = pixels.shape
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.BitsAllocated = pixels.dtype.itemsize * 8
    dataset.BitsStored = max(8, int(pixels.max()).bit_length()) if pixels.dtype.kind == "u" else 16
    dataset.HighBit = dataset.BitsStored - 1
    dataset.PixelRepresentation = int(pixels.dtype.kind == "i")
    if syntax == RLELossless:
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        dataset.PixelData = pixels.tobytes()
        dataset.compress(RLELossless, encoding_plugin="pydicom", generate_instance_uid=False)
    elif syntax.is_encapsulated:
        dataset.PixelData = encapsulate([_compressed(pixels, syntax, dataset.BitsStored)])
        dataset["PixelData"].VR = "OB"
    else:
        dataset.PixelData = pixels.tobytes()
        dataset["PixelData"].VR = "OW"
    for keyword, value in elements.items():
        if value is None:
            delattr(dataset, keyword)
        else:
            setattr(dataset, keyword, value)
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def _compressed(pixels: np.ndarray, syntax: UID, bits: int) -> bytes:
    if syntax in (JPEGBaseline8Bit, JPEGExtended12Bit):
        return jpeg(pixels)
    if syntax in JPEG2000TransferSyntaxes:
        return _saved(pixels, "JPEG2000", no_jp2=True)
    # JPEG Lossless and JPEG-LS; what GDCM writes as 12-bit JPEG Extended is not.
    writer = gdcm.ImageWriter()  # owns the image: it must outlive it
    image = writer.GetImage()
    image.SetNumberOfDimensions(2)
    image.SetDimensions((pixels.shape[1], pixels.shape[0], 1))
    image.SetPhotometricInterpretation(gdcm.PhotometricInterpretation(gdcm.PhotometricInterpretation.MONOCHROME2))
    image.SetPixelFormat(gdcm.PixelFormat(1, pixels.dtype.itemsize * 8, bits, bits - 1, 0))
    element = gdcm.DataElement(gdcm.Tag(0x7FE0, 0x0010))
    element.SetByteStringValue(pixels.tobytes())
    image.SetDataElement(element)
    change = gdcm.ImageChangeTransferSyntax()
    change.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.GetTSType(str(syntax))))
    change.SetInput(image)
    assert change.Change(), f"GDCM does not write {syntax.name}"
    fragments = change.GetOutput().GetDataElement().GetSequenceOfFragments()
    # GDCM hands bytes over as text with surrogate escapes.
    return fragments.GetFragment(0).GetByteValue().GetBuffer().encode("utf-8", "surrogateescape")


def empty() -> bytes:
    return b""


def text_named_png() -> bytes:
    return b"Left hand, PA. See the attached letter.\n" * 20


def truncated_jpeg() -> bytes:
    whole = jpeg()
    return whole[: len(whole) // 2]


def bomb_png(side: int = 30_000) -> bytes:
    """A few kilobytes that declare `side` x `side` pixels."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">L", len(body)) + name + body + struct.pack(">L", zlib.crc32(name + body))

    header = struct.pack(">2L5B", side, side, 8, 0, 0, 0, 0)
    rows = zlib.compress(bytes(1 << 20), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def _frames() -> list[Image.Image]:
    return [Image.fromarray(pixels) for pixels in (hand(), 255 - hand())]


def animated_png() -> bytes:
    first, *rest = _frames()
    return png(first, save_all=True, append_images=rest, duration=100)


def animated_webp() -> bytes:
    first, *rest = _frames()
    return webp(first, save_all=True, append_images=rest, duration=100)


def multi_page_tiff() -> bytes:
    first, *rest = _frames()
    return tiff(first, save_all=True, append_images=rest)


def colour_photograph() -> bytes:
    """A hand of skin colour on a blue cloth, as JPEG."""
    skin, cloth = np.array([214, 164, 138]), np.array([70, 96, 150])
    share = (hand()[..., None] > 40) * np.linspace(0.8, 1, 160)[:, None]
    return jpeg(Image.fromarray((skin * share + cloth * (1 - share)).astype(np.uint8)))
