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

from inference.engine.presets import Preset, WholeHand
from inference.engine.weights import read_card, weights_folder
from inference.training.card import AS_GIVEN, CITATION
from inference.training.datasets import Dataset, rsna_validation_ids
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
    of_rsna = len({label.id for label in val.labels} & rsna_validation_ids()) > len(val) / 2
    return {"data": ", and ".join(data), "split": split, "citation": CITATION if of_rsna else AS_GIVEN}


def check_goes_on(run: Path, preset: Preset | WholeHand, options: argparse.Namespace) -> None:
    """Raises ValueError where the run began with another preset, or as a rehearsal and this is none, or the other way
    round, or where a stage would go on from a checkpoint that began with other settings: it would silently keep those.
    """
    kept = _kept(run)
    commands = kept["commands"]
    if commands and (
        f"--preset {options.preset} " not in commands[0] or ("--rehearse" in commands[0]) != options.rehearse
    ):
        raise ValueError(f"{run} began otherwise: `{commands[0]}`. Name another --run.")
    for stage, given in _settings(preset, options).items():
        began = kept.get("began", {}).get(stage, given)
        if began != given and _has_checkpoint(run, stage):
            raise ValueError(
                f"The stage {stage} of {run} began with `{began}`, and would go on with that, not with `{given}`. "
                "Give the same again, or name another --run."
            )


def _settings(preset: Preset | WholeHand, options: argparse.Namespace) -> dict[str, str]:
    """What counts when a stage begins and is kept in its checkpoint, of each stage that the command fits."""
    precision = f"--precision {options.precision or preset.precision}"
    start = f" --start {' '.join(options.start)}" if options.start else ""
    frozen = f" --frozen {' '.join(sorted(options.frozen))}" if options.frozen else ""
    stages = {"attention": precision, "age": f"{precision}{start}{frozen}"}
    if isinstance(preset, WholeHand) or options.attention_of:
        del stages["attention"]
    return {stage: told for stage, told in stages.items() if options.stage in (stage, "all")}


def _has_checkpoint(run: Path, stage: str) -> bool:
    return any(".partial" not in path.name for path in run.glob(f"{stage}*.keras"))


def _kept(run: Path) -> dict:
    path = run / "record.json"
    return json.loads(path.read_text()) if path.exists() else {"commands": []}


def add_to_record(run: Path, preset: Preset | WholeHand, options: argparse.Namespace, read: dict) -> None:
    """Adds the command, the code and machine it ran on, and what it read, to the run's record."""
    kept = _kept(run)
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
    beginning = {stage: told for stage, told in _settings(preset, options).items() if not _has_checkpoint(run, stage)}
    kept["began"] = kept.get("began", {}) | beginning
    if options.start:
        kept["started_from"] = [origin(name) for name in options.start]
    kept["commit"] = commit()
    shared = f" shared with {options.beside} other trainings" if options.beside else ""
    kept["machine"] = f"{machine()}{shared}, Keras on {keras.backend.backend()}"
    kept |= read
    with replacing(run / "record.json") as written:
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
