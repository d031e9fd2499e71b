"""Drawn hands as a data set: ages spread evenly, both sexes, every one another child."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from inference.training.datasets import Dataset, Label
from inference.training.files import replacing
from inference.training.phantom import draw_phantom
from inference.training.phantom.maturity import OLDEST, YOUNGEST

SIZE = 700
"""Height drawn, in pixels: about that of an upload after it is reduced once."""


def draw_phantoms(count: int, seed: int, prepare: Callable[[np.ndarray], np.ndarray] = lambda image: image) -> Dataset:
    """`count` phantoms from that seed, each passed through `prepare`."""
    rng = np.random.default_rng((seed, 3))
    ages = rng.permutation(np.linspace(YOUNGEST, OLDEST, count))
    labels = [
        Label(f"phantom-{seed}-{number}", float(age), "MF"[number % 2], "phantom") for number, age in enumerate(ages)
    ]
    seeds = rng.integers(0, 2**31, count)
    images = [
        prepare(draw_phantom(label.bone_age_months, label.sex, int(seed), SIZE))
        for label, seed in zip(labels, seeds, strict=True)
    ]
    return Dataset(labels, images)


def cached_phantoms(path: Path, count: int, seed: int, prepare: Callable[[np.ndarray], np.ndarray]) -> Dataset:
    """`draw_phantoms`, drawn once and kept in an .npz."""
    if path.exists():
        kept = np.load(path)
        if len(kept["ages"]) == count:
            labels = [
                Label(str(id), float(age), str(sex), "phantom")
                for id, age, sex in zip(kept["ids"], kept["ages"], kept["sexes"], strict=True)
            ]
            return Dataset(labels, [kept[label.id] for label in labels])
    drawn = draw_phantoms(count, seed, prepare)
    with replacing(path) as written:
        np.savez(
            written,
            allow_pickle=False,
            ids=[label.id for label in drawn.labels],
            ages=drawn.ages,
            sexes=[label.sex for label in drawn.labels],
            **{label.id: image for label, image in zip(drawn.labels, drawn.images, strict=True)},
        )
    return drawn
