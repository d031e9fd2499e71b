import cv2
import numpy as np

LONGEST_SIDE = 512


def overlay_png(heat_map, image_shape):
    """Colour a heat map so that it can be laid over its radiograph.

    heat_map: float (h, w) in 0..1, over the whole picture; image_shape: (H, W) pixels of that picture.
    Returns a PNG, RGBA, in the aspect of the picture, more opaque where attention is higher.
    """
    height, width = image_shape
    scale = LONGEST_SIDE / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    level = np.clip(cv2.resize(heat_map.astype(np.float32), size, interpolation=cv2.INTER_CUBIC), 0, 1)
    overlay = cv2.applyColorMap(np.round(level * 255).astype(np.uint8), cv2.COLORMAP_TURBO)
    overlay = np.dstack([overlay, np.round(level * 230).astype(np.uint8)])
    _, encoded = cv2.imencode(".png", overlay)
    return encoded.tobytes()
