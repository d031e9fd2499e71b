"""What a training run records of itself for the model card: its commands, code, machine and data."""

import argparse
import json
import math
import os
import platform
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np

from inference.engine.weights import read_card, weights_folder
from inference.training.datasets import Dataset
from inference.training.files import replacing


class Measured:
    """`prepare`, and the sizes of what it was given."""

    def __init__(self, prepare: Callable[[np.ndarray], np.ndarray]) -> None:
        self.prepare = prepare
        self.shapes: set[tuple[int, ...]] = set()

    def __call__(self, image: np.ndarray) -> np.ndarray:
        self.shapes.add(image.shape)
        return self.prepare(image)

    def __str__(self) -> str:
        """Width x height; of several the one with the fewest pixels and that with the most."""
        by_pixels = sorted(self.shapes, key=math.prod)
        ends = dict.fromkeys(f"{width:,} x {height:,}" for height, width in (by_pixels[0], by_pixels[-1]))
        return f"{' to '.join(ends)} pixels"


def what_was_read(
    train: Dataset, sizes: Measured, also: Dataset | None, of_also: str, phantoms: int, val: Dataset
) -> dict:
    """What a run read, as the card says it."""
    seen = "" if train.in_memory else ", by a sample of them"
    data = [f"{len(train):,} radiographs of {sizes}{seen}"]
    if also:
        data.append(f"{len(also):,} other copies of them ({of_also})")
    if phantoms:
        data.append(f"{phantoms:,} drawn phantoms")
    both = {label.id for label in train.labels} & {label.id for label in val.labels}
    split = f"{len(train):,} radiographs to train on, {len(val):,} to validate; {len(both) or 'none'} of them in both"
    return {"data": ", and ".join(data), "split": split}


def check_goes_on(run: Path, preset: str, rehearse: bool) -> None:
    """Raises ValueError where the run began with another preset, or as a rehearsal and this is none, or the other way
    round: its checkpoints would go on silently.
    """
    path = run / "record.json"
    commands = json.loads(path.read_text())["commands"] if path.exists() else []
    if commands and (f"--preset {preset} " not in commands[0] or ("--rehearse" in commands[0]) != rehearse):
        raise ValueError(f"{run} began otherwise: `{commands[0]}`. Name another --run.")


def add_to_record(run: Path, options: argparse.Namespace, read: dict) -> None:
    """Adds the command, the code and machine it ran on, and what it read, to the run's record."""
    path = run / "record.json"
    kept = json.loads(path.read_text()) if path.exists() else {"commands": []}
    phantoms = f" --phantoms {options.phantoms}" if options.phantoms else ""
    minutes = f" --minutes {options.minutes:g}" if options.minutes else ""
    also = f" --also {options.also}" if options.also else ""
    rehearse = " --rehearse" if options.rehearse else ""
    precision = f" --precision {options.precision}" if options.precision else ""
    accelerated = " --accelerated" if options.accelerated else ""
    attention = f" --attention-of {options.attention_of}" if options.attention_of else ""
    start = f" --start {' '.join(options.start)}" if options.start else ""
    frozen = f" --frozen {' '.join(options.frozen)}" if options.frozen else ""
    rate = f" --learning-rate {options.learning_rate:g}" if options.learning_rate else ""
    kept["commands"].append(
        f"python -m inference.training.train --preset {options.preset} --stage {options.stage}{rehearse}"
        f"{minutes}{phantoms}{also}{precision}{accelerated}{attention}{start}{frozen}{rate} --seed {options.seed}"
    )
    if options.start:
        kept["started_from"] = [origin(name) for name in options.start]
    kept["commit"] = commit()
    kept["machine"] = f"{machine()}, Keras on {keras.backend.backend()}"
    kept |= read
    with replacing(path) as written:
        written.write_text(json.dumps(kept, indent=1) + "\n")


def origin(name: str) -> dict:
    """How the age network of an exported model was trained, for the record of a run that starts from it."""
    card = read_card(weights_folder(name))
    training = card["training"]
    epochs = len(training["fits"]["age"]["history"])
    return {"model": f"{name} {card['version']}", "epochs": epochs} | {
        told: training[told] for told in ("commands", "commit", "machine", "notes", "started_from") if told in training
    }


def machine() -> str:
    """The GPU that Keras computes on, or the cores."""
    if keras.backend.backend() == "jax":
        import jax

        if jax.default_backend() == "gpu":
            return jax.devices()[0].device_kind
    return f"{os.cpu_count()} {platform.machine()} cores"


def commit() -> str:
    """The commit of the code at hand; empty outside a repository."""
    if not shutil.which("git"):
        return ""
    shown = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, cwd=Path(__file__).parent)
    return shown.stdout.strip()
