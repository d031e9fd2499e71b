"""The trained two-stage model: radiographs in, bone ages or refusals out."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from inference.engine import presets
from inference.engine.explanation import Explanation, Method, grad_cam, laid_together, occlusion_map
from inference.engine.gate import REASONS, Hands, refuse_attention, refuse_pixels
from inference.engine.intervals import Interval
from inference.engine.orientation import AS_STORED, Orientation, notes, orientation
from inference.engine.preprocessing import WHOLE, network_input, normalise_contrast, view, working_image
from inference.engine.presets import SCALED_AGE_MONTHS, Preset
from inference.engine.regions import Attention, Region, find_regions, scaled
from inference.engine.runtimes import RUNTIMES, Runtime
from inference.engine.weights import read_card, weights_folder

DEFAULT_MODEL = "two_stage_compact"
BATCH = 16


@dataclass(frozen=True)
class Prediction:
    """A bone age in months with its 90 % interval, and where the model looked."""

    bone_age_months: float
    low_months: float
    high_months: float
    regions: dict[str, Region]
    """"carpal" and "metacarpal"."""
    heat_map: np.ndarray
    """(h, w) float32 in 0..1, over the whole image."""
    milliseconds: float
    """Of the call, shared out evenly over its images."""
    mirrored: bool = False
    """It looked like a right hand and was read mirrored; regions and heat map are those of the image as given."""
    turned_degrees: int = 0
    """Counter-clockwise (after mirroring), to have the fingers point up for reading."""

    @property
    def notes(self) -> list[str]:
        """Sentences on how the image was read, where that was not as it lies."""
        return notes(self.mirrored, self.turned_degrees)


@dataclass(frozen=True)
class Refusal:
    """Why an image was not read; `reason` is a sentence that a technician can act on."""

    code: str
    reason: str
    milliseconds: float


@dataclass(frozen=True)
class Reading:
    """What both stages say of one hand, before the interval."""

    months: float
    mirrored_difference: float
    """Months between the readings of the hand and of its mirror image; 0 where only one was read."""
    attention: Attention
    """Of the upright hand."""
    lies: Orientation = AS_STORED

    @property
    def disagreement(self) -> float:
        """Months between what the two stages read."""
        return abs(self.months - self.attention.scaled_age * SCALED_AGE_MONTHS)


class BoneAgeModel:
    """A trained model, ready to read. Thread-safe."""

    def __init__(self, preset: Preset, card: dict, runtime: Runtime, hands: Hands, interval: Interval) -> None:
        self.name = preset.name
        self.version: str = card["version"]
        self.card = card
        self.preset = preset
        self._runtime, self._hands, self._interval = runtime, hands, interval

    @classmethod
    def load(
        cls,
        name: str = DEFAULT_MODEL,
        runtime: Literal["onnx", "tensorflow"] = "onnx",
        folder: Path | None = None,
    ) -> "BoneAgeModel":
        """The model of that name with its shipped weights; $BONEAGE_WEIGHTS names a folder to look in first.

        `folder`, where given, is the very folder of its files.

        Raises ValueError for a wrong name or runtime, MissingWeights where it was never trained.
        """
        preset = presets.preset(name)
        if runtime not in RUNTIMES:
            raise ValueError(f"There is no runtime {runtime!r}. Choose one of: {', '.join(RUNTIMES)}.")
        folder = folder or weights_folder(name)
        card = read_card(folder)
        hands = Hands.load(folder / "hands.npz")
        return cls(preset, card, RUNTIMES[runtime](folder, preset), hands, Interval(**card["interval"]))

    def predict(self, images: Sequence[np.ndarray], sexes: Sequence[str]) -> list[Prediction | Refusal]:
        """Reads each (H, W) uint8 image, bone bright, of a child of that sex ("M" or "F")."""
        if len(images) != len(sexes):
            raise ValueError(f"{len(images)} images but {len(sexes)} sexes.")
        if unknown := set(sexes) - {"M", "F"}:
            raise ValueError(f'Sex is "M" or "F", not {unknown.pop()!r}.')
        outcomes: list[Prediction | Refusal] = []
        for start in range(0, len(images), BATCH):
            outcomes += self._predict_batch(images[start : start + BATCH], sexes[start : start + BATCH])
        return outcomes

    def _predict_batch(self, images: Sequence[np.ndarray], sexes: Sequence[str]) -> list[Prediction | Refusal]:
        started = time.perf_counter()
        readings = self.read(images, sexes)
        milliseconds = (time.perf_counter() - started) * 1000 / len(images)
        return [
            Refusal(reading, REASONS[reading], milliseconds)
            if isinstance(reading, str)
            else self._prediction(reading, milliseconds)
            for reading in readings
        ]

    def read(self, images: Sequence[np.ndarray], sexes: Sequence[str], gate: bool = True) -> list[Reading | str]:
        """What both stages say of each image, or the code of its refusal. Without the gate nothing is refused that
        the networks can read at all: calibration and evaluation need that.
        """
        outcomes: list[Reading | str | None] = [refuse_pixels(image) for image in images]
        rows = [row for row, code in enumerate(outcomes) if code is None]
        lies = {row: orientation(images[row]) for row in rows}
        normalised = {
            row: normalise_contrast(working_image(lies[row].upright(images[row]), self.preset)) for row in rows
        }
        if rows:
            size = self.preset.attention.backbone.size
            views = np.stack([view(normalised[row], size) for row in rows])
            found = dict(zip(rows, self._attend(views), strict=True))
            for row in rows:
                refused = refuse_attention(found[row], self._hands)
                if refused == "no-attention" or (refused and gate):
                    outcomes[row] = refused
            rows = [row for row in rows if outcomes[row] is None]
        if rows:
            months = self._ages(
                [normalised[row] for row in rows], [sexes[row] for row in rows], [found[row] for row in rows]
            )
            for row, readings in zip(rows, months, strict=True):
                outcomes[row] = Reading(float(readings.mean()), float(np.ptp(readings)), found[row], lies[row])
        return [outcome for outcome in outcomes if outcome is not None]

    def explain(
        self, image: np.ndarray, sex: str, method: Method, progress: Callable[[float], None] = lambda share: None
    ) -> Explanation | Refusal:
        """Which places of the image the reading rests on. An occlusion map takes some hundred readings of the age
        network, with the regions where they were found; progress hears the share that is done.

        Raises ValueError for Grad-CAM on ONNX Runtime, which has no gradients.
        """
        started = time.perf_counter()
        [reading] = self.read([image], [sex])
        if isinstance(reading, str):
            return Refusal(reading, REASONS[reading], (time.perf_counter() - started) * 1000)
        upright = normalise_contrast(working_image(reading.lies.upright(image), self.preset))
        if method == "occlusion":

            def read(images: np.ndarray) -> np.ndarray:
                return self._ages(list(images), [sex] * len(images), [reading.attention] * len(images)).mean(axis=1)

            moved = occlusion_map(read, upright, progress=progress)
            return Explanation(method, reading.lies.stored(scaled(moved)), float(moved.max()))
        if self._runtime.age_network is None:
            raise ValueError("Grad-CAM needs gradients, which ONNX Runtime has not: load the model for TensorFlow.")
        maps = grad_cam(self._runtime.age_network, self._age_inputs([upright], [sex], [reading.attention]))
        boxes = {name: region.box for name, region in reading.attention.regions.items()}
        together = laid_together({name: values[0] for name, values in maps.items()}, boxes)
        return Explanation(method, reading.lies.stored(scaled(together)), None)

    def _attend(self, views: np.ndarray) -> list[Attention]:
        return find_regions(self._runtime.attention, views, self.preset.attention)

    def _ages(self, images: list[np.ndarray], sexes: list[str], found: list[Attention]) -> np.ndarray:
        """(N, 1) months, or (N, 2) where the mirror image is read too."""
        inputs = self._age_inputs(images, sexes, found)
        if not self.preset.age.mirrored:
            return self._runtime.age(inputs)
        both = {
            name: np.concatenate([batch, batch[:, :, ::-1] if batch.ndim == 4 else batch])
            for name, batch in inputs.items()
        }
        return self._runtime.age(both).reshape(2, len(images)).T

    def _age_inputs(self, images: list[np.ndarray], sexes: list[str], found: list[Attention]) -> dict[str, np.ndarray]:
        """Of the age network, by name."""
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

    def _prediction(self, reading: Reading, milliseconds: float) -> Prediction:
        attention, lies, months = reading.attention, reading.lies, max(reading.months, 0.0)
        [low], [high] = self._interval.bounds(
            np.array([months]), np.array([reading.disagreement]), np.array([reading.mirrored_difference])
        )
        return Prediction(
            bone_age_months=months,
            low_months=float(low),
            high_months=float(high),
            regions={name: lies.stored_region(region) for name, region in attention.regions.items()},
            heat_map=lies.stored(attention.heat),
            milliseconds=milliseconds,
            mirrored=lies.mirrored,
            turned_degrees=90 * lies.quarters,
        )
