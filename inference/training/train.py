"""Trains a preset: python -m inference.training.train --preset NAME --data DIR --run DIR

The steps (attention, regions, age) run in turn or alone, stop after --minutes each, and go on where they were.
"""

import argparse
import os
from functools import partial
from pathlib import Path

import keras
import numpy as np

from inference.engine.networks import attention_network
from inference.engine.preprocessing import working_image
from inference.engine import presets
from inference.engine.presets import PRESETS, SCALED_AGE_MONTHS, Preset
from inference.training.batches import AttentionBatches
from inference.training.datasets import Dataset, read_dataset
from inference.training.fitting import predict_in_batches, run_fit

STEPS = ("attention", "regions", "age")


def train_attention(preset: Preset, run: Path, train: Dataset, val: Dataset, minutes: float | None, seed: int) -> None:
    """Stage 1: the attention network, on whole hands."""
    fit = preset.attention.fit
    batches = AttentionBatches(train, preset, fit.batch, seed, augment=True)
    checks = AttentionBatches(val, preset, fit.batch, seed, augment=False)

    def months_error(model: keras.Model) -> float:
        ages = predict_in_batches(model, checks)["age"][:, 0] * SCALED_AGE_MONTHS
        return float(np.abs(ages - val.ages).mean())

    run_fit(
        attention_network(preset),
        batches,
        fit,
        checkpoint=run / "attention.keras",
        loss={"age": "binary_crossentropy", "heat": None},
        months_error=months_error,
        minutes=minutes,
    )


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m inference.training.train", description=__doc__)
    parser.add_argument("--preset", default="two_stage_compact", help=", ".join(PRESETS))
    parser.add_argument("--data", type=Path, default=os.environ.get("BONEAGE_DATA"), help="default: $BONEAGE_DATA")
    parser.add_argument("--run", type=Path, required=True, help="folder of checkpoints and progress")
    parser.add_argument("--stage", choices=(*STEPS, "all"), default="all")
    parser.add_argument("--minutes", type=float, help="wall-clock budget of each fit")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    chosen = presets.preset(options.preset)
    keras.utils.set_random_seed(options.seed)
    keras.config.set_dtype_policy(chosen.precision)
    options.run.mkdir(parents=True, exist_ok=True)
    prepare = partial(working_image, preset=chosen)
    train = read_dataset(options.data, "train", prepare, archive="rsna299")
    val = read_dataset(options.data, "val", prepare, archive="rsna299")
    print(f"{len(train)} training and {len(val)} validation radiographs", flush=True)
    if options.stage in ("attention", "all"):
        train_attention(chosen, options.run, train, val, options.minutes, options.seed)


if __name__ == "__main__":
    main()
