"""Augmented batches for Keras, made while the network trains."""

import os

import keras
import numpy as np

from inference.engine.preprocessing import WHOLE, network_input, normalise_contrast, view
from inference.engine.presets import CLASS_MONTHS, SCALED_AGE_MONTHS, Preset, WholeHand
from inference.training.augmentation import (
    Augmentation,
    add_marker,
    erase,
    jittered,
    random_exposure,
    random_warp,
)
from inference.training.datasets import Dataset


class _Batches(keras.utils.PyDataset):
    """Batches of views, with what the network should say of them.

    sizes: side of each view in pixels; boxes: (N, 4) fractions, of the views that do not show the whole image. In
    training the boxes move and change their size: at serving they are never exactly these.
    """

    def __init__(
        self,
        data: Dataset,
        sizes: dict[str, int],
        batch: int,
        seed: int,
        augment: bool,
        *,
        boxes: dict[str, np.ndarray] | None = None,
        erased: bool = False,
        balance: float = 0.0,
        accelerated: bool = False,
    ) -> None:
        # Images at full size are decoded for every batch, which takes longer than a GPU's step.
        workers = 1 if data.in_memory else os.cpu_count() or 1
        super().__init__(workers=workers, use_multiprocessing=False, max_queue_size=workers + 5)
        self.data, self.sizes, self.batch, self.seed = data, sizes, batch, seed
        self.boxes = {name: boxes[name] for name in sizes if name in boxes} if boxes else {}
        self.erased = erased
        self.ranges = Augmentation() if augment else None
        self.exposures = data.mapped(lambda image: (image, normalise_contrast(image)))
        self.ages, self.males = data.ages, data.males
        self.drawing = drawing_shares(self.ages, balance) if balance else None
        self.views = self.on_the_host
        if self.ranges and accelerated:
            from inference.training.accelerated_views import AcceleratedViews

            self.views = AcceleratedViews(list(self.exposures), sizes, self.boxes, self.ranges, seed, erased)
        self.kept: dict[int, tuple] = {}
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
        # Fewer radiographs than a batch are one, always of the same shape.
        return max(1, len(self.data) // self.batch) if self.ranges else -(-len(self.data) // self.batch)

    def __getitem__(self, index: int):
        if index in self.kept:
            return self.kept[index]
        chosen = self.order[index * self.batch : (index + 1) * self.batch]
        rng = np.random.default_rng((self.seed, self.epoch, index))
        made = self.assemble(self.views(chosen, rng), chosen)
        if self.ranges is None and self.data.in_memory:
            self.kept[index] = made  # the same in every epoch
        return made

    def assemble(self, views: dict, chosen: np.ndarray):
        """The network's inputs, and what it should say."""
        raise NotImplementedError

    def on_the_host(self, chosen: np.ndarray, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """{view: (B, size, size, 1) float32 in -1..1}."""
        stacks = {name: np.empty((len(chosen), size, size), np.uint8) for name, size in self.sizes.items()}
        for row, index in enumerate(chosen):
            raw, image = self.exposures[index]
            if self.ranges is None:
                for name, size in self.sizes.items():
                    stacks[name][row] = view(image, size, self.box(name, index))
                continue
            image = random_exposure(raw, image, rng, self.ranges)
            # All views of one hand turn and mirror together, each about its own centre.
            warp = random_warp(rng, self.ranges)
            for name, size in self.sizes.items():
                box = tuple(jittered(self.boxes[name][[index]], rng)[0]) if name in self.boxes else WHOLE
                marked = add_marker(view(image, size, box, warp), rng, self.ranges)
                stacks[name][row] = erase(marked, rng, self.ranges) if self.erased else marked
        return {name: network_input(stack) for name, stack in stacks.items()}

    def box(self, name: str, index: int) -> tuple[float, ...]:
        return tuple(self.boxes[name][index]) if name in self.boxes else WHOLE


class AttentionBatches(_Batches):
    """Stage 1: (whole hands (B, size, size, 1), scaled bone ages (B, 1))."""

    def __init__(self, data: Dataset, preset: Preset, batch: int, seed: int, augment: bool, **options) -> None:
        sizes = {"whole": preset.attention.backbone.size}
        super().__init__(data, sizes, batch, seed, augment, erased=True, **options)

    def assemble(self, views, chosen):
        return views["whole"], {"age": self.ages[chosen, np.newaxis] / SCALED_AGE_MONTHS}


class WholeHandBatches(_Batches):
    """({"whole": (B, size, size, 1), "male": (B, 1) where it is an input},
    {"age": months (B, 1) or "classes": numbers of age classes (B, 1), and "male" where it is predicted}).
    """

    def __init__(self, data: Dataset, preset: WholeHand, batch: int, seed: int, augment: bool, **options) -> None:
        super().__init__(data, {"whole": preset.branch.size}, batch, seed, augment, erased=True, **options)
        self.preset = preset

    def assemble(self, views, chosen):
        ages, males = self.ages[chosen, np.newaxis], self.males[chosen, np.newaxis]
        inputs = dict(views)
        if self.preset.sex == "input":
            inputs["male"] = males
        if self.preset.target == "classes":
            last = int(SCALED_AGE_MONTHS) // CLASS_MONTHS - 1
            return inputs, {"classes": np.minimum(ages // CLASS_MONTHS, last).astype(np.int32)}
        return inputs, {"age": ages, "male": males} if self.preset.sex == "predicted" else {"age": ages}


class AgeBatches(_Batches):
    """Stage 2: ({view: (B, size, size, 1), "male": (B, 1)}, bone ages in months (B, 1)); `views` of the preset's."""

    def __init__(
        self, data: Dataset, preset: Preset, boxes: dict[str, np.ndarray], views: tuple[str, ...], **options
    ) -> None:
        super().__init__(data, {name: preset.age.branches[name].size for name in views}, boxes=boxes, **options)

    def assemble(self, views, chosen):
        return {**views, "male": self.males[chosen, np.newaxis]}, self.ages[chosen, np.newaxis]


def drawing_shares(ages: np.ndarray, balance: float) -> np.ndarray:
    """How often each radiograph is drawn, (N,) with sum 1: by the density of its age to the power of -balance."""
    counts, edges = np.histogram(ages, np.arange(0, SCALED_AGE_MONTHS + 12, 12))
    smooth = np.convolve(counts, [0.25, 0.5, 0.25], mode="same")
    rarity = smooth[np.clip(np.digitize(ages, edges) - 1, 0, len(counts) - 1)] ** -balance
    return rarity / rarity.sum()
