"""A model from elsewhere: one ONNX file, and a model.toml beside it that says how to feed it and what comes out.

name = "other_laboratory"
version = "2.1"
file = "network.onnx"
source = "Where it comes from, and its paper"
interval90_months = 16.0        # half the width of its 90 % interval, as measured on data of one's own

[image]
size = 299                      # side of the square it reads, in pixels
channels = 3                    # 1, or 3 times the same
order = "NHWC"                  # or "NCHW"
clahe = false                   # stretch and even out the contrast first, as this project's networks have it
divide = 255.0                  # value = (grey 0..255 / divide - mean) / deviation, bone bright
mean = 0.5
deviation = 0.25                # one number, or one per channel
input = "image"                 # its input's name; needed only where there are several inputs of four axes

[sex]                           # leave out where it takes none
input = "sex"
male = 1.0
female = 0.0

[age]
unit = "months"                 # or "years", "scaled", "classes"
output = "age"                  # needed only where there are several outputs
scale = 240.0                   # scaled: months = value * scale + offset
offset = 0.0
classes = [12, 24, 36]          # classes: the age in months that each one stands for
logits = false                  # classes: the output is not yet passed through a softmax
"""

import tomllib
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from inference.engine.model import Reading
from inference.engine.preprocessing import normalise_contrast, view
from inference.engine.regions import Attention
from inference.engine.runtimes import onnx_errors, onnx_session
from inference.engine.weights import DESCRIPTION
from inference.engine.whole_hand import WithoutAttention

MONTHS_OF_A_YEAR = 12.0
FED = "tensor(float)"
"""The type of what the network's inputs are given, in the words of ONNX Runtime."""


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Image(_Table):
    size: int = Field(ge=32, le=4096)
    channels: Literal[1, 3] = 1
    order: Literal["NHWC", "NCHW"] = "NHWC"
    clahe: bool = False
    divide: float = Field(255.0, gt=0)
    mean: float | list[float] = 0.0
    deviation: float | list[float] = 1.0
    input: str = ""

    @model_validator(mode="after")
    def _one_number_per_channel(self) -> "Image":
        for name, value in (("mean", self.mean), ("deviation", self.deviation)):
            if isinstance(value, list) and len(value) != self.channels:
                raise ValueError(f"{name} has {len(value)} numbers for {self.channels} channels")
        if np.any(np.asarray(self.deviation) <= 0):
            raise ValueError("deviation must be above 0")
        return self

    def network_input(self, views: np.ndarray) -> np.ndarray:
        """(B, size, size) uint8 -> float32 as the network wants it."""
        channels = np.repeat(views[..., np.newaxis].astype(np.float32), self.channels, axis=-1)
        scaled = (channels / self.divide - np.array(self.mean, np.float32)) / np.array(self.deviation, np.float32)
        ordered = scaled if self.order == "NHWC" else scaled.transpose(0, 3, 1, 2)
        return np.ascontiguousarray(ordered, np.float32)


class Sex(_Table):
    input: str
    male: float
    female: float


class Age(_Table):
    unit: Literal["months", "years", "scaled", "classes"]
    output: str = ""
    scale: float | None = None
    offset: float = 0.0
    classes: list[float] = []
    logits: bool = False

    @model_validator(mode="after")
    def _has_what_its_unit_needs(self) -> "Age":
        if self.unit == "scaled" and self.scale is None:
            raise ValueError('the unit "scaled" needs scale (and offset): months = value * scale + offset')
        if self.unit == "classes" and len(self.classes) < 2:
            raise ValueError('the unit "classes" needs classes: the age in months that each one stands for')
        return self

    def months(self, output: np.ndarray) -> np.ndarray:
        """The network's output, (B,), (B, 1) or (B, classes), -> (B,) months. Raises ValueError for another shape."""
        rows = output.reshape(len(output), -1).astype(np.float64)
        expected = len(self.classes) if self.unit == "classes" else 1
        if rows.shape[1] != expected:
            raise ValueError(f"The network gives {rows.shape[1]} numbers per image, model.toml describes {expected}.")
        if self.unit == "classes":
            if self.logits:
                rows = np.exp(rows - rows.max(1, keepdims=True))
            with np.errstate(divide="ignore", invalid="ignore"):  # probabilities of 0 alone
                return rows @ np.array(self.classes) / rows.sum(1)
        if self.unit == "scaled":
            return rows[:, 0] * float(self.scale or 0) + self.offset
        return rows[:, 0] * (MONTHS_OF_A_YEAR if self.unit == "years" else 1.0)


class Description(_Table):
    """What a model.toml says."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}$")
    version: str = Field(min_length=1, max_length=40)
    file: str = Field(pattern=r"^[^/\\]+\.onnx$")
    source: str = ""
    interval90_months: float = Field(gt=0)
    image: Image
    sex: Sex | None = None
    age: Age

    def card(self) -> dict:
        """A model card with what is known of it."""
        return {
            "name": self.name,
            "version": self.version,
            "training": {"data": self.source or "not known"},
            "description": self.model_dump(),
        }


def read_description(folder: Path) -> Description:
    """The model.toml of a folder. Raises ValueError that names every wrong or missing entry."""
    path = folder / DESCRIPTION
    try:
        description = Description.model_validate(tomllib.loads(path.read_text()))
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{path} is not TOML: {error}.") from error
    except ValidationError as error:
        raise ValueError(f"{path} is wrong: {'; '.join(map(_sentence, error.errors()))}.") from error
    if not (folder / description.file).is_file():
        raise ValueError(f"{path} names {description.file}, which is not beside it.")
    return description


def _sentence(error) -> str:
    where, what = ".".join(str(part) for part in error["loc"]), error["msg"].removeprefix("Value error, ")
    return f"{where}: {what[0].lower()}{what[1:]}"


class ExternalModel(WithoutAttention):
    """The model that a description tells of, on ONNX Runtime. Right hands are mirrored for it as for any other."""

    _instead = "of a model from elsewhere there is an occlusion map"

    def __init__(self, description: Description, folder: Path) -> None:
        """Raises ValueError where the network has not the inputs and outputs that the description names."""
        super().__init__(description.name, description.card())
        self.description = description
        self._session = onnx_session(folder / description.file)
        inputs = {one.name: one for one in self._session.get_inputs()}
        images = [name for name, one in inputs.items() if len(one.shape) == 4]
        others = [name for name in inputs if name not in images]
        outputs = [one.name for one in self._session.get_outputs()]
        self._image = self._chosen("image.input", description.image.input, images)
        self._output = self._chosen("age.output", description.age.output, outputs)
        self._sex = self._chosen("sex.input", description.sex.input, others) if description.sex else None
        if unfed := set(others) - {self._sex}:
            raise ValueError(f"{description.file} has inputs that model.toml does not describe: {', '.join(unfed)}.")
        for entry, name in (("image.input", self._image), ("sex.input", self._sex)):
            if name and inputs[name].type != FED:
                raise ValueError(f"{entry}: {name} of {description.file} takes {inputs[name].type}, it is fed {FED}.")
        self._check_image(inputs[self._image].shape)
        if self._sex:
            self._check_sex(inputs[self._sex].shape)
        batches = {one.shape[0] for one in inputs.values() if isinstance(one.shape[0], int)}
        if len(batches) > 1:
            raise ValueError(f"The inputs of {description.file} take batches of {' and '.join(map(str, batches))}.")
        self._batch = max(batches, default=0)
        """How many images the network takes at once; 0: any number."""

    @classmethod
    def from_folder(cls, folder: Path) -> "ExternalModel":
        return cls(read_description(folder), folder)

    def _chosen(self, entry: str, name: str, available: list[str]) -> str:
        if not name and len(available) == 1:
            return available[0]
        if name not in available:
            raise ValueError(
                f"{entry} of model.toml is {name!r}; {self.description.file} has {', '.join(available) or 'none'}."
            )
        return name

    def _check_image(self, shape: list) -> None:
        """Raises ValueError that names the entry of [image] which the network's input, of four axes, is not like."""
        image = self.description.image
        orders = {"NHWC": (shape[3], shape[1:3]), "NCHW": (shape[1], shape[2:])}

        def unlike(order: str) -> str:
            channels, sides = orders[order]
            for entry, described, axes in (("channels", image.channels, [channels]), ("size", image.size, sides)):
                if other := [axis for axis in axes if isinstance(axis, int) and axis != described]:
                    return f"image.{entry} of model.toml is {described}; {self.description.file} takes {other[0]}"
            return ""

        if told := unlike(image.order):
            [other] = set(orders) - {image.order}
            if not unlike(other):
                told = f"image.order of model.toml is {image.order}; {self.description.file} takes {other}"
            raise ValueError(f"{told} (shape {shape}).")

    def _check_sex(self, shape: list) -> None:
        """Raises ValueError where the network's input is not of one number for each image."""
        if len(shape) != 2 or (isinstance(shape[1], int) and shape[1] != 1):
            raise ValueError(
                f"sex.input: {self._sex} of {self.description.file} has the shape {shape}; it is fed (images, 1)."
            )

    def _prepared(self, upright: np.ndarray) -> np.ndarray:
        return normalise_contrast(upright) if self.description.image.clahe else upright

    def _occluded_side(self) -> int:
        return 4 * self.description.image.size

    def _age_inputs(self, images: list[np.ndarray], sexes: list[str], found: list[Attention]) -> dict[str, np.ndarray]:
        image, sex = self.description.image, self.description.sex
        inputs = {self._image: image.network_input(np.stack([view(one, image.size) for one in images]))}
        if sex and self._sex:
            inputs[self._sex] = np.array([[sex.male if one == "M" else sex.female] for one in sexes], np.float32)
        return inputs

    def _ages(self, images: list[np.ndarray], sexes: list[str], found: list[Attention]) -> np.ndarray:
        inputs, batch = self._age_inputs(images, sexes, found), self._batch or len(images)
        months = []
        for start in range(0, len(images), batch):
            # The last part is filled up with the last image: a network of a fixed batch takes no fewer.
            rows = np.minimum(np.arange(start, start + batch), len(images) - 1)
            [output] = self._run({name: values[rows] for name, values in inputs.items()})
            if np.shape(output)[:1] != (batch,):
                raise ValueError(
                    f"{self.description.file} gives an output of the shape {list(np.shape(output))} for {batch} images."
                )
            months.append(self.description.age.months(output))
        read = np.concatenate(months)[: len(images), np.newaxis]
        if not np.isfinite(read).all():
            raise ValueError(f"{self.description.file} gave {read[~np.isfinite(read)][0]} for a radiograph: no age.")
        return read

    def _run(self, inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
        try:
            return self._session.run([self._output], inputs)
        except onnx_errors() as error:
            shapes = ", ".join(f"{name} {list(values.shape)}" for name, values in inputs.items())
            raise ValueError(f"{self.description.file} cannot read {shapes}: {error}") from error

    def _age_network(self, sex: str) -> Any:
        return None

    def _bounds(self, reading: Reading) -> tuple[float, float]:
        half = self.description.interval90_months
        return max(0.0, reading.months - half), reading.months + half
