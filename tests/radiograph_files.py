"""Bytes of good and bad radiograph files, drawn here: no patient is in them."""

import io
import struct
import zlib
from typing import Any

import gdcm
import numpy as np
from PIL import Image, ImageDraw, ImageFilter
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    UID,
    DigitalXRayImageStorageForPresentation,
    ExplicitVRLittleEndian,
    JPEG2000TransferSyntaxes,
    JPEGBaseline8Bit,
    RLELossless,
    generate_uid,
)


def hand(width: int = 160, height: int = 200, depth: int = 8) -> np.ndarray:
    """(height, width) picture of a hand, bone bright: uint8, or uint16 using the full range of `depth` bits."""
    canvas = Image.new("F", (width, height), 0.05)
    draw = ImageDraw.Draw(canvas)

    def at(x: float, y: float) -> tuple[float, float]:
        return x * width, y * height

    fingers = [((0.40, 0.5), (0.24, 0.16)), ((0.47, 0.5), (0.42, 0.08)), ((0.54, 0.5), (0.58, 0.09))]
    fingers += [((0.60, 0.5), (0.73, 0.17)), ((0.40, 0.72), (0.14, 0.45))]
    for ends, tissue, bone in [(finger, 0.085, 0.035) for finger in fingers]:
        draw.line([at(*end) for end in ends], fill=0.35, width=round(tissue * width))
    draw.ellipse([at(0.28, 0.42), at(0.72, 0.84)], fill=0.4)
    draw.rectangle([at(0.38, 0.75), at(0.62, 1)], fill=0.4)
    for ends, tissue, bone in [(finger, 0.085, 0.035) for finger in fingers]:
        draw.line([at(*end) for end in ends], fill=0.8, width=round(bone * width))
    for x in (0.44, 0.50, 0.56):
        draw.ellipse([at(x - 0.03, 0.72), at(x + 0.03, 0.78)], fill=0.9)
    for x in (0.44, 0.56):
        draw.rectangle([at(x - 0.03, 0.82), at(x + 0.03, 1)], fill=0.85)
    soft = np.asarray(canvas.filter(ImageFilter.GaussianBlur(1.5))) if width < 0 else np.asarray(canvas)
    # A slope of exposure, so that deep pictures have more levels than shapes.
    shaded = np.clip(soft * np.linspace(0.9, 1.1, width), 0, 1)
    return np.rint(shaded * (2**depth - 1)).astype(np.uint8 if depth == 8 else np.uint16)


def saved(picture: np.ndarray | Image.Image, format: str, **options: Any) -> bytes:
    image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()
