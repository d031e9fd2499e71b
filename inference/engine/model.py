"""A trained model: radiographs in, bone ages or refusals out."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from inference.engine import presets
from inference.engine.explanation import GRID, Explanation, Method, grad_cam, laid_together, occlusion_rows, shrunk
from inference.engine.gate import REASONS, refuse_pixels
from inference.engine.intervals import Interval
from inference.engine.orientation import AS_STORED, Orientation, notes, orientation
from inference.engine.presets import SCALED_AGE_MONTHS, Ensemble, WholeHand
from inference.engine.regions import Attention, Region, scaled
from inference.engine.runtimes import RUNTIMES
from inference.engine.weights import has_weights, kind, read_card, weights_folder

DEFAULT_MODEL = "two_stage_wide_hand"
BATCH = 16
NO_ATTENTION = (
    "This model has no attention network: it shows no regions, and cannot tell whether this is a radiograph of a hand."
)


@dataclass(frozen=True)
class Prediction:
    """A bone age in months with its 90 % interval, and where the model looked."""

    bone_age_months: float
    low_months: float
    high_months: float
    regions: dict[str, Region]
    """"carpal" and "metacarpal"; none where the model has no attention network."""
    heat_map: np.ndarray | None
    """(h, w) float32 in 0..1, over the whole image; None where the model has no attention network."""
    milliseconds: float
    """Of the call, shared out evenly over its images."""
    mirrored: bool = False
    """It looked like a right hand and was read mirrored; regions and heat map are those of the image as given."""
    turned_degrees: int = 0
    """Counter-clockwise (after mirroring), to have the fingers point up for reading."""

    @property
    def notes(self) -> list[str]:
        """Sentences on how the image was read, where that was not as it lies or not checked."""
        return [*notes(self.mirrored, self.turned_degrees), *([NO_ATTENTION] if self.heat_map is None else [])]


@dataclass(frozen=True)
class Refusal:
    """Why an image was not read; `reason` is a sentence that a technician can act on."""

    code: str
    reason: str
    milliseconds: float


@dataclass(frozen=True)
class Reading:
    """What the networks say of one hand, before the interval."""

    months: float
    mirrored_difference: float
    """Months between the readings of the hand and of its mirror image; 0 where only one was read."""
    attention: Attention
    """Of the upright hand."""
    lies: Orientation = AS_STORED

    @property
    def disagreement(self) -> float:
        """Months between what the two stages read; 0 where there is one."""
        return float(np.nan_to_num(abs(self.months - self.attention.scaled_age * SCALED_AGE_MONTHS)))


def checked(images: Sequence[np.ndarray], sexes: Sequence[str]) -> list[np.ndarray]:
    """The images, each (H, W) uint8 in a row of memory. Raises ValueError for what is none, or of no known sex."""
    if len(images) != len(sexes):
        raise ValueError(f"Every image has one sex: there are {len(images)} images and {len(sexes)} sexes.")
    for sex in sexes:
        if sex not in ("M", "F"):
            raise ValueError(f'Sex is "M" or "F", not {sex!r}.')
    for image in images:
        if not isinstance(image, np.ndarray):
            raise ValueError(f"An image is a NumPy array, (H, W) uint8, not {type(image).__name__}.")
        if image.dtype != np.uint8:
            raise ValueError(f"An image is (H, W) uint8, not {image.dtype}: `read_radiograph` gives what is needed.")
        if image.ndim != 2 or not image.size:
            raise ValueError(f"An image is one plane of grey, (H, W) uint8, not of shape {image.shape}.")
    return [np.ascontiguousarray(image) for image in images]


class BoneAgeModel:
    """A trained model, ready to read. Thread-safe. `load` gives the one of its kind."""

    has_attention = True
    """Whether it shows regions and a heat map."""
    _interval: Interval
    _instead = "load the model for TensorFlow"
    """What to do where Grad-CAM finds no gradients."""

    def __init__(self, name: str, card: dict) -> None:
        self.name = name
        self.version: str = card["version"]
        self.card = card

    @classmethod
    def load(
        cls,
        name: str = DEFAULT_MODEL,
        runtime: Literal["onnx", "onnx-int8", "tensorflow"] = "onnx",
        folder: Path | None = None,
    ) -> "BoneAgeModel":
        """The model of that name with its shipped weights; $BONEAGE_WEIGHTS names a folder to look in first.

        `folder`, where given, is the very folder of its files. A model from elsewhere runs on ONNX Runtime whatever
        the runtime.

        Raises ValueError for a wrong name or runtime, MissingWeights where it was never trained.
        """
        from inference.engine.ensemble import EnsembleModel
        from inference.engine.external import ExternalModel
        from inference.engine.two_stage import TwoStageModel
        from inference.engine.whole_hand import WholeHandModel

        if runtime not in RUNTIMES:
            raise ValueError(f"There is no runtime {runtime!r}. Choose one of: {', '.join(RUNTIMES)}.")
        chosen = presets.PRESETS.get(name)
        if isinstance(chosen, Ensemble):
            if folder is None and has_weights(name):
                folder = weights_folder(name)  # exported, with members of its own
            members = {member: folder and folder / member for member in chosen.members}
            version = read_card(folder)["version"] if folder else ""
            loaded = [cls.load(member, runtime, inside) for member, inside in members.items()]
            return EnsembleModel(chosen, loaded, version)
        if folder is None:
            if chosen is None and not has_weights(name):
                presets.preset(name)  # says which names there are
            folder = weights_folder(name)
        if kind(folder) == "external":
            return ExternalModel.from_folder(folder)
        card, preset = read_card(folder), presets.preset(name)
        if isinstance(preset, WholeHand):
            return WholeHandModel.from_folder(preset, card, folder, runtime)
        assert isinstance(preset, presets.Preset)
        return TwoStageModel.from_folder(preset, card, folder, runtime)

    def predict(self, images: Sequence[np.ndarray], sexes: Sequence[str]) -> list[Prediction | Refusal]:
        """Reads each (H, W) uint8 image, bone bright, of a child of that sex ("M" or "F").

        Raises ValueError for any other image or sex, before it reads the first.
        """
        images = checked(images, sexes)
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
        """What the networks say of each image, or the code of its refusal. Without the gate nothing is refused that
        they can read at all: calibration and evaluation need that. Raises ValueError as `predict` does.
        """
        images = checked(images, sexes)
        outcomes: list[Reading | str | None] = [refuse_pixels(image) for image in images]
        rows = [row for row, code in enumerate(outcomes) if code is None]
        lies = {row: orientation(images[row]) for row in rows}
        prepared = {row: self._prepared(lies[row].upright(images[row])) for row in rows}
        if rows:
            found = dict(zip(rows, self._attend([prepared[row] for row in rows]), strict=True))
            for row in rows:
                refused = self._refused(found[row])
                if refused == "no-attention" or (refused and gate):
                    outcomes[row] = refused
            rows = [row for row in rows if outcomes[row] is None]
        if rows:
            months = self._ages(
                [prepared[row] for row in rows], [sexes[row] for row in rows], [found[row] for row in rows]
            )
            for row, readings in zip(rows, months, strict=True):
                outcomes[row] = Reading(float(readings.mean()), float(np.ptp(readings)), found[row], lies[row])
        return [outcome for outcome in outcomes if outcome is not None]

    def explain(
        self, image: np.ndarray, sex: str, method: Method, progress: Callable[[float], None] = lambda share: None
    ) -> Explanation | Refusal:
        """Which places of the image the reading rests on. An occlusion map takes some hundred readings of the age
        network, with the regions where they were found; progress hears the share that is done.

        Raises ValueError for Grad-CAM on ONNX Runtime, which has no gradients, and as `predict` does.
        """
        started = time.perf_counter()
        [reading] = self.read([image], [sex])
        if isinstance(reading, str):
            return Refusal(reading, REASONS[reading], (time.perf_counter() - started) * 1000)
        if method == "occlusion":
            rows = []
            for row in self._occlusion_rows(image, sex, reading, range(GRID)):
                rows.append(row)
                progress(len(rows) / GRID)
            moved = np.stack(rows)
            return Explanation(method, reading.lies.stored(scaled(moved)), float(moved.max()))
        upright = self._prepared(reading.lies.upright(image))
        network = self._age_network(sex)
        if network is None:
            raise ValueError(f"Grad-CAM needs gradients, which ONNX Runtime has not: {self._instead}.")
        maps = grad_cam(network, self._age_inputs([upright], [sex], [reading.attention]))
        boxes = {name: region.box for name, region in reading.attention.regions.items()}
        together = laid_together({name: values[0] for name, values in maps.items()}, boxes)
        return Explanation(method, reading.lies.stored(scaled(together)), None)

    def occlusion_row(self, image: np.ndarray, sex: str, row: int) -> np.ndarray | Refusal:
        """One of the GRID rows of an occlusion map of the upright image, (GRID,) months, for who must not stop long."""
        started = time.perf_counter()
        [reading] = self.read([image], [sex])
        if isinstance(reading, str):
            return Refusal(reading, REASONS[reading], (time.perf_counter() - started) * 1000)
        [months] = self._occlusion_rows(image, sex, reading, [row])
        return months

    def _occlusion_rows(
        self, image: np.ndarray, sex: str, reading: Reading, rows: Iterable[int]
    ) -> Iterator[np.ndarray]:
        def read(images: np.ndarray) -> np.ndarray:
            return self._ages(list(images), [sex] * len(images), [reading.attention] * len(images)).mean(axis=1)

        # At the size of an upload the copies and their blur would take many times as long as the readings.
        return occlusion_rows(read, shrunk(self._prepared(reading.lies.upright(image)), self._occluded_side()), rows)

    def _occluded_side(self) -> int:
        """Pixels of a prepared image's side beyond which the views hardly change."""
        raise NotImplementedError

    def _prepared(self, upright: np.ndarray) -> np.ndarray:
        """(H, W) uint8, fingers up -> the same as the networks' views are cut from it."""
        raise NotImplementedError

    def _attend(self, images: list[np.ndarray]) -> list[Attention]:
        """What stage 1 finds in each prepared image."""
        raise NotImplementedError

    def _refused(self, attention: Attention) -> str | None:
        """The code of a refusal, or None."""
        raise NotImplementedError

    def _age_inputs(self, images: list[np.ndarray], sexes: list[str], found: list[Attention]) -> dict[str, np.ndarray]:
        """Of the age network, by name, from prepared images."""
        raise NotImplementedError

    def _ages(self, images: list[np.ndarray], sexes: list[str], found: list[Attention]) -> np.ndarray:
        """(N, 1) months, or (N, 2) where the mirror image is read too."""
        raise NotImplementedError

    def _age_network(self, sex: str) -> Any:
        """The keras.Model that gives the age of that sex, for its gradients; None where the runtime has none."""
        raise NotImplementedError

    def _bounds(self, reading: Reading) -> tuple[float, float]:
        """The 90 % interval in months."""
        [low], [high] = self._interval.bounds(
            np.array([reading.months]), np.array([reading.disagreement]), np.array([reading.mirrored_difference])
        )
        return float(low), float(high)

    def _prediction(self, reading: Reading, milliseconds: float) -> Prediction:
        attention, lies, months = reading.attention, reading.lies, max(reading.months, 0.0)
        low, high = self._bounds(replace(reading, months=months))
        return Prediction(
            bone_age_months=months,
            low_months=low,
            high_months=high,
            regions={name: lies.stored_region(region) for name, region in attention.regions.items()},
            heat_map=lies.stored(attention.heat),
            milliseconds=milliseconds,
            mirrored=lies.mirrored,
            turned_degrees=90 * lies.quarters,
        )
