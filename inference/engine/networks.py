"""The networks of both stages, built from a preset. Inputs are (B, size, size, 1) in -1..1."""

import keras
from keras import layers

from inference.engine.layers import ConvolutionalBlockAttention, HeatMap, ResidualScale
from inference.engine.presets import AGE_DEVIATION_MONTHS, MEAN_AGE_MONTHS, Backbone, Preset


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
        layers.GlobalAveragePooling2D(name=f"{view}_pool")(backbone(stage.branches[view], f"{view}_branch")(image))
        for view, image in images.items()
    ]
    joined = layers.Concatenate(name="join")([*pooled, male])
    for number, width in enumerate(stage.dense, 1):
        joined = layers.Dense(width, activation="relu", name=f"dense_{number}")(joined)
        if stage.dropout:
            joined = layers.Dropout(stage.dropout, name=f"dropout_{number}")(joined)
    standardised = layers.Dense(1, dtype="float32", name="standardised_age")(joined)
    age = layers.Rescaling(AGE_DEVIATION_MONTHS, MEAN_AGE_MONTHS, dtype="float32", name="age")(standardised)
    return keras.Model({**images, "male": male}, age, name="age")


def backbone(spec: Backbone, name: str) -> keras.Model:
    """A feature extractor without a head: (B, size, size, 1) -> (B, h, w, C)."""
    image = _image_input("input", spec)
    if spec.kind == "residual":
        return keras.Model(image, _residual_features(image, spec), name=name)
    # Their constructors want three channels for the published architecture; a radiograph has one.
    build = {"inception_v3": keras.applications.InceptionV3, "resnet50": keras.applications.ResNet50}[spec.kind]
    rgb = layers.Concatenate()([image] * 3)
    network = build(include_top=False, weights=None, input_shape=(spec.size, spec.size, 3))
    return keras.Model(image, network(rgb), name=name)


def _image_input(name: str, spec: Backbone):
    return keras.Input((spec.size, spec.size, 1), name=name)


def _convolution(features, width: int, kernel: int = 3, strides: int = 1):
    return layers.Conv2D(width, kernel, strides=strides, padding="same", kernel_initializer="he_normal")(features)


def _residual_features(image, spec: Backbone):
    """A plain residual network without normalisation layers; its map is 2 ** len(widths) times smaller."""
    stem, *stages = spec.widths
    features = layers.ReLU()(_convolution(image, stem, kernel=5, strides=2))
    for width in stages:
        for block in range(spec.blocks):
            strides = 2 if block == 0 else 1
            branch = layers.ReLU()(_convolution(features, width, strides=strides))
            branch = ResidualScale()(_convolution(branch, width))
            if strides == 2:
                features = _convolution(layers.AveragePooling2D(2)(features), width, kernel=1)
            features = layers.ReLU()(layers.Add()([features, branch]))
    return features
