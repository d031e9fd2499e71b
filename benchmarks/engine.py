"""What reading a radiograph costs on this machine, for each runtime in a process of its own.

GFLOP/s counts the convolutions and matrix products of both networks; the share is of the machine's best float32
matrix product, measured in the same process. "Bare" is the networks alone on the very inputs of that reading, run
in turns with it. RSS is the most that the process ever held.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from inference.engine import BoneAgeModel, Prediction
from inference.engine.model import DEFAULT_MODEL
from inference.engine.presets import preset
from inference.engine.runtimes import RUNTIMES
from inference.engine.weights import QUANTIZED_AGE, weights_folder

BATCHES = (1, 8)
SIDE = 1024
"""Of the square matrices whose product is taken for the machine's peak: large enough for every core."""


class Recorder:
    """A runtime that keeps the inputs of the latest reading."""

    def __init__(self, runtime):
        self.runtime, self.calls = runtime, []

    def attention(self, images):
        self.calls.append((self.runtime.attention, images))
        return self.runtime.attention(images)

    def age(self, inputs):
        self.calls.append((self.runtime.age, inputs))
        return self.runtime.age(inputs)


def seconds(work):
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def measure(runtime, name, radiographs, rounds):
    """Figures of one runtime in this process; `radiographs` is a folder of .npy files."""
    images = [np.load(path) for path in sorted(radiographs.glob("*.npy"))]
    began = time.perf_counter()
    model = BoneAgeModel.load(name, runtime)
    loaded = time.perf_counter() - began
    recorder = model._runtime = Recorder(model._runtime)
    figures = []
    for batch in BATCHES:
        readings, forwards = [], []
        for number in range(rounds + 1):
            recorder.calls.clear()
            reading = seconds(lambda batch=batch: model.predict(images[:batch], ["F"] * batch))
            calls = list(recorder.calls)
            forward = seconds(lambda calls=calls: [network(inputs) for network, inputs in calls])
            if number:  # the first one warms up
                readings.append(reading)
                forwards.append(forward)
        figures.append(
            {
                "batch": batch,
                "reading": statistics.median(readings) / batch,
                "forward": statistics.median(forwards) / batch,
                "megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
            }
        )
    if not all(isinstance(outcome, Prediction) for outcome in model.predict(images, ["F"] * len(images))):
        sys.exit("A drawn hand was refused: its reading is not the whole work.")
    return {"loaded": loaded, "figures": figures, "peak": peak(rounds)}  # the peak last: its matrices cost memory


def peak(rounds):
    """The most GFLOP/s of float32 matrix products."""
    left, right = np.random.default_rng(0).standard_normal((2, SIDE, SIDE), np.float32)
    return 2 * SIDE**3 / min(seconds(lambda: left @ right) for _ in range(5 * rounds)) / 1e9


def operations(name):
    """GFLOP of one reading: both passes of the attention network, and the age network for each copy of the hand."""
    chosen, folder = preset(name), weights_folder(name)
    passes = {"attention": 2, "age": 2 if chosen.age.mirrored else 1}
    return sum(count * network_operations(folder / f"{network}.onnx") for network, count in passes.items()) / 1e9


def network_operations(path):
    """FLOP of an exported network for one image."""
    import onnx

    graph = onnx.shape_inference.infer_shapes(onnx.load(path)).graph
    shapes = {constant.name: list(constant.dims) for constant in graph.initializer}
    for value in [*graph.value_info, *graph.output]:
        shapes[value.name] = [dimension.dim_value or 1 for dimension in value.type.tensor_type.shape.dim]
    total = 0
    for node in graph.node:
        if node.op_type == "Conv":
            # Every output value takes one product for each weight of its channel.
            total += 2 * np.prod(shapes[node.output[0]]) * np.prod(shapes[node.input[1]][1:])
        elif node.op_type in ("MatMul", "Gemm"):
            total += 2 * np.prod(shapes[node.output[0]]) * shapes[node.input[0]][-1]
    return int(total)


def runtimes_of(name):
    """All that the model has files for."""
    return [
        runtime for runtime in RUNTIMES if runtime != "onnx-int8" or (weights_folder(name) / QUANTIZED_AGE).exists()
    ]


def in_its_own_process(runtime, name, radiographs, rounds):
    command = [sys.executable, "-m", "benchmarks.engine", "--runtime", runtime, "--model", name]
    command += ["--radiographs", str(radiographs), "--rounds", str(rounds)]
    quiet = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    return json.loads(subprocess.run(command, env=quiet, check=True, stdout=subprocess.PIPE).stdout.splitlines()[-1])


def table(name, size, rounds):
    from inference.training.phantom import draw_phantom

    print("| runtime | radiographs | ms each | bare, ms | ratio | GFLOP/s | of the peak | RSS, MB | loads in, s |")
    print("|---|---|---|---|---|---|---|---|---|")
    work = operations(name)
    with tempfile.TemporaryDirectory() as folder:
        for number in range(max(BATCHES)):
            np.save(Path(folder) / f"{number}.npy", draw_phantom(60 + 15 * number, "F", seed=number, size=size))
        for runtime in runtimes_of(name):
            measured = in_its_own_process(runtime, name, folder, rounds)
            for row in measured["figures"]:
                speed = work / row["forward"]
                print(
                    f"| {runtime} | {row['batch']} | {row['reading'] * 1000:.1f} | {row['forward'] * 1000:.1f} "
                    f"| {row['reading'] / row['forward']:.2f} | {speed:.0f} | {speed / measured['peak']:.0%} "
                    f"| {row['megabytes']:.0f} | {measured['loaded']:.1f} |",
                    flush=True,
                )
    print(
        f"\n{work:.1f} GFLOP a radiograph of {size} px; {os.cpu_count()} cores, {measured['peak']:.0f} GFLOP/s at best."
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default=DEFAULT_MODEL)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--size", type=int, default=1500, help="height of the radiographs in pixels")
    parser.add_argument("--runtime", choices=RUNTIMES, help=argparse.SUPPRESS)
    parser.add_argument("--radiographs", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.runtime:
        print(json.dumps(measure(arguments.runtime, arguments.model, arguments.radiographs, arguments.rounds)))
    else:
        table(arguments.model, arguments.size, arguments.rounds)
