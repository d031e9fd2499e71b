"""How a radiograph looks, in three numbers that drift when a site's equipment or export changes."""

import cv2

SIDE = 512  # pixels of the longer side that is looked at: alike for every detector, and no cost beside the decoding


def image_statistics(pixels):
    """Statistics of `pixels`, (height, width) uint8: `mean` and `sd` of the brightness and `sharpness`, the standard
    deviation of its Laplacian, all for brightness from 0 to 1 and the picture shrunk to SIDE."""
    shrink = SIDE / max(pixels.shape)
    if shrink < 1:
        pixels = cv2.resize(pixels, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA)
    (mean,), (sd,) = (values.ravel() for values in cv2.meanStdDev(pixels))
    sharpness = cv2.meanStdDev(cv2.Laplacian(pixels, cv2.CV_32F))[1].item()
    return {"mean": mean.item() / 255, "sd": sd.item() / 255, "sharpness": sharpness / 255}
