"""The 8-bit copy of a two-stage model's age network, for CPUs with VNNI: kept where it costs no accuracy.

    python -m inference.training.quantize --weights DIR --data DIR

DIR is a model's folder as export, which ends with this very step, wrote it. Weights and activations become integers,
each with the range that it has on training radiographs. Validation radiographs are read by both copies, and one JSON
line tells the decision with its figures: age.int8.onnx stays where the MAE worsens by at most MAX_WORSE months; else
it is removed. How long each takes is told of the machine at hand; others differ. The attention network stays as it is:
an 8-bit copy of that moved regions, and the gate, which is fitted on its embeddings, refused drawn hands.
"""

import argparse
import json
import logging
import os
import re
import statistics
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from inference.engine import presets
from inference.engine.preprocessing import working_image
from inference.engine.presets import Preset
from inference.engine.runtimes import OnnxRuntime
from inference.engine.two_stage import TwoStageModel
from inference.engine.weights import QUANTIZED_AGE, fingerprint, read_card
from inference.training import calibrate
from inference.training.card import write_card
from inference.training.command_line import in_a_sentence
from inference.training.datasets import Dataset, read_dataset, require_data, spread

MAX_WORSE = 0.1
"""Months that the validation MAE may rise."""
SAMPLE = 96
"""Training radiographs that show the ranges of the activations."""
TIMED = 24


class Recorder(OnnxRuntime):
    """Keeps what the age network is given."""

    def __init__(self, folder: Path, preset: Preset) -> None:
        super().__init__(folder, preset)
        self.given: list[dict[str, np.ndarray]] = []

    def age(self, inputs: dict[str, np.ndarray]) -> np.ndarray:
        self.given.append(inputs)
        return super().age(inputs)


class Given(CalibrationDataReader):
    """Recorded inputs, for the quantizer."""

    def __init__(self, inputs: list[dict[str, np.ndarray]]) -> None:
        self._inputs: Iterator[dict[str, np.ndarray]] = iter(inputs)

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self._inputs, None)


def quantized(preset: Preset, folder: Path, train: Dataset) -> None:
    """Writes the 8-bit copy of the age network beside the full one."""
    recorder = Recorder(folder, preset)
    model = TwoStageModel.from_folder(preset, read_card(folder), folder, "onnx")
    model._runtime = recorder
    sample = train.at(spread(len(train), SAMPLE))
    for label, image in zip(sample.labels, sample.images, strict=True):
        model.read([image], [label.sex], gate=False)
    logging.getLogger().setLevel(logging.ERROR)  # the quantizer gives advice on the root logger
    with tempfile.TemporaryDirectory() as scratch:
        prepared = str(Path(scratch) / "prepared.onnx")
        quant_pre_process(str(folder / "age.onnx"), prepared, skip_symbolic_shape=True)
        quantize_static(
            prepared,
            str(folder / QUANTIZED_AGE),
            Given(recorder.given),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            # Sums of residual branches and the head in eight bits cost the accuracy, and hold little of the work.
            op_types_to_quantize=["Conv"],
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            # Weights of seven bits: sums of products of eight do not fit the 16 bits in which CPUs without VNNI keep
            # them, and the age read by a wide network is then months off.
            reduce_range=True,
        )


def compare(preset: Preset, folder: Path, val: Dataset) -> dict:
    """What both copies measure on validation radiographs."""
    card = read_card(folder)
    models = {
        copy: TwoStageModel.from_folder(preset, card, folder, runtime)
        for copy, runtime in (("full", "onnx"), ("int8", "onnx-int8"))
    }
    figures: dict[str, dict[str, float]] = {}
    months = {}
    for copy, model in models.items():
        months[copy] = np.array([reading.months for reading in calibrate.read_all(model, val)])
        figures[copy] = {"mae_months": round(float(np.abs(months[copy] - val.ages).mean()), 3)}
    taken: dict[str, list[float]] = {copy: [] for copy in models}
    for label, image in zip(val.labels[:TIMED], val.images[:TIMED], strict=True):
        for copy, model in models.items():  # in turns: a busy machine slows both alike
            began = time.perf_counter()
            model.read([image], [label.sex], gate=False)
            taken[copy].append(time.perf_counter() - began)
    for copy, seconds in taken.items():
        figures[copy]["milliseconds"] = round(statistics.median(seconds) * 1000, 1)
    return {"n": len(val), **figures, "mean_difference": round(float(np.abs(np.subtract(*months.values())).mean()), 2)}


def as_good(figures: dict) -> bool:
    """Whether the 8-bit copy reads as well as the full one."""
    return figures["int8"]["mae_months"] <= figures["full"]["mae_months"] + MAX_WORSE


def quantize(preset: Preset, folder: Path, train: Dataset, val: Dataset) -> dict:
    """Makes the 8-bit copy, keeps it where it is as good, and gives the figures for the card."""
    quantized(preset, folder, train)
    figures = compare(preset, folder, val)
    figures["kept"] = as_good(figures)
    if not figures["kept"]:
        (folder / QUANTIZED_AGE).unlink()
    return figures


def revised(version: str) -> str:
    """The version after this one of the same networks: it ends in -r2, -r3, ..."""
    found = re.fullmatch(r"(.+)-r(\d+)", version)
    return f"{found[1]}-r{int(found[2]) + 1}" if found else f"{version}-r2"


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m inference.training.quantize", description=__doc__)
    parser.add_argument("--data", type=Path, default=os.environ.get("BONEAGE_DATA"), help="default: $BONEAGE_DATA")
    parser.add_argument("--weights", type=Path, required=True, help="the folder of the model, with its card.json")
    options = parser.parse_args(arguments)
    require_data(parser, options.data)
    with in_a_sentence(parser):
        card = read_card(options.weights)
        preset = presets.preset(card["name"])
        if not isinstance(preset, Preset):
            raise ValueError(f"{card['name']} is no two-stage model: only these have an 8-bit copy.")
        OnnxRuntime(options.weights, preset)  # before minutes go into reading
        prepare = partial(working_image, preset=preset)
        train = read_dataset(options.data, "train", prepare, limit=SAMPLE)
        val = read_dataset(options.data, "val", prepare)
    before = fingerprint(options.weights)
    card["int8"] = quantize(preset, options.weights, train, val)
    if fingerprint(options.weights) != before:  # a portal that has the version already would refuse other files
        card["version"] = revised(card["version"])
    write_card(options.weights, card)
    print(json.dumps(card["int8"]))


if __name__ == "__main__":
    main()
