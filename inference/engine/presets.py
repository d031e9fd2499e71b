"""Every system that can be built, trained, compared and served, each a frozen set of figures."""

from dataclasses import dataclass, replace
from typing import Literal

SCALED_AGE_MONTHS = 240.0
"""Stage 1 predicts bone age divided by this; the oldest label of the RSNA set is 228 months."""
MEAN_AGE_MONTHS, AGE_DEVIATION_MONTHS = 127.3, 41.2
"""Of the RSNA training labels. Stage 2 ends by multiplying and adding these, so that it starts at a fair guess."""
CLASS_MONTHS = 24
"""Width of the age classes, those that evaluation counts too: 0 to 2 years, 2 to 4, ..., 18 to 20."""


Kind = Literal[
    "residual", "plain", "bonet", "vit",
    "efficientnet_b0", "efficientnet_b5", "inception_resnet_v2", "inception_v3", "mobilenet", "resnet50", "resnet101",
    "vgg16", "xception",
]  # fmt: skip


@dataclass(frozen=True)
class Backbone:
    """A feature extractor: one of keras.applications, or one of this package's own (`networks`)."""

    kind: Kind
    size: int
    """Side of the square input in pixels."""
    widths: tuple[int, ...] = ()
    """Channels of the stem and of each stage, or of each layer; those of keras.applications have their own."""
    blocks: int = 2
    """Residual blocks in a stage, or blocks of the vision transformer."""


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
    averaged: bool = False
    """Validate and keep the average of the weights over the latest steps. Not of a network with batch normalisation,
    whose statistics are those of the weights themselves."""


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
    loss: Literal["mse", "huber", "mae"] = "mse"
    dense: tuple[int, ...] = (128, 64, 32)
    dropout: float = 0.0
    stochastic_depth: float = 0.0
    """Share of the hands that each residual branch is left out of in training (Huang et al., ECCV 2016), so that a
    long fit does not learn them by heart."""
    erased: bool = False
    """In training rectangles of some views are blacked out."""
    mirrored: bool = False
    """Read every hand and its mirror image, and take the mean."""
    start_from_attention: bool = False
    """Start from the attention network's backbone every branch that has the same architecture."""


@dataclass(frozen=True)
class Preset:
    """The two-stage design: an attention network finds regions of the hand, an age network reads them."""

    name: str
    attention: AttentionStage
    age: AgeStage
    working_size: int | None = None
    """Radiographs are squashed to a square of this side before anything else; None keeps the original."""
    precision: Literal["float32", "mixed_bfloat16"] = "float32"
    source: str = ""
    """Paper and year."""
    published: str = ""
    """The figure published for this design, with what it was measured on where that is known."""


@dataclass(frozen=True)
class WholeHand:
    """One network that reads the whole hand, without attention; the head follows the features of `branch`."""

    name: str
    source: str
    branch: Backbone
    fit: Fit
    published: str = ""
    target: Literal["months", "classes"] = "months"
    """"classes": classes of CLASS_MONTHS; the age read is the mean of their centres by probability."""
    sex: Literal["none", "input", "separate", "predicted"] = "input"
    """"separate": a network for each sex; "predicted": a second output, beside bone age."""
    pooling: Literal["average", "flatten"] = "average"
    normalised: bool = False
    """Batch normalisation before the dense layers."""
    dense: tuple[int, ...] = ()
    dropout: float = 0.0
    rectified: bool = False
    """Bone age is a ReLU unit, not a linear one."""
    loss: Literal["mse", "huber"] = "mse"
    working_size: int | None = 299
    precision: Literal["float32", "mixed_bfloat16"] = "float32"

    @property
    def networks(self) -> dict[str, str]:
        """The sexes ("F", "M", "FM") that each network reads, by the name of its files."""
        return {"age_F": "F", "age_M": "M"} if self.sex == "separate" else {"age": "FM"}


@dataclass(frozen=True)
class Ensemble:
    """The mean of several models, each trained alone."""

    name: str
    source: str
    members: tuple[str, ...]
    published: str = ""


AnyPreset = Preset | WholeHand | Ensemble

_COMPACT = (32, 64, 128, 192)

_TWO_STAGE = Preset(
    name="two_stage",
    attention=AttentionStage(Backbone("inception_v3", 299), Fit(epochs=60, batch=16, learning_rate=1e-3)),
    age=AgeStage(
        branches={"carpal": Backbone("resnet50", 224), "metacarpal": Backbone("resnet50", 224)},
        alone=Fit(epochs=30, batch=16, learning_rate=3e-4),
        fit=Fit(epochs=10, batch=16, learning_rate=3e-4),
    ),
    source="InceptionV3 with CBAM (Woo et al., ECCV 2018), then two ResNet50 (He et al., CVPR 2016)",
    published="MAE 10.34 months (validation); R2 0.901 (200 official test images)",
)
_TWO_STAGE_COMPACT = Preset(
    name="two_stage_compact",
    attention=AttentionStage(
        Backbone("residual", 192, _COMPACT),
        Fit(epochs=40, batch=64, learning_rate=1e-3, schedule="one_cycle", weight_decay=0.02, averaged=True),
        carpal=RegionRule(window=0.36, spread=0.08, contrast=4.0, reach=0.3, smoothing=0.6),
        metacarpal=RegionRule(window=0.42, spread=0.15, contrast=0.5, reach=0.3, smoothing=0.6),
    ),
    age=AgeStage(
        branches={
            "carpal": Backbone("residual", 112, _COMPACT),
            "metacarpal": Backbone("residual", 112, _COMPACT),
            "whole": Backbone("residual", 160, _COMPACT),
        },
        fit=Fit(
            epochs=60,
            batch=48,
            learning_rate=8e-4,
            schedule="one_cycle",
            weight_decay=0.03,
            balance=0.4,
            averaged=True,
        ),
        loss="huber",
        dropout=0.1,
        mirrored=True,
        start_from_attention=True,
    ),
    working_size=299,
    precision="mixed_bfloat16",
    source="The same two stages on small residual networks (De and Smith, NeurIPS 2020), read beside the whole hand",
)
_WIDE = (48, 96, 192, 288)
_TWO_STAGE_WIDE = replace(
    _TWO_STAGE_COMPACT,
    name="two_stage_wide",
    attention=replace(
        _TWO_STAGE_COMPACT.attention,
        backbone=Backbone("residual", 192, _WIDE),
    ),
    age=replace(
        _TWO_STAGE_COMPACT.age,
        branches={
            "carpal": Backbone("residual", 128, _WIDE),
            "metacarpal": Backbone("residual", 128, _WIDE),
            "whole": Backbone("residual", 256, _WIDE),
        },
        fit=replace(_TWO_STAGE_COMPACT.age.fit, batch=64),
        loss="mae",
    ),
    source="As two_stage_compact, with wider networks on larger views",
)
# The regions of two_stage_compact read by its own small networks, the whole hand by the wide one.
_TWO_STAGE_WIDE_HAND = replace(
    _TWO_STAGE_COMPACT,
    name="two_stage_wide_hand",
    age=replace(
        _TWO_STAGE_COMPACT.age,
        branches={**_TWO_STAGE_COMPACT.age.branches, "whole": _TWO_STAGE_WIDE.age.branches["whole"]},
        fit=replace(_TWO_STAGE_COMPACT.age.fit, epochs=174, batch=128, learning_rate=1e-3),
        loss="mae",
        stochastic_depth=0.05,
        erased=True,
    ),
    source="As two_stage_compact, with a wider network on a larger view of the whole hand",
)


def _one_region(region: str, published: str) -> Preset:
    """The published two stages with one region in stage 2; the attention network may be that of another run."""
    age = replace(
        _TWO_STAGE.age,
        branches={region: _TWO_STAGE.age.branches[region]},
        fit=Fit(epochs=40, batch=16, learning_rate=3e-4),
        alone=None,
    )
    return replace(_TWO_STAGE, name=f"two_stage_{region}", age=age, published=published)


_RECIPE = Fit(epochs=40, batch=32, learning_rate=1e-3, schedule="one_cycle", weight_decay=0.02)


def _application(kind: Kind, size: int, source: str, months: str, accuracy: str) -> list[WholeHand]:
    """A network of keras.applications, once for regression and once for classification."""
    regression = WholeHand(kind, source, Backbone(kind, size), _RECIPE, f"MAE {months} months", dropout=0.2)
    accurate = f"{accuracy} % in the right class"
    return [regression, replace(regression, name=f"{kind}_classes", published=accurate, target="classes")]


def _baseline(kind: Kind, size: int, source: str, rate: float) -> WholeHand:
    """What is often taken over from ImageNet, here trained from nothing: batch normalisation and dropout, one unit."""
    # Half of the features dropped right before a linear unit is noise of years: `mobilenet`'s training loss stayed
    # above that of the mean age for eight epochs.
    fit = replace(_RECIPE, learning_rate=rate)
    return WholeHand(kind, source, Backbone(kind, size), fit, normalised=True, dropout=0.2)


_ALL: list[AnyPreset] = [
    _TWO_STAGE,
    _one_region("carpal", "MAE 13.43 months (validation)"),
    _one_region("metacarpal", "MAE 13.60 months (validation)"),
    _TWO_STAGE_COMPACT,
    _TWO_STAGE_WIDE,
    _TWO_STAGE_WIDE_HAND,
    WholeHand(
        name="simple_cnn",
        source="Plain convolutional network, as LeCun et al., Proc. IEEE 1998, with ReLU",
        branch=Backbone("plain", 128, (32, 64, 128, 256)),
        # A dense layer on a flattened map has thousands of inputs: at the others' rate its first steps throw the age
        # read by years.
        fit=replace(_RECIPE, batch=64, learning_rate=2e-4),
        sex="none",
        pooling="flatten",
        dense=(128,),
        precision="mixed_bfloat16",
    ),
    WholeHand(
        name="whole_hand_sex_multitask",
        source="Multitask learning, Caruana, Machine Learning 1997, on the residual network of two_stage_compact",
        branch=Backbone("residual", 160, _COMPACT),
        fit=replace(_RECIPE, batch=48),
        sex="predicted",
        dense=(128,),
        dropout=0.1,
        loss="huber",
        precision="mixed_bfloat16",
    ),
    WholeHand(
        name="bonet",
        source="Spampinato et al., Medical Image Analysis 2017: five convolutions, a deformation (spatial "
        "transformer, Jaderberg et al., NeurIPS 2015), dense; the widths are this project's",
        published="MAE about 0.8 years",
        branch=Backbone("bonet", 224, (96, 128, 256, 256, 256)),
        fit=replace(_RECIPE, learning_rate=2e-4),
        sex="none",
        pooling="flatten",
        dense=(512,),
        dropout=0.2,
    ),
    WholeHand(
        name="vit",
        source="ViT-S/16, Dosovitskiy et al., ICLR 2021, its tokens averaged",
        branch=Backbone("vit", 224, (384,), blocks=12),
        fit=replace(_RECIPE, learning_rate=5e-4, weight_decay=0.05),
        dropout=0.1,
    ),
    WholeHand(
        name="inception_resnet_v2",
        source="Szegedy et al., AAAI 2017; one network per sex, pooled features into one ReLU unit",
        published="MAE 0.33 years (boys), 0.25 years (girls) on own data; within 0.5 / 1 / 1.5 / 2 years "
        "77.4 / 95.3 / 99.1 / 99.7 %",
        branch=Backbone("inception_resnet_v2", 299),
        fit=_RECIPE,
        sex="separate",
        rectified=True,
    ),
    *_application("efficientnet_b0", 224, "Tan and Le, ICML 2019", "8.13", "87.0"),
    *_application("efficientnet_b5", 299, "Tan and Le, ICML 2019", "8.37", "87.1"),
    *_application("resnet101", 224, "He et al., CVPR 2016", "9.56", "87.0"),
    *_application("xception", 299, "Chollet, CVPR 2017", "6.82", "86.6"),
    # Without normalisation layers VGG16 does not start to learn at the others' rate.
    _baseline("vgg16", 224, "Simonyan and Zisserman, ICLR 2015", rate=1e-4),
    _baseline("inception_v3", 299, "Szegedy et al., CVPR 2016", rate=1e-3),
    _baseline("mobilenet", 224, "Howard et al., arXiv:1704.04861, 2017", rate=1e-3),
    Ensemble(
        name="ensemble_compact",
        source="Mean of networks that train on two CPU cores",
        members=("two_stage_compact", "whole_hand_sex_multitask"),
    ),
    Ensemble(
        name="ensemble_whole_hand",
        source="Mean of three networks of keras.applications",
        members=("efficientnet_b0", "resnet101", "xception"),
    ),
]
PRESETS = {preset.name: preset for preset in _ALL}


def preset(name: str) -> AnyPreset:
    """The preset of that name. Raises ValueError, listing the right names, for any other."""
    if name not in PRESETS:
        raise ValueError(f"There is no preset {name!r}. Choose one of: {', '.join(sorted(PRESETS))}.")
    return PRESETS[name]


def trainable(name: str) -> Preset | WholeHand:
    """As `preset`. Raises ValueError for an ensemble too, naming its members."""
    chosen = preset(name)
    if isinstance(chosen, Ensemble):
        raise ValueError(f"{name} is the mean of {', '.join(chosen.members)}: train and export each of these.")
    return chosen
