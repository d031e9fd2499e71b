"""Images that are no radiograph of one whole hand: the model must refuse every one of them.

All are drawn in code. CUT_OFF makes them of radiographs too, for the gate to be fitted on.
"""

from collections.abc import Callable

import cv2
import numpy as np

from inference.training.phantom import draw_phantom

SIDE = 400


def _smooth(rng: np.random.Generator, grain: int, shape: tuple[int, int] = (SIDE, SIDE)) -> np.ndarray:
    """Clouds: float 0..1, larger for a larger grain."""
    coarse = rng.random((max(2, shape[0] // grain), max(2, shape[1] // grain))).astype(np.float32)
    clouds = cv2.resize(coarse, shape[::-1], interpolation=cv2.INTER_CUBIC)
    return (clouds - clouds.min()) / np.ptp(clouds)


def blank(rng: np.random.Generator) -> np.ndarray:
    return np.full((SIDE, SIDE), rng.integers(0, 256), np.uint8)


def noise(rng: np.random.Generator) -> np.ndarray:
    return rng.integers(0, 256, (SIDE, SIDE), dtype=np.uint8)


def clouds(rng: np.random.Generator) -> np.ndarray:
    return (_smooth(rng, int(rng.integers(10, 120))) * 255).astype(np.uint8)


def page_of_text(rng: np.random.Generator) -> np.ndarray:
    page = np.full((SIDE, SIDE), 250, np.uint8)
    for line in range(20, SIDE, 18):
        letters = "".join(chr(code) for code in rng.integers(97, 123, 30))
        cv2.putText(page, letters, (15, line), cv2.FONT_HERSHEY_SIMPLEX, 0.45, 20, 1, cv2.LINE_AA)
    return page if rng.random() < 0.5 else 255 - page


def shapes(rng: np.random.Generator) -> np.ndarray:
    image = (_smooth(rng, 200) * 60).astype(np.uint8)
    for _ in range(rng.integers(1, 8)):
        centre = tuple(int(number) for number in rng.integers(40, SIDE - 40, 2))
        grey = int(rng.integers(90, 256))
        if rng.random() < 0.5:
            cv2.circle(image, centre, int(rng.integers(15, 120)), grey, -1)
        else:
            reach = int(rng.integers(15, 120))
            cv2.rectangle(image, centre, (centre[0] + reach, centre[1] + reach), grey, -1)
    return image


def landscape(rng: np.random.Generator) -> np.ndarray:
    """As a photograph turned grey: a bright sky, ridges, trees."""
    image = np.tile(np.linspace(230, 150, SIDE, dtype=np.float32)[:, None], (1, SIDE))
    for ridge in range(4):
        heights = SIDE * (0.3 + 0.15 * ridge) + 60 * _smooth(rng, 80, (2, SIDE))[0]
        below = np.arange(SIDE)[:, None] > heights[None]
        image[below] = (140 - 30 * ridge + 30 * _smooth(rng, 6))[below]
    return np.clip(image, 0, 255).astype(np.uint8)


def face(rng: np.random.Generator) -> np.ndarray:
    """As a portrait turned grey: an oval with eyes and a mouth."""
    image = (60 + 60 * _smooth(rng, 150)).astype(np.uint8)
    cv2.ellipse(image, (200, 210), (110, 150), float(rng.uniform(-10, 10)), 0, 360, 190, -1)
    for x in (155, 245):
        cv2.ellipse(image, (x, 180), (22, 12), 0, 0, 360, 240, -1)
        cv2.circle(image, (x, 180), 9, 30, -1)
    cv2.ellipse(image, (200, 280), (45, 15), 0, 0, 180, 90, 6)
    return cv2.GaussianBlur(image, (0, 0), 2)


def chest(rng: np.random.Generator) -> np.ndarray:
    """As a chest radiograph: a bright frame of tissue, two dark lungs, ribs, a spine and a heart."""
    image = np.full((SIDE, SIDE), 150, np.float32)
    for side in (-1, 1):
        lung = np.zeros((SIDE, SIDE), np.uint8)
        cv2.ellipse(lung, (200 + side * 80, 190), (60, 130), side * 8.0, 0, 360, 1, -1)
        image[lung > 0] = 45
        for rib in range(9):
            cv2.ellipse(image, (200 + side * 85, 80 + 28 * rib), (85, 26), side * 14.0, 180, 360, 95, 5)
    cv2.rectangle(image, (185, 0), (215, SIDE), 185, -1)
    cv2.ellipse(image, (225, 260), (65, 55), 20, 0, 360, 180, -1)
    film = cv2.GaussianBlur(image, (0, 0), 3) + rng.normal(0, 4, image.shape) + 25 * _smooth(rng, 100)
    return np.clip(film, 0, 255).astype(np.uint8)


def long_bone(rng: np.random.Generator) -> np.ndarray:
    """As a radiograph of a limb: soft tissue and one or two shafts."""
    image = np.full((SIDE, SIDE), 12, np.float32)
    tilt = int(rng.integers(-60, 60))
    cv2.line(image, (200 - tilt, -20), (200 + tilt, SIDE + 20), 70, 190)
    for shift in (-35, 35)[: rng.integers(1, 3)]:
        cv2.line(image, (200 - tilt + shift, -20), (200 + tilt + shift, SIDE + 20), 190, 44)
        cv2.line(image, (200 - tilt + shift, -20), (200 + tilt + shift, SIDE + 20), 130, 22)
    film = cv2.GaussianBlur(image, (0, 0), 4) + rng.normal(0, 3, image.shape)
    return np.clip(film, 0, 255).astype(np.uint8)


def fingertips(rng: np.random.Generator) -> np.ndarray:
    """The top third of a drawn hand: fingers without a palm or a wrist."""
    hand = _hand(rng)
    return hand[: hand.shape[0] // 3]


def forearm(rng: np.random.Generator) -> np.ndarray:
    """The lowest sixth of a drawn hand: radius and ulna without a hand."""
    hand = _hand(rng)
    return hand[-hand.shape[0] // 6 :]


def tiny(rng: np.random.Generator) -> np.ndarray:
    """A whole drawn hand, but of fewer pixels than show a bone's edge."""
    hand = _hand(rng)
    height = int(rng.integers(40, 100))
    return cv2.resize(hand, (height * hand.shape[1] // hand.shape[0], height), interpolation=cv2.INTER_AREA)


def wrist_alone(hand: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return hand[round(len(hand) * rng.uniform(0.35, 0.7)) :]


def fingers_cut_off(hand: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return hand[round(len(hand) * rng.uniform(0.25, 0.45)) :]


def side_cut_off(hand: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    middle = round(hand.shape[1] * rng.uniform(0.4, 0.6))
    return hand[:, middle:] if rng.random() < 0.5 else hand[:, :middle]


def both_hands(hand: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    pair = [hand, hand[:, ::-1]]
    return np.hstack(pair if rng.random() < 0.5 else pair[::-1])


CUT_OFF: dict[str, Callable[[np.ndarray, np.random.Generator], np.ndarray]] = {
    "wrist alone": wrist_alone,
    "fingers cut off": fingers_cut_off,
    "side cut off": side_cut_off,
    "both hands": both_hands,
}
"""Each makes, of (H, W) uint8 with one hand, fingers up, and a generator, what does not show one whole hand alone."""


def _hand(rng: np.random.Generator) -> np.ndarray:
    return draw_phantom(float(rng.uniform(24, 200)), "MF"[rng.integers(2)], int(rng.integers(2**31)), 700)


NON_HANDS: dict[str, Callable[[np.random.Generator], np.ndarray]] = {
    "blank": blank,
    "noise": noise,
    "clouds": clouds,
    "page of text": page_of_text,
    "shapes": shapes,
    "landscape": landscape,
    "face": face,
    "chest": chest,
    "long bone": long_bone,
    "fingertips": fingertips,
    "forearm": forearm,
    "tiny": tiny,
    "wrist alone": lambda rng: wrist_alone(_hand(rng), rng),
    "fingers cut off": lambda rng: fingers_cut_off(_hand(rng), rng),
    "both hands": lambda rng: both_hands(_hand(rng), rng),
}
"""Each draws a (H, W) uint8 image from a generator."""


def draw_non_hands(each: int, seed: int) -> list[tuple[str, np.ndarray]]:
    """`each` images of every kind, with its name."""
    return [
        (name, draw(np.random.default_rng((seed, kind, number))))
        for kind, (name, draw) in enumerate(NON_HANDS.items())
        for number in range(each)
    ]
