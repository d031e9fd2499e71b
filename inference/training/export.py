"""Turns a finished run into the weights folder that the engine loads.

    python -m inference.training.export --preset NAME --run DIR --data DIR --out DIR [--without-onnx]

Both networks in half precision, for ONNX Runtime and for Keras; the gate against images of no hand; the interval;
the model card; the 8-bit copy where it is as good. --data is the training data: the gate and the interval are fitted
on it.
Keras writes ONNX with TensorFlow alone. Where a GPU node has another backend, --without-onnx leaves the ONNX files and
the 8-bit copy out: `evaluate --runtime tensorflow` measures such a model there, in Keras on that backend.
An ensemble, which has no run, is exported by copying its members, exported before, into one folder.
"""

import argparse
import json
import os
import shutil
import warnings
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import keras
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from inference.engine import presets
from inference.engine.networks import age_network, attention_network, whole_hand_network
from inference.engine.preprocessing import working_image
from inference.engine.presets import Ensemble, Preset, WholeHand
from inference.engine.weights import QUANTIZED_AGE, fingerprint, load_arrays, read_card, serving_files, weights_folder
from inference.training import calibrate, quantize
from inference.training.card import CITATION, NOT_FOR, write_card
from inference.training.command_line import in_a_sentence
from inference.training.datasets import read_dataset, require_data

SMALLEST_HALVED = 1024
"""Constants with fewer values stay in single precision; vectors too: a variance may be too large for half."""
REHEARSAL = 200


def networks(preset: Preset | WholeHand) -> dict[str, Callable[..., keras.Model]]:
    """What builds each network of the preset, by the name of its files."""
    if isinstance(preset, WholeHand):
        return dict.fromkeys(preset.networks, whole_hand_network)
    return {"attention": attention_network, "age": age_network}


def export_networks(preset: Preset | WholeHand, run: Path, out: Path, with_onnx: bool = True) -> None:
    """Each network as .npz (Keras) and .onnx, from the checkpoints of the run."""
    out.mkdir(parents=True, exist_ok=True)
    for name, build in networks(preset).items():
        # In half precision already, so that both runtimes hold the very same numbers.
        shutil.copy2(run / f"{name}.npz", out)
        (out / f"{name}.onnx").unlink(missing_ok=True)  # it may be another run's
        if not with_onnx:
            continue
        network = build(preset)
        network.set_weights(load_arrays(out / f"{name}.npz"))
        export_onnx(network, out / f"{name}.onnx")


def export_onnx(network: keras.Model, path: Path) -> None:
    """The network as ONNX with a free batch size, inputs and outputs named as in Keras."""
    network(keras.tree.map_structure(lambda tensor: np.zeros((1, *tensor.shape[1:]), np.float32), network.input))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tf2onnx and the tracer warn about themselves
        network.export(path, format="onnx", verbose=False)
    onnx.save(halved(onnx.load(path)), path)


def halved(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same graph with its large constants stored in half precision; the runtime widens them once, at loading."""
    casts = []
    for constant in model.graph.initializer:
        values = numpy_helper.to_array(constant)
        if constant.data_type != TensorProto.FLOAT or values.ndim < 2 or values.size < SMALLEST_HALVED:
            continue
        wide = constant.name
        constant.CopyFrom(numpy_helper.from_array(values.astype(np.float16), f"{wide}_half"))
        casts.append(helper.make_node("Cast", [f"{wide}_half"], [wide], to=TensorProto.FLOAT))
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    onnx.checker.check_model(model)
    return model


def gather(ensemble: Ensemble, out: Path) -> dict:
    """Copies the members, from where `weights_folder` finds them, into the folder `out`, and writes its card."""
    folders = {name: weights_folder(name) for name in ensemble.members}
    (out / "card.json").unlink(missing_ok=True)  # its version is of what is copied alone
    for name, folder in folders.items():
        shutil.rmtree(out / name, ignore_errors=True)
        (out / name).mkdir(parents=True)
        for path in serving_files(folder):
            shutil.copy2(path, out / name)
    card = {
        "name": ensemble.name,
        "version": f"{datetime.now(UTC):%Y.%m.%d}-{fingerprint(out)[:8]}",
        "members": {name: read_card(out / name)["version"] for name in ensemble.members},
        "not_for": NOT_FOR,
    }
    write_card(out, card)
    return card


def require_finished(run: Path, preset: Preset | WholeHand) -> None:
    """Raises FileNotFoundError that names what the run lacks, before anything of an earlier export is removed."""
    needed = ["record.json", *(f"{name}{suffix}" for name in networks(preset) for suffix in (".npz", ".json"))]
    if missing := [name for name in needed if not (run / name).exists()]:
        raise FileNotFoundError(
            f"{run} has no {missing[0]}: it is no run of {preset.name}, or its training did not end."
        )


def training_record(run: Path, preset: Preset | WholeHand) -> dict:
    """How the run was trained: data, split, commands, commit, machine, steps and seconds, settings."""
    # The record of earlier runs, which were all of this set, does not say what they read.
    return {
        "data": "RSNA Pediatric Bone Age Challenge 2017 at 299 x 299 pixels, and drawn phantoms",
        "citation": CITATION,
        "split": "10,746 radiographs to train on, 1,254 to validate; no radiograph is in both",
        **json.loads((run / "record.json").read_text()),
        "fits": {name: json.loads((run / f"{name}.json").read_text()) for name in networks(preset)},
        "preset": asdict(preset),
    }


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m inference.training.export", description=__doc__)
    parser.add_argument("--preset", default="two_stage_compact")
    parser.add_argument("--data", type=Path, default=os.environ.get("BONEAGE_DATA"), help="default: $BONEAGE_DATA")
    parser.add_argument("--run", type=Path, help="the finished run; an ensemble has none")
    parser.add_argument("--out", type=Path, required=True, help="the folder of the model is made in it")
    parser.add_argument("--rehearse", action="store_true", help="calibrate on a few radiographs: a card to try with")
    parser.add_argument(
        "--without-int8", action="store_true", help="leave the 8-bit copy to inference.training.quantize"
    )
    parser.add_argument(
        "--without-onnx", action="store_true", help="for a machine without TensorFlow: the weights in Keras alone"
    )
    options = parser.parse_args(arguments)
    with in_a_sentence(parser):
        asked = presets.preset(options.preset)
        if isinstance(asked, Ensemble):
            print(json.dumps(gather(asked, options.out / asked.name)))
            return
    if options.run is None:
        parser.error("--run is needed: the folder that inference.training.train wrote.")
    require_data(parser, options.data)
    chosen = presets.trainable(options.preset)
    out = options.out / chosen.name
    prepare = partial(working_image, preset=chosen)
    few = REHEARSAL if options.rehearse else None
    with in_a_sentence(parser):
        require_finished(options.run, chosen)
        train = read_dataset(options.data, "train", prepare, limit=few or calibrate.GATE_SAMPLE)
        val = read_dataset(options.data, "val", prepare, limit=few)
        calibrate.require_enough(train, val)
    # What is there already may be another run's.
    for kept in (QUANTIZED_AGE, "card.json"):
        (out / kept).unlink(missing_ok=True)
    export_networks(chosen, options.run, out, not options.without_onnx)
    card = calibrate.calibrate(chosen, out, train, val, "tensorflow" if options.without_onnx else "onnx")
    card |= {"training": training_record(options.run, chosen), "not_for": NOT_FOR}
    write_card(out, card)
    if isinstance(chosen, Preset) and not (options.without_int8 or options.without_onnx):
        card["int8"] = quantize.quantize(chosen, out, train, val)
        card["version"] = calibrate.version(out, card["interval"])
        write_card(out, card)
    told = ("version", "validation", "phantoms", "interval_check", "int8")
    print(json.dumps({name: card[name] for name in told if name in card}))


if __name__ == "__main__":
    main()
