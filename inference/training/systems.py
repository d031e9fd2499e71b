"""Trains, exports and measures systems, several at a time: python -m inference.training.systems PRESET ...

Each is taken through the commands train, export, evaluate and card. Called again it goes on where it was cut off, and
leaves alone what is measured. `inference.training.compare` then puts the rows into the table.
"""

import argparse
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from inference.engine import presets
from inference.engine.presets import AnyPreset, Ensemble, Preset, WholeHand
from inference.engine.weights import has_weights, read_card
from inference.training.command_line import at_least_one, count, in_a_sentence, positive
from inference.training.compare import EVALUATION
from inference.training.datasets import require_data

SHARED_GPU = {"XLA_PYTHON_CLIENT_PREALLOCATE": "false", "TF_FORCE_GPU_ALLOW_GROWTH": "true"}
"""No process may take all of its memory."""


def in_order(asked: list[str]) -> dict[str, list[str]]:
    """The systems, and members of theirs that have no weights, each after those of them that it needs, which it maps
    to. Raises ValueError for an unknown name.
    """
    ordered: dict[str, list[str]] = {}

    def add(name: str) -> None:
        preset = presets.preset(name)
        needed = preset.members if isinstance(preset, Ensemble) else filter(None, [attention_of(preset, asked)])
        waits = [other for other in needed if other in asked or not has_weights(other)]
        for other in waits:
            add(other)
        ordered.setdefault(name, waits)

    for name in asked:
        add(name)
    return ordered


def attention_of(preset: Preset | WholeHand, asked: list[str]) -> str | None:
    """The first of the presets before this one with the same stage 1 that is asked for too or has weights."""
    if isinstance(preset, WholeHand):
        return None
    for name, other in presets.PRESETS.items():
        if name == preset.name:
            break
        same = isinstance(other, Preset) and other.attention == preset.attention
        if same and (name in asked or has_weights(name)):
            return name
    return None


def fits(preset: Preset | WholeHand, attention: str | None) -> int:
    """How many fits, one after the other, the training has."""
    if isinstance(preset, WholeHand):
        return len(preset.networks)
    return (attention is None) + (len(preset.age.branches) if preset.age.alone else 0) + 1


def steps(preset: AnyPreset, options: argparse.Namespace) -> Iterator[list[str]]:
    """The command and arguments of every step."""
    run, named = options.runs / preset.name, ["--preset", preset.name]
    data = ["--data", str(options.data)]
    if isinstance(preset, Ensemble):
        yield ["export", *named, "--out", str(options.weights)]
    else:
        rehearse = ["--rehearse"] if options.rehearse else []
        training = ["train", *named, *data, "--run", str(run), "--seed", str(options.seed), *rehearse]
        attention = attention_of(preset, options.presets)
        if attention:
            training += ["--attention-of", attention]
        if options.minutes:
            training += ["--minutes", str(options.minutes / fits(preset, attention))]
        if options.precision:
            training += ["--precision", options.precision]
        if options.accelerated:
            training += ["--accelerated"]
        if options.at_once > 1:
            training += ["--beside", str(options.at_once - 1)]
        yield training
        kind = "--without-onnx" if options.without_onnx else "--without-int8"
        yield ["export", *named, *data, "--run", str(run), "--out", str(options.weights), kind, *rehearse]
    runtime = "tensorflow" if options.without_onnx else "onnx"
    read = ["--phantoms", "0", "--non-hands", "0", "--robustness", str(options.robustness)]
    yield ["evaluate", "--model", preset.name, *data, "--out", str(run / EVALUATION), "--runtime", runtime, *read]
    evaluation = f"{EVALUATION}={run / EVALUATION}"
    yield ["card", "--weights", str(options.weights / preset.name), "--evaluation", evaluation]


def is_measured(folder: Path) -> bool:
    return (folder / "card.json").exists() and EVALUATION in read_card(folder).get("evaluation", {})


def run_step(step: list[str], name: str, at_once: int) -> int:
    """Runs the step in a process of its own, what it prints behind the name of the system; returns its exit status."""
    command, *arguments = step
    environment = SHARED_GPU | os.environ if at_once > 1 else None
    started = subprocess.Popen(
        [sys.executable, "-m", f"inference.training.{command}", *arguments],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    with started as process:
        for line in process.stdout or ():
            print(f"{name}: {line}", end="", flush=True)
    return process.returncode


def take_through(preset: AnyPreset, needed: dict[str, Future], options: argparse.Namespace) -> str:
    """All steps, once those that it needs are measured; returns why it is not measured, or nothing."""
    if missing := [name for name, other in needed.items() if other.result()]:
        return f"it needs {' and '.join(missing)}"
    if is_measured(options.weights / preset.name):
        return ""
    for step in steps(preset, options):
        if status := run_step(step, preset.name, options.at_once):
            return f"{step[0]} ended with status {status}, see above"
    return ""


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m inference.training.systems", description=__doc__)
    parser.add_argument("presets", nargs="+", metavar="PRESET", help=", ".join(presets.PRESETS))
    parser.add_argument("--data", type=Path, default=os.environ.get("BONEAGE_DATA"), help="default: $BONEAGE_DATA")
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="folder of checkpoints, one for each system")
    parser.add_argument("--weights", type=Path, default=Path("runs/weights"), help="folder of the exported models")
    parser.add_argument("--at-once", type=at_least_one, default=1, help="how many share the machine")
    parser.add_argument("--minutes", type=positive, help="wall-clock budget of each training, shared out to its fits")
    parser.add_argument("--rehearse", action="store_true", help="every step for a minute, on a few radiographs")
    parser.add_argument("--precision", choices=("float32", "mixed_bfloat16"), help="default: that of each preset")
    parser.add_argument("--accelerated", action="store_true", help="augment on the GPU")
    parser.add_argument("--without-onnx", action="store_true", help="for a machine without TensorFlow")
    parser.add_argument("--robustness", type=count, default=157, help="radiographs whose worse copies are read")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    require_data(parser, options.data)
    os.environ["BONEAGE_WEIGHTS"] = str(options.weights)  # of every step
    with in_a_sentence(parser):
        ordered = in_order(options.presets)
    systems: dict[str, Future] = {}
    with ThreadPoolExecutor(options.at_once) as pool:
        # What waits for another comes after it, so that never all places are taken by those who wait.
        for name, waits in ordered.items():
            needed = {other: systems[other] for other in waits}
            systems[name] = pool.submit(take_through, presets.preset(name), needed, options)
    if failed := {name: why for name, system in systems.items() if (why := system.result())}:
        sys.exit("\n".join(f"{name} is not measured: {why}." for name, why in failed.items()))
    print(f"Measured: {', '.join(systems)}. BONEAGE_WEIGHTS={options.weights} make compare puts them into the table.")


if __name__ == "__main__":
    main()
