"""Keras layers of the networks, on keras.ops only: they run on TensorFlow, JAX and PyTorch alike."""

import keras
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
    """

    def __init__(self, initial: float = 0.2, **kwargs) -> None:
        super().__init__(**kwargs)
        self.initial = initial

    def build(self, input_shape) -> None:
        start = keras.initializers.Constant(self.initial)
        self.scale = self.add_weight(shape=(input_shape[-1],), initializer=start, name="scale")

    def call(self, features):
        return features * self.scale

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self) -> dict:
        return {**super().get_config(), "initial": self.initial}


@keras.saving.register_keras_serializable(package="boneage")
class HeatMap(keras.layers.Layer):
    """Sum over channels of the attended features: (B, H, W, C) -> (B, H, W), float32."""

    def call(self, features):
        return ops.sum(ops.abs(ops.cast(features, "float32")), axis=-1)

    def compute_output_shape(self, input_shape):
        return input_shape[:-1]
