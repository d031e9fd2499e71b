"""The two-stage models that can be built, trained and served, each a frozen set of figures."""

from dataclasses import dataclass
from typing import Literal

SCALED_AGE_MONTHS = 240.0
"""Stage 1 predicts bone age divided by this; the oldest label of the RSNA set is 228 months."""
MEAN_AGE_MONTHS, AGE_DEVIATION_MONTHS = 127.3, 41.2
"""Of the RSNA training labels. Stage 2 ends by multiplying and adding these, so that it starts at a fair guess."""


@dataclass(frozen=True)
class Backbone:
    """A convolutional feature extractor: one of keras.applications, or this package's own residual network."""

    kind: Literal["inception_v3", "resnet50", "residual"]
    size: int
    """Side of the square input in pixels."""
    widths: tuple[int, ...] = ()
    """Channels of the stem and of each stage; the residual network only."""
    blocks: int = 2
    """Residual blocks in a stage; the residual network only."""


@dataclass(frozen=True)
class Fit:
    """How one network is fitted."""

    epochs: int
    batch: int
    learning_rate: float
    schedule: Literal["constant", "one_cycle"] = "constant"
    weight_decay: float = 0.0
    balance: float = 0.0
    """How far rare ages are drawn more often: 0 as they come, 1 every age alike. Without it the few radiographs of
    infants and of grown hands are read towards the mean."""


@dataclass(frozen=True)
class RegionRule:
    """How a heat map, scaled to 0..1, becomes a box. Lengths are fractions of the image's side."""

    threshold: float = 0.5
    """The box goes around everything at or above this; the published way."""
    window: float | None = None
    """Instead: a square of this side, centred where there is most heat nearby. A diffuse map, or a bright side
    marker, then moves the box less."""
    spread: float = 0.1
    """Standard deviation of the Gaussian that says what is nearby."""
    contrast: float = 1.0
    """Power the heat is raised to before the window is placed: above 1 peaks count more, below 1 broad heat."""
    reach: float | None = None
    """Standard deviation of the Gaussian that weighs the heat by its distance from where the region is expected:
    the image's centre for the first pass, the carpal region's for the second."""
    smoothing: float = 0.0
    """Standard deviation of the Gaussian over the heat map, in cells."""


@dataclass(frozen=True)
class AttentionStage:
    backbone: Backbone
    fit: Fit
    cbam_ratio: int = 16
    carpal: RegionRule = RegionRule()
    metacarpal: RegionRule = RegionRule()


@dataclass(frozen=True)
class AgeStage:
    branches: dict[str, Backbone]
    """One backbone per view of the hand: "carpal", "metacarpal" and, where it pays, "whole"."""
    fit: Fit
    alone: Fit | None = None
    """Each branch is fitted alone first, where the published recipe says so."""
    loss: Literal["mse", "huber"] = "mse"
    dense: tuple[int, ...] = (128, 64, 32)
    dropout: float = 0.0
    mirrored: bool = False
    """Read every hand and its mirror image, and take the mean."""
    start_from_attention: bool = False
    """Start every branch from the attention network's backbone: both are then the same architecture."""


@dataclass(frozen=True)
class Preset:
    name: str
    attention: AttentionStage
    age: AgeStage
    working_size: int | None = None
    """Radiographs are squashed to a square of this side before anything else; None keeps the original."""
    precision: Literal["float32", "mixed_bfloat16"] = "float32"


_COMPACT = (32, 64, 128, 192)

PRESETS = {
    preset.name: preset
    for preset in (
        Preset(
            name="two_stage",
            attention=AttentionStage(Backbone("inception_v3", 299), Fit(epochs=60, batch=16, learning_rate=1e-3)),
            age=AgeStage(
                branches={"carpal": Backbone("resnet50", 224), "metacarpal": Backbone("resnet50", 224)},
                alone=Fit(epochs=30, batch=16, learning_rate=3e-4),
                fit=Fit(epochs=10, batch=16, learning_rate=3e-4),
            ),
        ),
        Preset(
            name="two_stage_compact",
            attention=AttentionStage(
                Backbone("residual", 192, _COMPACT),
                Fit(epochs=40, batch=64, learning_rate=1e-3, schedule="one_cycle", weight_decay=0.02),
                carpal=RegionRule(window=0.36, spread=0.08, contrast=4.0, reach=0.3, smoothing=0.6),
                metacarpal=RegionRule(window=0.42, spread=0.15, contrast=0.5, reach=0.3, smoothing=0.6),
            ),
            age=AgeStage(
                branches={
                    "carpal": Backbone("residual", 112, _COMPACT),
                    "metacarpal": Backbone("residual", 112, _COMPACT),
                    "whole": Backbone("residual", 160, _COMPACT),
                },
                fit=Fit(epochs=60, batch=48, learning_rate=8e-4, schedule="one_cycle", weight_decay=0.03, balance=0.4),
                loss="huber",
                dropout=0.1,
                mirrored=True,
                start_from_attention=True,
            ),
            working_size=299,
            precision="mixed_bfloat16",
        ),
    )
}


def preset(name: str) -> Preset:
    """The preset of that name. Raises ValueError, listing the right names, for any other."""
    if name not in PRESETS:
        raise ValueError(f"There is no preset {name!r}. Choose one of: {', '.join(sorted(PRESETS))}.")
    return PRESETS[name]
