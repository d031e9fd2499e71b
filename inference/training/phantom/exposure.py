"""Exposing and developing a drawn hand: scatter, noise, film curve, collimator and side marker."""

import cv2
import numpy as np

INITIALS = list("ABCDEFGHJKLMNPRST")


def expose(attenuation: np.ndarray, scale: float, frame: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Develop attenuation (H, W) into a radiograph, bone bright: uint8 (H, W).

    `scale` is pixels per mm, `frame` the box (x0, y0, x1, y1) in pixels that the collimator leaves free.
    """
    density = _image_plate(attenuation, scale, rng)
    top = float(np.percentile(density[::4, ::4], 99.7))
    film, shutter = _collimate(density, frame, top, rng)
    _mark(film, attenuation, top, rng)
    base, span = _window(rng)
    level = np.clip(film / top, 0, 1.3) ** np.float32(rng.uniform(0.7, 1.1))
    picture = base + span * level
    if shutter is not None:
        picture[shutter] = 0
    return np.clip(np.round(picture), 0, 255).astype(np.uint8)


def _image_plate(attenuation: np.ndarray, scale: float, rng: np.random.Generator) -> np.ndarray:
    """Logarithmic signal with scatter, unsharpness, heel effect and quantum noise, (H, W) float32."""
    height, width = attenuation.shape
    intensity = np.exp(-attenuation)
    small = cv2.resize(intensity, None, fx=0.125, fy=0.125, interpolation=cv2.INTER_AREA)
    scatter = cv2.GaussianBlur(small, (0, 0), max(9 * scale / 8, 0.5))
    share = rng.uniform(0.05, 0.14)
    intensity = (1 - share) * intensity + share * cv2.resize(scatter, (width, height))
    intensity = cv2.GaussianBlur(intensity, (0, 0), max(rng.uniform(0.1, 0.22) * scale, 0.35))
    down, along = rng.normal(0, 0.04), rng.normal(0, 0.03)
    heel = np.linspace(-down, down, height)[:, None] + np.linspace(-along, along, width)[None, :]
    intensity = np.clip(intensity * (1 + heel), 0.02, None).astype(np.float32)
    grain = rng.standard_normal((height, width), dtype=np.float32)
    return -np.log(intensity) + np.float32(rng.uniform(0.004, 0.016)) * grain / np.sqrt(intensity)


def _window(rng: np.random.Generator) -> tuple[float, float]:
    """Grey level of air and range above it: full contrast, dark and flat, or bright and flat."""
    look = rng.random()
    if look < 0.56:
        return rng.uniform(2, 22), rng.uniform(140, 245)
    if look < 0.84:
        return rng.uniform(10, 65), rng.uniform(50, 120)
    return rng.uniform(110, 160), rng.uniform(60, 105)


def _collimate(
    density: np.ndarray, frame: np.ndarray, top: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray | None]:
    """Density with the collimator's edge, and the mask of a black electronic shutter where there is one."""
    height, width = density.shape
    style = rng.choice(["open", "white", "ridge", "shutter"], p=[0.38, 0.12, 0.32, 0.18])
    if style == "open":
        return density, None
    room = np.array([frame[0], frame[1], width - frame[2], height - frame[3]]).clip(0)
    room = room * rng.uniform(0.1, 0.9, 4) * (0.3 if style == "white" else 1)
    box = np.array([[room[0], room[1]], [width - room[2], height - room[3]]], np.float32)
    centre, half = box.mean(0), (box[1] - box[0]) / 2
    tilt = np.radians(rng.normal(0, 2.5 if style == "white" else 5))
    cos, sin = np.float32(np.cos(tilt)), np.float32(np.sin(tilt))
    x = np.arange(width, dtype=np.float32)[None, :] - centre[0]
    y = np.arange(height, dtype=np.float32)[:, None] - centre[1]
    outside = np.maximum(np.abs(x * cos + y * sin) - half[0], np.abs(y * cos - x * sin) - half[1])
    if style == "shutter":
        return density, outside > 0
    penumbra = np.float32(rng.uniform(0.002, 0.005) * height)
    closed = 1 / (1 + np.exp(np.clip(-outside / penumbra, -30, 30)))
    if style == "white":
        return density + closed * np.float32(rng.uniform(0.5, 1.2) * top), None
    ridge = np.exp(-((outside / (2.2 * penumbra)) ** 2)) * np.float32(rng.uniform(0.1, 0.3) * top)
    beyond = 0.06 * density + np.float32(rng.uniform(-0.04, 0.15) * top)
    return density + closed * (beyond - density) + ridge, None


def _mark(film: np.ndarray, attenuation: np.ndarray, top: float, rng: np.random.Generator) -> None:
    """Lay a lead side marker, an L and often initials on a plate, beside the hand; in place."""
    height, width = film.shape
    letter = round(height * rng.uniform(0.04, 0.065))
    plate = np.zeros((letter * 3, letter * 2), np.uint8)
    if rng.random() < 0.6:
        cv2.rectangle(plate, (2, 2), (letter * 2 - 3, letter * 3 - 3), 34, -1)
    initials = "".join(rng.choice(INITIALS, rng.integers(0, 4)))
    for text, share, bottom in (("L", 1.0, 1.55), (initials, 0.5, 2.45)):
        size, thick = share * letter / 22, max(round(share * letter / 7), 1)
        (wide, _), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_DUPLEX, size, thick)
        at = letter - wide // 2, round(letter * bottom)
        cv2.putText(plate, text, at, cv2.FONT_HERSHEY_DUPLEX, size, 255, thick, cv2.LINE_AA)
    spots = np.array([(x, y) for x in (0.1, 0.9) for y in (0.12, 0.3, 0.7, 0.86)]) + rng.normal(0, 0.015, (8, 2))
    covered = cv2.resize(attenuation, (16, 16), interpolation=cv2.INTER_AREA)
    over_hand = [covered[tuple((spot[::-1] * 16).clip(0, 15).astype(int))] for spot in spots]
    x, y = spots[np.argmin(np.array(over_hand) + rng.uniform(0, 0.1, 8))]
    turn = cv2.getRotationMatrix2D((float(letter), letter * 1.5), float(rng.normal(0, 20)), 1.0)
    turn[:, 2] += [x * width - letter, y * height - letter * 1.5]
    film += cv2.warpAffine(plate, turn, (width, height)) * np.float32(max(top, 1.2) / 255)
