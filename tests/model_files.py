"""Folders of models, made for a test."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

DESCRIPTION = """
name = "{name}"
version = "2.1"
file = "network.onnx"
interval90_months = 15.0
[image]
size = 64
channels = 1
[age]
unit = "years"
"""


def from_elsewhere(path, age=10):
    """The folder of a network that gives this age, in years, to whatever it is shown."""
    nodes = [
        helper.make_node("ReduceMean", ["image"], ["mean"], axes=[1, 2], keepdims=0),
        helper.make_node("Mul", ["mean", "none"], ["nothing"]),
        helper.make_node("Add", ["nothing", "age"], ["years"]),
    ]
    constants = [
        numpy_helper.from_array(np.array(value, np.float32), name) for name, value in (("none", 0), ("age", age))
    ]
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 64, 64, 1])
    years = helper.make_tensor_value_info("years", TensorProto.FLOAT, ["n", 1])
    graph = helper.make_graph(nodes, "network", [image], [years], constants)
    path.mkdir(parents=True, exist_ok=True)
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path / "network.onnx"
    )
    (path / "model.toml").write_text(DESCRIPTION.format(name=path.name))
    return path
