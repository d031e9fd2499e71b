"""What runs the two networks of a trained model: ONNX Runtime on CPUs, Keras (TensorFlow) on GPU nodes.

Both offer attention(images) and age(inputs), with the inputs and outputs of `networks`, and are thread-safe.
"""

import os
import threading
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from inference.engine.presets import Preset, WholeHand
from inference.engine.weights import QUANTIZED_AGE, MissingWeights, load_arrays

THREADS = int(os.environ.get("BONEAGE_THREADS") or 0)
"""Threads of ONNX Runtime; 0 leaves the choice to it: one per core."""


class Runtime(Protocol):
    age_network: Any
    """The age network as a keras.Model, for its gradients; None where the runtime has none."""

    def attention(self, images: np.ndarray) -> dict[str, np.ndarray]: ...

    def age(self, inputs: dict[str, np.ndarray]) -> np.ndarray: ...


def onnx_session(path: Path):
    """The network of a file on ONNX Runtime. Raises MissingWeights where it is not there, ValueError for what is no
    network that can be loaded.
    """
    import onnxruntime

    if not path.exists():
        raise MissingWeights(
            f"The model has no {path.name}: export it with its ONNX files, where TensorFlow is, or read it with the "
            "runtime tensorflow."
        )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = THREADS
    options.log_severity_level = 3
    # Two sessions, OpenCV and whatever else runs here share the cores: threads that spin while they wait for
    # work take them from the others, and on two cores double the time of a reading.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except onnx_errors() as error:
        raise ValueError(f"{path.name} is not an ONNX network that can be loaded: {error}") from error


def onnx_errors() -> tuple[type[Exception], ...]:
    """What ONNX Runtime raises: its errors have no class in common."""
    from onnxruntime.capi import onnxruntime_pybind11_state as errors

    return (
        errors.Fail,
        errors.InvalidArgument,
        errors.InvalidGraph,
        errors.InvalidProtobuf,
        errors.NoModel,
        errors.NoSuchFile,
        errors.NotImplemented,
        errors.RuntimeException,
    )


class OnnxRuntime:
    """The exported networks attention.onnx and age.onnx of a weights folder."""

    age_network = None

    def __init__(self, folder: Path, preset: Preset, age: str = "age.onnx") -> None:
        self._attention, self._age = (onnx_session(folder / name) for name in ("attention.onnx", age))

    def attention(self, images: np.ndarray) -> dict[str, np.ndarray]:
        names = [output.name for output in self._attention.get_outputs()]
        return dict(zip(names, self._attention.run(names, {"image": images}), strict=True))

    def age(self, inputs: dict[str, np.ndarray]) -> np.ndarray:
        return self._age.run(None, inputs)[0]


class QuantizedRuntime(OnnxRuntime):
    """The same with the 8-bit copy of the age network, age.int8.onnx; with the full one where a model has no copy."""

    def __init__(self, folder: Path, preset: Preset) -> None:
        super().__init__(folder, preset, QUANTIZED_AGE if (folder / QUANTIZED_AGE).exists() else "age.onnx")


def predicted(network, inputs):
    """What a Keras network says of a batch, as arrays of NumPy.

    JAX compiles a network anew for every number of rows: there batches are filled up to a power of two.
    """
    import keras

    if keras.backend.backend() != "jax":
        return network.predict_on_batch(inputs)
    rows = len(keras.tree.flatten(inputs)[0])
    missing = (1 << (rows - 1).bit_length()) - rows
    filled = keras.tree.map_structure(lambda values: np.concatenate([values, values[:1].repeat(missing, 0)]), inputs)
    return keras.tree.map_structure(lambda values: np.asarray(values)[:rows], network.predict_on_batch(filled))


class KerasRuntime:
    """The same networks in Keras, from attention.npz and age.npz, on the backend of KERAS_BACKEND."""

    def __init__(self, folder: Path, preset: Preset) -> None:
        from inference.engine.networks import age_network, attention_network

        # Float32 whatever the training precision was, as in the ONNX export.
        self._attention, self.age_network = attention_network(preset), age_network(preset)
        self._attention.set_weights(load_arrays(folder / "attention.npz"))
        self.age_network.set_weights(load_arrays(folder / "age.npz"))
        # Keras compiles its prediction function at the first call: two threads must not do that at once.
        self._lock = threading.Lock()

    def attention(self, images: np.ndarray) -> dict[str, np.ndarray]:
        with self._lock:
            return predicted(self._attention, images)

    def age(self, inputs: dict[str, np.ndarray]) -> np.ndarray:
        with self._lock:
            return predicted(self.age_network, inputs)


class OnnxNetwork:
    """One exported network: {name: batch} -> {name: batch}."""

    age_network = None

    def __init__(self, path: Path) -> None:
        self._session = onnx_session(path)
        self._outputs = [output.name for output in self._session.get_outputs()]

    def __call__(self, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        return dict(zip(self._outputs, self._session.run(self._outputs, inputs), strict=True))


class KerasNetwork:
    """The network of a preset that reads the whole hand, in Keras, on the backend of KERAS_BACKEND."""

    def __init__(self, preset: WholeHand, weights: Path) -> None:
        import keras

        from inference.engine.networks import whole_hand_network

        self._network = whole_hand_network(preset)
        self._network.set_weights(load_arrays(weights))
        self.age_network = keras.Model(self._network.inputs, self._network.output["age"], name=preset.name)
        self._lock = threading.Lock()

    def __call__(self, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        with self._lock:
            return predicted(self._network, inputs)


RUNTIMES: dict[str, type[OnnxRuntime] | type[KerasRuntime]] = {
    "onnx": OnnxRuntime,
    "onnx-int8": QuantizedRuntime,
    "tensorflow": KerasRuntime,
}
