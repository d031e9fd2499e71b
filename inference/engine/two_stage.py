"""The two-stage model: an attention network finds regions of the hand, an age network reads them."""

from pathlib import Path
from typing import Any

import numpy as np

from inference.engine.gate import Hands, refuse_attention
from inference.engine.intervals import Interval
from inference.engine.model import BoneAgeModel
from inference.engine.preprocessing import WHOLE, network_input, normalise_contrast, view, working_image
from inference.engine.presets import Preset
from inference.engine.regions import Attention, find_regions
from inference.engine.runtimes import RUNTIMES, Runtime


class TwoStageModel(BoneAgeModel):
    def __init__(self, preset: Preset, card: dict, runtime: Runtime, hands: Hands, interval: Interval) -> None:
        super().__init__(preset.name, card)
        self.preset = preset
        self._runtime, self._hands, self._interval = runtime, hands, interval

    @classmethod
    def from_folder(cls, preset: Preset, card: dict, folder: Path, runtime: str) -> "TwoStageModel":
        hands = Hands.load(folder / "hands.npz")
        return cls(preset, card, RUNTIMES[runtime](folder, preset), hands, Interval(**card["interval"]))

    def _prepared(self, upright: np.ndarray) -> np.ndarray:
        return normalise_contrast(working_image(upright, self.preset))

    def _attend(self, images: list[np.ndarray]) -> list[Attention]:
        views = np.stack([view(image, self.preset.attention.backbone.size) for image in images])
        return find_regions(self._runtime.attention, views, self.preset.attention)

    def _refused(self, attention: Attention) -> str | None:
        return refuse_attention(attention, self._hands)

    def _occluded_side(self) -> int:
        """Regions are about a third of the image's side."""
        sizes = [spec.size for spec in self.preset.age.branches.values()]
        return max(4 * max(sizes), self.preset.working_size or 0)

    def _ages(self, images: list[np.ndarray], sexes: list[str], found: list[Attention]) -> np.ndarray:
        inputs = self._age_inputs(images, sexes, found)
        if not self.preset.age.mirrored:
            return self._runtime.age(inputs)
        both = {
            name: np.concatenate([batch, batch[:, :, ::-1] if batch.ndim == 4 else batch])
            for name, batch in inputs.items()
        }
        return self._runtime.age(both).reshape(2, len(images)).T

    def _age_inputs(self, images: list[np.ndarray], sexes: list[str], found: list[Attention]) -> dict[str, np.ndarray]:
        inputs = {}
        for name, spec in self.preset.age.branches.items():
            regions = [attention.regions.get(name) for attention in found]
            views = [
                view(image, spec.size, region.box if region else WHOLE)
                for image, region in zip(images, regions, strict=True)
            ]
            inputs[name] = network_input(np.stack(views))
        inputs["male"] = np.array([[sex == "M"] for sex in sexes], np.float32)
        return inputs

    def _age_network(self, sex: str) -> Any:
        return self._runtime.age_network
