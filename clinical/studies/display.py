"""The picture that the viewer shows: bone bright, eight bits, in a format every browser knows."""

import cv2
from django.core.files.storage import storages

from clinical.studies.intake import reread, write

LONGEST_SIDE = 2400  # pixels; beyond it a browser only scrolls


def png_name(radiograph):
    """The name in the private storage of the PNG of `radiograph`, be it made or not."""
    return f"{radiograph.name.replace('radiographs/', 'display/', 1)}.png"


def display_name(radiograph):
    """The name in the private storage of the PNG of `radiograph`, made when it is first looked at.

    Raises FileNotFoundError when the stored radiograph is gone, StorageFull when there is no room for the PNG.
    """
    name = png_name(radiograph)
    if not storages["private"].exists(name):
        pixels = reread(radiograph).pixels
        scale = LONGEST_SIDE / max(pixels.shape)
        if scale < 1:
            pixels = cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        _, encoded = cv2.imencode(".png", pixels)
        write(name, encoded.tobytes())
    return name
