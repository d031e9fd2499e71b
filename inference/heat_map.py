import io

import cv2
import numpy as np
from PIL import Image

LONGEST_SIDE = 512
LEVELS = np.arange(256, dtype=np.uint8)
COLOURS = cv2.applyColorMap(LEVELS, cv2.COLORMAP_TURBO).reshape(-1, 3)[:, ::-1].tobytes()
OPACITIES = np.round(LEVELS * (230 / 255)).astype(np.uint8).tobytes()


def overlay_png(heat_map, image_shape):
    """Colour a heat map so that it can be laid over its radiograph.

    heat_map: float (h, w) in 0..1, over the whole picture; image_shape: (H, W) pixels of that picture.
    Returns a PNG in the aspect of the picture, more opaque where attention is higher; one byte a pixel with a
    palette of colours and opacities, which is written several times faster than RGBA and is a fifth of its size.
    """
    height, width = image_shape
    scale = LONGEST_SIDE / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    level = np.clip(cv2.resize(heat_map.astype(np.float32), size, interpolation=cv2.INTER_CUBIC), 0, 1)
    overlay = Image.fromarray(np.round(level * 255).astype(np.uint8))
    overlay.putpalette(COLOURS)
    encoded = io.BytesIO()
    overlay.save(encoded, "PNG", transparency=OPACITIES, compress_level=1)
    return encoded.getvalue()
