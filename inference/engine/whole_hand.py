"""One network that reads the whole hand: the presets that users compare with."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from inference.engine.intervals import Interval
from inference.engine.model import BoneAgeModel, Prediction, Reading
from inference.engine.preprocessing import network_input, normalise_contrast, view, working_image
from inference.engine.presets import WholeHand
from inference.engine.regions import Attention
from inference.engine.runtimes import KerasNetwork, OnnxNetwork

NOTHING = Attention(float("nan"), np.zeros((1, 1), np.float32), np.zeros(0, np.float32), None, None)
"""What a model without an attention network finds."""


class WithoutAttention(BoneAgeModel):
    """A model without stage 1. It shows no regions, and refuses only what can be told without a network."""

    has_attention = False

    def _attend(self, images: list[np.ndarray]) -> list[Attention]:
        return [NOTHING] * len(images)

    def _refused(self, attention: Attention) -> str | None:
        return None

    def _prediction(self, reading: Reading, milliseconds: float) -> Prediction:
        return replace(super()._prediction(reading, milliseconds), heat_map=None)


class WholeHandModel(WithoutAttention):
    def __init__(
        self, preset: WholeHand, card: dict, networks: dict[str, OnnxNetwork | KerasNetwork], interval: Interval
    ) -> None:
        """networks: the one that reads each sex."""
        super().__init__(preset.name, card)
        self.preset = preset
        self._networks, self._interval = networks, interval

    @classmethod
    def from_folder(cls, preset: WholeHand, card: dict, folder: Path, runtime: str) -> "WholeHandModel":
        networks: dict[str, OnnxNetwork | KerasNetwork] = {}
        for name, sexes in preset.networks.items():
            if runtime == "tensorflow":
                network: OnnxNetwork | KerasNetwork = KerasNetwork(preset, folder / f"{name}.npz")
            else:
                network = OnnxNetwork(folder / f"{name}.onnx")
            networks |= dict.fromkeys(sexes, network)
        return cls(preset, card, networks, Interval(**card["interval"]))

    def _prepared(self, upright: np.ndarray) -> np.ndarray:
        return normalise_contrast(working_image(upright, self.preset))

    def _occluded_side(self) -> int:
        return max(4 * self.preset.branch.size, self.preset.working_size or 0)

    def _age_inputs(self, images: list[np.ndarray], sexes: list[str], found: list[Attention]) -> dict[str, np.ndarray]:
        inputs = {"whole": network_input(np.stack([view(image, self.preset.branch.size) for image in images]))}
        if self.preset.sex == "input":
            inputs["male"] = np.array([[sex == "M"] for sex in sexes], np.float32)
        return inputs

    def _ages(self, images: list[np.ndarray], sexes: list[str], found: list[Attention]) -> np.ndarray:
        inputs = self._age_inputs(images, sexes, found)
        months = np.empty((len(images), 1), np.float32)
        for sex in set(sexes):
            rows = np.array([one == sex for one in sexes])
            months[rows] = self._networks[sex]({name: values[rows] for name, values in inputs.items()})["age"]
        return months

    def _age_network(self, sex: str) -> Any:
        return self._networks[sex].age_network
