"""The networks of every preset. Images are (B, size, size, 1) in -1..1.

The last feature map, (B, h, w, C), is in each the output of one layer by convention: "attention" in the attention
network, and for every view that an age network reads, `features_of(view)`: "carpal_branch", "metacarpal_branch", and
"whole_branch", the only one of a network that reads the whole hand. Grad-CAM needs no more.
"""

from collections.abc import Callable
from functools import partial

import keras
from keras import layers

from inference.engine.layers import (
    AffineSampling,
    ConvolutionalBlockAttention,
    ExpectedAge,
    HeatMap,
    Positions,
    ResidualScale,
    tanh_gelu,
)
from inference.engine.presets import (
    AGE_DEVIATION_MONTHS,
    CLASS_MONTHS,
    MEAN_AGE_MONTHS,
    SCALED_AGE_MONTHS,
    Backbone,
    Preset,
    WholeHand,
)

PATCH = 16
"""Side of a vision transformer's patches in pixels."""
HEAD_WIDTH = 64
"""Channels of one attention head of a vision transformer."""


def attention_network(preset: Preset) -> keras.Model:
    """Stage 1: image -> {"age": (B, 1) scaled bone age in 0..1, "heat": (B, h, w) attention, not scaled,
    "embedding": (B, C) pooled features, by which an image that is no hand is told}.
    """
    stage = preset.attention
    image = _image_input("image", stage.backbone)
    features = backbone(stage.backbone, "attention")(image)
    attended = ConvolutionalBlockAttention(stage.cbam_ratio, name="cbam")(features)
    pooled = layers.GlobalAveragePooling2D(name="pool")(attended)
    age = layers.Dense(1, activation="sigmoid", dtype="float32", name="age")(pooled)
    heat = HeatMap(name="heat", dtype="float32")(attended)
    embedding = layers.Activation("linear", dtype="float32", name="embedding")(pooled)
    return keras.Model(image, {"age": age, "heat": heat, "embedding": embedding}, name="attention")


def age_network(preset: Preset, views: tuple[str, ...] | None = None) -> keras.Model:
    """Stage 2: {view: image per view, "male": (B, 1) 1 or 0} -> (B, 1) bone age in months.

    views picks some of the preset's branches; all of them by default.
    """
    stage = preset.age
    images = {view: _image_input(view, stage.branches[view]) for view in views or tuple(stage.branches)}
    male = keras.Input((1,), name="male")
    pooled = [
        layers.GlobalAveragePooling2D(name=f"{view}_pool")(
            backbone(stage.branches[view], features_of(view), stage.stochastic_depth)(image)
        )
        for view, image in images.items()
    ]
    joined = layers.Concatenate(name="join")([*pooled, male])
    for number, width in enumerate(stage.dense, 1):
        joined = layers.Dense(width, activation="relu", name=f"dense_{number}")(joined)
        if stage.dropout:
            joined = layers.Dropout(stage.dropout, name=f"dropout_{number}")(joined)
    return keras.Model({**images, "male": male}, _months(joined), name="age")


def whole_hand_network(preset: WholeHand) -> keras.Model:
    """{"whole": image, and "male": (B, 1) 1 or 0 where sex is an input} -> {"age": (B, 1) bone age in months} and,
    where it is predicted, "classes": (B, K) probabilities of age classes, or "male": (B, 1) probability.
    """
    inputs = {"whole": _image_input("whole", preset.branch)}
    features = backbone(preset.branch, features_of("whole"))(inputs["whole"])
    flat = layers.Flatten if preset.pooling == "flatten" else layers.GlobalAveragePooling2D
    joined = flat(name="pool")(features)
    if preset.normalised:
        joined = layers.BatchNormalization(name="normalisation")(joined)
    if preset.sex == "input":
        inputs["male"] = keras.Input((1,), name="male")
        joined = layers.Concatenate(name="join")([joined, inputs["male"]])
    for number, width in enumerate(preset.dense, 1):
        joined = layers.Dense(width, activation="relu", name=f"dense_{number}")(joined)
    if preset.dropout:
        joined = layers.Dropout(preset.dropout, name="dropout")(joined)
    outputs = {}
    if preset.target == "classes":
        count = int(SCALED_AGE_MONTHS) // CLASS_MONTHS
        outputs["classes"] = layers.Dense(count, activation="softmax", dtype="float32", name="classes")(joined)
        outputs["age"] = ExpectedAge(CLASS_MONTHS, dtype="float32", name="age")(outputs["classes"])
    elif preset.rectified:
        # The unit starts at the mean age: one that starts below 0 for every hand would never learn.
        start = keras.initializers.Constant(MEAN_AGE_MONTHS / AGE_DEVIATION_MONTHS)
        standardised = _standardised_age(joined, activation="relu", bias_initializer=start)
        outputs["age"] = layers.Rescaling(AGE_DEVIATION_MONTHS, dtype="float32", name="age")(standardised)
    else:
        outputs["age"] = _months(joined)
    if preset.sex == "predicted":
        outputs["male"] = layers.Dense(1, activation="sigmoid", dtype="float32", name="male")(joined)
    return keras.Model(inputs, outputs, name=preset.name)


def features_of(view: str) -> str:
    """Name of the layer whose output is the last feature map of that view."""
    return f"{view}_branch"


APPLICATIONS = {
    "efficientnet_b0": keras.applications.EfficientNetB0,
    "efficientnet_b5": keras.applications.EfficientNetB5,
    "inception_resnet_v2": keras.applications.InceptionResNetV2,
    "inception_v3": keras.applications.InceptionV3,
    "mobilenet": keras.applications.MobileNet,
    "resnet50": keras.applications.ResNet50,
    "resnet101": keras.applications.ResNet101,
    "vgg16": keras.applications.VGG16,
    "xception": keras.applications.Xception,
}


def backbone(spec: Backbone, name: str, stochastic_depth: float = 0.0) -> keras.Model:
    """A feature extractor without a head: (B, size, size, 1) -> (B, h, w, C).

    stochastic_depth: share of the hands that each branch of a residual network is left out of in training.
    """
    image = _image_input("input", spec)
    own: dict[str, Callable] = {
        "residual": partial(_residual_features, stochastic_depth=stochastic_depth),
        "plain": _plain_features,
        "bonet": _bonet_features,
        "vit": _vit_features,
    }
    if spec.kind in own:
        return keras.Model(image, own[spec.kind](image, spec), name=name)
    # Their constructors want three channels for the published architecture; a radiograph has one.
    rgb = layers.Concatenate()([image] * 3)
    if spec.kind.startswith("efficientnet"):
        rgb = layers.Rescaling(127.5, 127.5)(rgb)  # it scales 0..255 itself
    network = APPLICATIONS[spec.kind](include_top=False, weights=None, input_shape=(spec.size, spec.size, 3))
    if spec.kind == "vgg16":
        # Its constructor draws Glorot's kernels, which halve what passes each of its 13 ReLUs.
        for layer in network.layers:
            if isinstance(layer, layers.Conv2D):
                layer.kernel.assign(keras.initializers.HeNormal()(layer.kernel.shape))
    return keras.Model(image, network(rgb), name=name)


def _image_input(name: str, spec: Backbone):
    return keras.Input((spec.size, spec.size, 1), name=name)


def _months(features):
    """(B, C) -> (B, 1) bone age in months, at first about the mean of the training set."""
    standardised = _standardised_age(features)
    return layers.Rescaling(AGE_DEVIATION_MONTHS, MEAN_AGE_MONTHS, dtype="float32", name="age")(standardised)


def _standardised_age(features, **options):
    """(B, C) -> (B, 1), by one unit."""
    # Small at the start: of many normalised features a weight of the usual size makes years.
    small = keras.initializers.VarianceScaling(1e-4, mode="fan_avg")
    return layers.Dense(1, kernel_initializer=small, dtype="float32", name="standardised_age", **options)(features)


def _convolution(features, width: int, kernel: int = 3, strides: int = 1):
    return layers.Conv2D(width, kernel, strides=strides, padding="same", kernel_initializer="he_normal")(features)


def _residual_features(image, spec: Backbone, stochastic_depth: float):
    """A plain residual network without normalisation layers; its map is 2 ** len(widths) times smaller."""
    stem, *stages = spec.widths
    features = layers.ReLU()(_convolution(image, stem, kernel=5, strides=2))
    for width in stages:
        for block in range(spec.blocks):
            strides = 2 if block == 0 else 1
            branch = layers.ReLU()(_convolution(features, width, strides=strides))
            branch = ResidualScale(left_out=stochastic_depth)(_convolution(branch, width))
            if strides == 2:
                features = _convolution(layers.AveragePooling2D(2)(features), width, kernel=1)
            features = layers.ReLU()(layers.Add()([features, branch]))
    return features


def _plain_features(image, spec: Backbone):
    """Convolution, ReLU and max-pooling, once for each width."""
    features = image
    for width in spec.widths:
        features = layers.MaxPooling2D(2)(layers.ReLU()(_convolution(features, width)))
    return features


def _bonet_features(image, spec: Backbone):
    """BoNet: five convolutions, the last on features that a spatial transformer has deformed."""
    first, second, third, fourth, last = spec.widths
    features = layers.ReLU()(_convolution(image, first, kernel=7, strides=2))
    features = layers.MaxPooling2D(2)(features)
    features = layers.MaxPooling2D(2)(layers.ReLU()(_convolution(features, second, kernel=5)))
    features = layers.ReLU()(_convolution(features, third))
    features = layers.ReLU()(_convolution(features, fourth))
    seen = layers.Flatten()(layers.ReLU()(_convolution(layers.MaxPooling2D(2)(features), 16, kernel=1)))
    # It starts as the identity and learns to deform from there.
    identity = keras.initializers.Constant([1, 0, 0, 0, 1, 0])
    theta = layers.Dense(6, kernel_initializer="zeros", bias_initializer=identity, dtype="float32", name="deformation")(
        layers.Dense(32, activation="tanh")(seen)
    )
    features = AffineSampling(dtype="float32", name="sampling")([features, theta])
    return layers.MaxPooling2D(2)(layers.ReLU()(_convolution(features, last)))


def _vit_features(image, spec: Backbone):
    """A vision transformer: blocks of attention and MLP over patches, put back in their places."""
    [width], side = spec.widths, spec.size // PATCH
    patches = layers.Conv2D(width, PATCH, strides=PATCH, name="patches")(image)
    tokens = Positions(name="positions")(layers.Reshape((side * side, width))(patches))
    for _ in range(spec.blocks):
        normed = layers.LayerNormalization(epsilon=1e-6)(tokens)
        attended = layers.MultiHeadAttention(max(1, width // HEAD_WIDTH), min(width, HEAD_WIDTH))(normed, normed)
        tokens = layers.Add()([tokens, attended])
        hidden = layers.Dense(4 * width, activation=tanh_gelu)(layers.LayerNormalization(epsilon=1e-6)(tokens))
        tokens = layers.Add()([tokens, layers.Dense(width)(hidden)])
    return layers.Reshape((side, side, width))(layers.LayerNormalization(epsilon=1e-6)(tokens))
