"""The pictures of a report as data URIs: small enough that a page stays quick to make and to print."""

import base64
from dataclasses import dataclass

import cv2
import numpy as np
from django.core.files.storage import storages

from clinical.studies.display import display_name

LONGEST_SIDE = 640  # pixels: 200 to the inch at the size they are printed
BOX = (212, 226)  # CSS pixels of the page, width and height
LOGO_BOX = (190, 58)


@dataclass(frozen=True)
class Picture:
    """What an <img> needs: the data URI and its size on the page in CSS pixels."""

    source: str
    width: int
    height: int


def radiograph(row):
    """The radiograph. Raises FileNotFoundError when its file is gone."""
    return _picture(_grey(row), BOX, ".jpg")


def attention(row, heat_map):
    """The radiograph with the heat map of the private storage laid over it, or None where there is none."""
    if not heat_map or not storages["private"].exists(heat_map):
        return None
    grey = _grey(row)
    overlay = cv2.resize(_read(heat_map, cv2.IMREAD_UNCHANGED), grey.shape[::-1], interpolation=cv2.INTER_AREA)
    share = overlay[..., 3:].astype(np.float32) / 255
    blended = overlay[..., :3] * share + grey[..., None] * (1 - share)
    return _picture(np.round(blended).astype(np.uint8), BOX, ".jpg")


def logo(hospital):
    """The hospital's logo, or None."""
    if not hospital.logo or not storages["private"].exists(hospital.logo):
        return None
    return _picture(_read(hospital.logo, cv2.IMREAD_COLOR), LOGO_BOX, ".png")


def _grey(row):
    grey = _read(display_name(row), cv2.IMREAD_GRAYSCALE)
    scale = LONGEST_SIDE / max(grey.shape)
    return cv2.resize(grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) if scale < 1 else grey


def _read(name, flags):
    with storages["private"].open(name) as file:
        return cv2.imdecode(np.frombuffer(file.read(), np.uint8), flags)


def _picture(pixels, box, kind):
    _, encoded = cv2.imencode(kind, pixels, [cv2.IMWRITE_JPEG_QUALITY, 88] if kind == ".jpg" else [])
    data = base64.b64encode(encoded.tobytes()).decode()
    height, width = pixels.shape[:2]
    scale = min(box[0] / width, box[1] / height)
    media_type = {".jpg": "image/jpeg", ".png": "image/png"}[kind]
    return Picture(f"data:{media_type};base64,{data}", round(width * scale), round(height * scale))
