"""What a system costs, trained or not: parameters, floating-point operations, size, time on a CPU."""

import os
import platform
import time
from collections import Counter
from pathlib import Path

import keras
import numpy as np
import onnx
from onnx import TensorProto, helper

from inference.engine.presets import Preset, WholeHand
from inference.engine.runtimes import onnx_session
from inference.training.export import export_onnx, networks
from inference.training.metrics import significant

COUNTED = ("Conv", "MatMul", "Gemm", "Einsum")
"""All else is less than a hundredth of a network's operations."""
RUNS = 10


def passes(preset: Preset | WholeHand) -> Counter[str]:
    """How often each network runs to read one hand; of one for each sex, the first stands for both."""
    if isinstance(preset, WholeHand):
        return Counter({next(iter(preset.networks)): 1})
    return Counter({"attention": 2, "age": 2 if preset.age.mirrored else 1})


def structure(preset: Preset | WholeHand, folder: Path) -> dict:
    """Parameters of all networks, GFLOP of one reading (a multiplication and an addition are two), MB of the ONNX
    files. The networks are exported to the folder as they start, untrained.
    """
    folder.mkdir(parents=True, exist_ok=True)
    parameters, operations, size = 0, 0, 0
    runs = passes(preset)
    for name, build in networks(preset).items():
        keras.backend.clear_session()
        network, path = build(preset), folder / f"{name}.onnx"
        export_onnx(network, path)
        parameters += network.count_params()
        operations += runs[name] * flop(onnx.load(path)) if runs[name] else 0
        size += path.stat().st_size
    return {"parameters": parameters, "gflop": significant(operations / 1e9), "onnx_mb": significant(size / 1e6)}


def latency(preset: Preset | WholeHand, folder: Path) -> dict:
    """Milliseconds of the networks' runs for one hand on ONNX Runtime, from the files that `structure` left.

    Of several runs the fastest counts: what else the machine does can only make them slower.
    """
    total = 0.0
    for name, times in passes(preset).items():
        session = onnx_session(folder / f"{name}.onnx")
        inputs = _zeros(session)
        taken = []
        for _ in range(RUNS):
            started = time.perf_counter()
            session.run(None, inputs)
            taken.append(time.perf_counter() - started)
        total += times * min(taken) * 1000
    return {"milliseconds": significant(total), "machine": f"{os.cpu_count()} {platform.machine()} cores"}


def flop(model: onnx.ModelProto) -> int:
    """Floating-point operations of one run with one image, by the shapes that its tensors have in that run."""
    import onnxruntime

    nodes = [node for node in model.graph.node if node.op_type in COUNTED]
    produced = {name for node in model.graph.node for name in node.output}
    wanted = {name for node in nodes for name in (*node.input[:2], node.output[0])} & produced
    wanted -= {output.name for output in model.graph.output}
    model.graph.output.extend(helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in sorted(wanted))
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    shapes = {tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer}
    shapes |= {name: value.shape for name, value in zip(names, session.run(names, _zeros(session)), strict=True)}
    shapes |= {name: value.shape for name, value in _zeros(session).items()}
    return sum(2 * _multiplications(node, shapes) for node in nodes)


def _multiplications(node: onnx.NodeProto, shapes: dict[str, tuple[int, ...]]) -> int:
    first, second = (shapes[name] for name in node.input[:2])
    outputs = int(np.prod(shapes[node.output[0]]))
    if node.op_type == "Conv":  # the kernel is (outputs, inputs / groups, height, width)
        return outputs * int(np.prod(second[1:]))
    attributes = {attribute.name: attribute for attribute in node.attribute}
    if node.op_type == "Einsum":
        axes = attributes["equation"].s.decode().replace(" ", "").split("->")[0].split(",")
        return int(
            np.prod(
                list({**dict(zip(axes[0], first, strict=True)), **dict(zip(axes[1], second, strict=True))}.values())
            )
        )
    transposed = node.op_type == "Gemm" and "transA" in attributes and attributes["transA"].i
    return outputs * first[0 if transposed else -1]


def _zeros(session) -> dict[str, np.ndarray]:
    """One image for each of the network's inputs."""
    return {
        given.name: np.zeros([1, *(side for side in given.shape[1:])], np.float32) for given in session.get_inputs()
    }
