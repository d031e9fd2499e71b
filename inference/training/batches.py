"""Augmented batches for Keras, made while the network trains."""

import os

import keras
import numpy as np

from inference.engine.preprocessing import WHOLE, network_input, normalise_contrast, view
from inference.engine.presets import CLASS_MONTHS, SCALED_AGE_MONTHS, Preset, WholeHand
from inference.training.augmentation import Augmentation, add_marker, erase, random_exposure, random_warp
from inference.training.datasets import Dataset


class _Batches(keras.utils.PyDataset):
    def __init__(self, data: Dataset, batch: int, seed: int, augment: bool, balance: float = 0.0) -> None:
        # Images at full size are decoded for every batch, which takes longer than a GPU's step.
        workers = 1 if data.in_memory else os.cpu_count() or 1
        super().__init__(workers=workers, use_multiprocessing=False, max_queue_size=workers + 5)
        self.data, self.batch, self.seed = data, batch, seed
        self.ranges = Augmentation() if augment else None
        self.exposures = data.mapped(lambda image: (image, normalise_contrast(image)))
        self.ages, self.males = data.ages, data.males
        self.drawing = drawing_shares(self.ages, balance) if balance else None
        self.epoch = 0
        self.order = np.arange(len(data))
        self.shuffle()

    def shuffle(self) -> None:
        if not self.ranges:
            return
        rng = np.random.default_rng((self.seed, self.epoch))
        if self.drawing is None:
            self.order = rng.permutation(len(self.data))
        else:
            self.order = rng.choice(len(self.data), len(self.data), p=self.drawing)

    def on_epoch_end(self) -> None:
        self.epoch += 1
        self.shuffle()

    def __len__(self) -> int:
        # A last, smaller batch would be compiled for its own shape: in training it is left for the next epoch.
        return len(self.data) // self.batch if self.ranges else -(-len(self.data) // self.batch)

    def __getitem__(self, index: int):
        chosen = self.order[index * self.batch : (index + 1) * self.batch]
        rng = np.random.default_rng((self.seed, self.epoch, index))
        return self.assemble(chosen, rng)

    def assemble(self, chosen: np.ndarray, rng: np.random.Generator):
        raise NotImplementedError

    def exposed(self, index: int, rng: np.random.Generator) -> np.ndarray:
        raw, normalised = self.exposures[index]
        return normalised if self.ranges is None else random_exposure(raw, normalised, rng, self.ranges)

    def whole_hands(self, chosen: np.ndarray, rng: np.random.Generator, size: int) -> np.ndarray:
        """(B, size, size) uint8."""
        views = np.empty((len(chosen), size, size), np.uint8)
        for row, index in enumerate(chosen):
            image = self.exposed(index, rng)
            if self.ranges is None:
                views[row] = view(image, size)
            else:
                moved = view(image, size, WHOLE, random_warp(rng, self.ranges))
                views[row] = erase(add_marker(moved, rng, self.ranges), rng, self.ranges)
        return views


class AttentionBatches(_Batches):
    """Stage 1: (whole hands (B, size, size, 1), scaled bone ages (B, 1))."""

    def __init__(self, data: Dataset, preset: Preset, batch: int, seed: int, augment: bool) -> None:
        super().__init__(data, batch, seed, augment)
        self.size = preset.attention.backbone.size

    def assemble(self, chosen, rng):
        views = self.whole_hands(chosen, rng, self.size)
        return network_input(views), {"age": self.ages[chosen, np.newaxis] / SCALED_AGE_MONTHS}


class WholeHandBatches(_Batches):
    """({"whole": (B, size, size, 1), "male": (B, 1) where it is an input},
    {"age": months (B, 1) or "classes": numbers of age classes (B, 1), and "male" where it is predicted}).
    """

    def __init__(self, data: Dataset, preset: WholeHand, batch: int, seed: int, augment: bool) -> None:
        super().__init__(data, batch, seed, augment)
        self.preset = preset

    def assemble(self, chosen, rng):
        ages, males = self.ages[chosen, np.newaxis], self.males[chosen, np.newaxis]
        inputs = {"whole": network_input(self.whole_hands(chosen, rng, self.preset.branch.size))}
        if self.preset.sex == "input":
            inputs["male"] = males
        if self.preset.target == "classes":
            last = int(SCALED_AGE_MONTHS) // CLASS_MONTHS - 1
            return inputs, {"classes": np.minimum(ages // CLASS_MONTHS, last).astype(np.int32)}
        return inputs, {"age": ages, "male": males} if self.preset.sex == "predicted" else {"age": ages}


class AgeBatches(_Batches):
    """Stage 2: ({view: (B, size, size, 1), "male": (B, 1)}, bone ages in months (B, 1)).

    boxes gives each view's box in every image, (N, 4) fractions; a view without boxes sees the whole hand. In
    training the boxes move and change their size: at serving they are never exactly these.
    """

    def __init__(
        self, data: Dataset, preset: Preset, boxes: dict[str, np.ndarray], views: tuple[str, ...], **options
    ) -> None:
        super().__init__(data, **options)
        self.boxes = boxes
        self.branches = {name: preset.age.branches[name] for name in views}

    def assemble(self, chosen, rng):
        sizes = {name: spec.size for name, spec in self.branches.items()}
        views = {name: np.empty((len(chosen), size, size), np.uint8) for name, size in sizes.items()}
        for row, index in enumerate(chosen):
            image = self.exposed(index, rng)
            # All views of one hand turn and mirror together, each about its own centre.
            warp = random_warp(rng, self.ranges) if self.ranges else None
            for name, size in sizes.items():
                box = tuple(self.boxes[name][index]) if name in self.boxes else WHOLE
                if self.ranges is None:
                    views[name][row] = view(image, size, box)
                    continue
                if name in self.boxes:
                    box = jittered(box, rng)
                views[name][row] = add_marker(view(image, size, box, warp), rng, self.ranges)
        inputs = {name: network_input(stack) for name, stack in views.items()}
        inputs["male"] = self.males[chosen, np.newaxis]
        return inputs, self.ages[chosen, np.newaxis]


def drawing_shares(ages: np.ndarray, balance: float) -> np.ndarray:
    """How often each radiograph is drawn, (N,) with sum 1: by the density of its age to the power of -balance."""
    counts, edges = np.histogram(ages, np.arange(0, SCALED_AGE_MONTHS + 12, 12))
    smooth = np.convolve(counts, [0.25, 0.5, 0.25], mode="same")
    rarity = smooth[np.clip(np.digitize(ages, edges) - 1, 0, len(counts) - 1)] ** -balance
    return rarity / rarity.sum()


def jittered(box: tuple[float, ...], rng: np.random.Generator) -> tuple[float, ...]:
    """The box moved by up to a twelfth of its side, and up to a tenth larger or smaller."""
    x0, y0, x1, y1 = box
    grow = 0.5 * np.exp(rng.uniform(-0.1, 0.1))
    centre_x = (x0 + x1) / 2 + (x1 - x0) * rng.uniform(-1, 1) / 12
    centre_y = (y0 + y1) / 2 + (y1 - y0) * rng.uniform(-1, 1) / 12
    half_width, half_height = (x1 - x0) * grow, (y1 - y0) * grow
    return (centre_x - half_width, centre_y - half_height, centre_x + half_width, centre_y + half_height)
