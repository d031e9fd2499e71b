"""Keras layers of the networks, on keras.ops only: they run on TensorFlow, JAX and PyTorch alike."""

import keras
import numpy as np
from keras import ops


@keras.saving.register_keras_serializable(package="boneage")
class ConvolutionalBlockAttention(keras.layers.Layer):
    """CBAM (Woo et al., ECCV 2018): channel attention, then spatial attention. (B, H, W, C) in and out.

    channel = sigmoid(MLP(mean over H, W) + MLP(max over H, W)), the MLP shared: C -> C / ratio -> C, ReLU between
    spatial = sigmoid(conv kernel x kernel of [mean over C; max over C])
    """

    def __init__(self, ratio: int = 16, kernel_size: int = 7, **kwargs) -> None:
        super().__init__(**kwargs)
        self.ratio = ratio
        self.kernel_size = kernel_size

    def build(self, input_shape) -> None:
        channels = input_shape[-1]
        hidden = max(1, channels // self.ratio)
        self.squeeze = self.add_weight(shape=(channels, hidden), initializer="he_normal", name="squeeze")
        self.squeeze_bias = self.add_weight(shape=(hidden,), initializer="zeros", name="squeeze_bias")
        self.excite = self.add_weight(shape=(hidden, channels), initializer="glorot_uniform", name="excite")
        self.excite_bias = self.add_weight(shape=(channels,), initializer="zeros", name="excite_bias")
        self.kernel = self.add_weight(
            shape=(self.kernel_size, self.kernel_size, 2, 1), initializer="glorot_uniform", name="kernel"
        )

    def call(self, features):
        features = features * self.channel_attention(features)
        return features * self.spatial_attention(features)

    def channel_attention(self, features):
        """(B, H, W, C) -> (B, 1, 1, C) in 0..1."""
        mean = ops.mean(features, axis=(1, 2), keepdims=True)
        peak = ops.max(features, axis=(1, 2), keepdims=True)
        return ops.sigmoid(self._shared_mlp(mean) + self._shared_mlp(peak))

    def spatial_attention(self, features):
        """(B, H, W, C) -> (B, H, W, 1) in 0..1."""
        mean = ops.mean(features, axis=-1, keepdims=True)
        peak = ops.max(features, axis=-1, keepdims=True)
        pooled = ops.concatenate([mean, peak], axis=-1)
        return ops.sigmoid(ops.conv(pooled, self.kernel, padding="same", data_format="channels_last"))

    def _shared_mlp(self, pooled):
        hidden = ops.relu(ops.matmul(pooled, self.squeeze) + self.squeeze_bias)
        return ops.matmul(hidden, self.excite) + self.excite_bias

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self) -> dict:
        return {**super().get_config(), "ratio": self.ratio, "kernel_size": self.kernel_size}


@keras.saving.register_keras_serializable(package="boneage")
class ResidualScale(keras.layers.Layer):
    """Multiplies each channel by a learned number that starts small.

    With it a residual network trains without batch normalisation (De and Smith 2020, "SkipInit"), which on a CPU
    takes half of each training step.

    left_out: in training the branch is left out of this share of the images, and counts more in the others
    ("stochastic depth", Huang et al., ECCV 2016).
    """

    def __init__(self, initial: float = 0.2, left_out: float = 0.0, **kwargs) -> None:
        super().__init__(**kwargs)
        self.initial = initial
        self.left_out = left_out
        self.seed_generator = keras.random.SeedGenerator() if left_out else None

    def build(self, input_shape) -> None:
        start = keras.initializers.Constant(self.initial)
        self.scale = self.add_weight(shape=(input_shape[-1],), initializer=start, name="scale")

    def call(self, features, training=False):
        scaled = features * self.scale
        if not (training and self.left_out):
            return scaled
        by_image = (ops.shape(features)[0], *[1] * (len(features.shape) - 1))
        return keras.random.dropout(scaled, self.left_out, by_image, seed=self.seed_generator)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self) -> dict:
        return {**super().get_config(), "initial": self.initial, "left_out": self.left_out}


@keras.saving.register_keras_serializable(package="boneage")
class HeatMap(keras.layers.Layer):
    """Sum over channels of the attended features: (B, H, W, C) -> (B, H, W), float32."""

    def call(self, features):
        return ops.sum(ops.abs(ops.cast(features, "float32")), axis=-1)

    def compute_output_shape(self, input_shape):
        return input_shape[:-1]


@keras.saving.register_keras_serializable(package="boneage")
class AffineSampling(keras.layers.Layer):
    """The sampler of a spatial transformer (Jaderberg et al., NeurIPS 2015).

    [features (B, H, W, C), theta (B, 6)] -> (B, H, W, C). theta, row by row a 2 x 3 matrix, maps each place of the
    output to the place of the input it is read from, both x, y in -1..1; between pixels it interpolates linearly,
    outside the border is repeated.
    """

    def call(self, inputs):
        features, theta = inputs
        _, height, width, channels = features.shape
        across, down = np.meshgrid(np.linspace(-1, 1, width), np.linspace(-1, 1, height))
        grid = np.stack([across.ravel(), down.ravel(), np.ones(height * width)]).astype(np.float32)
        places = ops.matmul(ops.reshape(theta, (-1, 2, 3)), grid)  # (B, 2, H * W)
        x = ops.clip((places[:, 0] + 1) * (width - 1) / 2, 0, width - 1)
        y = ops.clip((places[:, 1] + 1) * (height - 1) / 2, 0, height - 1)
        left, top = ops.floor(x), ops.floor(y)
        right, bottom = ops.minimum(left + 1, width - 1), ops.minimum(top + 1, height - 1)
        to_right, to_bottom = (x - left)[..., None], (y - top)[..., None]
        flat = ops.reshape(features, (-1, height * width, channels))

        def pixels(rows, columns):
            index = ops.cast(rows * width + columns, "int32")[..., None]
            return ops.take_along_axis(flat, ops.tile(index, (1, 1, channels)), axis=1)

        above = pixels(top, left) * (1 - to_right) + pixels(top, right) * to_right
        below = pixels(bottom, left) * (1 - to_right) + pixels(bottom, right) * to_right
        return ops.reshape(above * (1 - to_bottom) + below * to_bottom, (-1, height, width, channels))

    def compute_output_shape(self, input_shape):
        return input_shape[0]


@keras.saving.register_keras_serializable(package="boneage")
def tanh_gelu(features):
    """GELU by its tanh approximation (Hendrycks and Gimpel 2016): the exact one does not go into an ONNX file."""
    return ops.gelu(features, approximate=True)


@keras.saving.register_keras_serializable(package="boneage")
class Positions(keras.layers.Layer):
    """Adds to each patch (B, N, C) a learned vector for its place (Dosovitskiy et al., ICLR 2021)."""

    def build(self, input_shape) -> None:
        start = keras.initializers.RandomNormal(stddev=0.02)
        self.vectors = self.add_weight(shape=input_shape[1:], initializer=start, name="vectors")

    def call(self, patches):
        return patches + self.vectors

    def compute_output_shape(self, input_shape):
        return input_shape


@keras.saving.register_keras_serializable(package="boneage")
class ExpectedAge(keras.layers.Layer):
    """Probabilities of age classes (B, K), each class_months wide from 0 on -> (B, 1) their mean age in months."""

    def __init__(self, class_months: int, **kwargs) -> None:
        super().__init__(**kwargs)
        self.class_months = class_months

    def call(self, probabilities):
        centres = (np.arange(probabilities.shape[-1], dtype=np.float32) + 0.5) * self.class_months
        return ops.sum(ops.multiply(probabilities, centres), axis=-1, keepdims=True)

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], 1)

    def get_config(self) -> dict:
        return {**super().get_config(), "class_months": self.class_months}
