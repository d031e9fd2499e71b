"""Augmented batches for Keras, made while the network trains."""

import keras
import numpy as np

from inference.engine.preprocessing import WHOLE, network_input, normalise_contrast, view
from inference.engine.presets import SCALED_AGE_MONTHS, Preset
from inference.training.augmentation import Augmentation, erase, random_exposure, random_warp
from inference.training.datasets import Dataset


class _Batches(keras.utils.PyDataset):
    def __init__(self, data: Dataset, preset: Preset, batch: int, seed: int, augment: bool) -> None:
        super().__init__(workers=1, use_multiprocessing=False, max_queue_size=6)
        self.data, self.preset, self.batch, self.seed = data, preset, batch, seed
        self.ranges = Augmentation() if augment else None
        self.normalised = [normalise_contrast(image) for image in data.images]
        self.ages, self.males = data.ages, data.males
        self.epoch = 0
        self.order = np.arange(len(data))
        self.shuffle()

    def shuffle(self) -> None:
        if self.ranges:
            self.order = np.random.default_rng((self.seed, self.epoch)).permutation(len(self.data))

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
        if self.ranges is None:
            return self.normalised[index]
        return random_exposure(self.data.images[index], self.normalised[index], rng, self.ranges)


class AttentionBatches(_Batches):
    """Stage 1: (whole hands (B, size, size, 1), scaled bone ages (B, 1))."""

    def assemble(self, chosen, rng):
        size = self.preset.attention.backbone.size
        views = np.empty((len(chosen), size, size), np.uint8)
        for row, index in enumerate(chosen):
            image = self.exposed(index, rng)
            if self.ranges is None:
                views[row] = view(image, size)
            else:
                views[row] = erase(view(image, size, WHOLE, random_warp(rng, self.ranges)), rng, self.ranges)
        return network_input(views), {"age": self.ages[chosen, np.newaxis] / SCALED_AGE_MONTHS}
