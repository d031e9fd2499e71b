"""Trains a preset: python -m inference.training.train --preset NAME --data DIR --run DIR

The steps (attention, regions, age) run in turn or alone, stop after --minutes each, and go on where they were. A
preset of one network, which reads the whole hand, has the step age alone.
"""

import argparse
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import keras
import numpy as np

from inference.engine import presets
from inference.engine.networks import age_network, attention_network, features_of, whole_hand_network
from inference.engine.preprocessing import WHOLE, normalise_contrast, view, working_image
from inference.engine.presets import PRESETS, SCALED_AGE_MONTHS, Fit, Preset, WholeHand
from inference.engine.regions import Attention, find_regions
from inference.engine.weights import load_arrays, read_card, weights_folder
from inference.training.attention import hand_of, mass_inside
from inference.training.batches import AgeBatches, AttentionBatches, WholeHandBatches
from inference.training.command_line import count, in_a_sentence, positive
from inference.training.datasets import Dataset, OnDemand, read_dataset, require_data
from inference.training.files import replacing
from inference.training.fitting import run_fit
from inference.training.phantom_set import cached_phantoms
from inference.training.record import Measured, add_to_record, check_goes_on, what_was_read

STEPS = ("attention", "regions", "age")
REGION_BATCH = 64
REHEARSAL = 256
HUBER_MONTHS = 12.0
"""Errors up to this count squared, larger ones only in proportion: some labels are wrong by years."""
SEX_LOSS_MONTHS = 10.0
"""Weight of the cross-entropy of a predicted sex, against losses in months."""


def train_attention(
    preset: Preset, run: Path, train: Dataset, val: Dataset, minutes: float | None, seed: int, accelerated: bool = False
) -> None:
    """Stage 1: the attention network, on whole hands."""
    fit = preset.attention.fit
    batches = AttentionBatches(train, preset, fit.batch, seed, augment=True, accelerated=accelerated)
    checks = AttentionBatches(val, preset, fit.batch, seed, augment=False)

    def months_error(model: keras.Model) -> float:
        ages = model.predict(checks, verbose=0)["age"][:, 0] * SCALED_AGE_MONTHS
        return float(np.abs(ages - val.ages).mean())

    run_fit(
        attention_network(preset),
        batches,
        fit,
        checkpoint=run / "attention.keras",
        loss={"age": "binary_crossentropy", "heat": None, "embedding": None},
        months_error=months_error,
        minutes=minutes,
    )


def extract_regions(preset: Preset, run: Path, train: Dataset, val: Dataset) -> None:
    """Finds both regions of every radiograph with the attention network of the run, and keeps them in it.

    Prints how much hotter hands are than what is around them: a network may read bone age well and yet look beside
    the hand, and its regions are then of nothing.
    """
    model = attention_network(preset)
    model.set_weights(load_arrays(run / "attention.npz"))
    for name, data in (("train", train), ("val", val)):
        found = attended(model, data, preset)
        with replacing(run / f"regions_{name}.npz") as written:
            np.savez(
                written,
                carpal=np.array([one.carpal.box if one.carpal else WHOLE for one in found]),
                metacarpal=np.array([one.metacarpal.box if one.metacarpal else WHOLE for one in found]),
            )
    hands = [hand_of(image) for image in val.images]
    inside = np.mean([mass_inside(one.heat, hand) for one, hand in zip(found, hands, strict=True)])
    print(json.dumps({"heat_in_hand_times_uniform": round(float(inside / np.mean(hands)), 2)}), flush=True)


def attended(attention: keras.Model, data: Dataset, preset: Preset) -> list[Attention]:
    """What the attention network finds in every radiograph."""
    size = preset.attention.backbone.size
    views = OnDemand(lambda image: view(normalise_contrast(image), size), data.images)
    found: list[Attention] = []
    for start in range(0, len(data), REGION_BATCH):
        batch = np.stack(views[start : start + REGION_BATCH])
        found += find_regions(attention.predict_on_batch, batch, preset.attention)
    return found


def check_beginning(preset: Preset, run: Path, options: argparse.Namespace) -> None:
    """Raises ValueError, or MissingWeights, where a stage of the command has nothing to begin with, or the wrong thing:
    before the radiographs are read.
    """
    if options.attention_of:
        other = presets.trainable(options.attention_of)
        if not isinstance(other, Preset) or other.attention != preset.attention:
            raise ValueError(
                f"{other.name} has another attention stage than {preset.name}: train stage 1 of {preset.name}."
            )
        weights_folder(other.name)
    elif options.stage == "regions" and not (run / "attention.npz").exists():
        raise ValueError(f"{run} has no attention network yet: run --stage attention first.")
    if options.stage == "age" and not (run / "regions_val.npz").exists():
        raise ValueError(f"{run} has no regions yet: run --stage regions first.")
    if options.start and options.stage in ("age", "all"):
        sources_of_branches(preset, options.start)


def take_attention(preset: Preset, run: Path, name: str) -> None:
    """Puts the attention network of an exported model, and how it was fitted, into the run in place of stage 1."""
    folder = weights_folder(name)
    card = read_card(folder)
    fit = card["training"]["fits"]["attention"]
    taken = {"taken_from": f"{name} {card['version']}", "machine": card["training"]["machine"]}
    # The later steps go on where there are weights: these are replaced last.
    with replacing(run / "attention.npz") as weights, replacing(run / "attention.json") as progress:
        shutil.copy2(folder / "attention.npz", weights)
        progress.write_text(json.dumps(fit | taken))


def sources_of_branches(preset: Preset, names: list[str]) -> dict[str, Preset]:
    """For every view the first of these exported models whose branch of it has the same architecture. Raises ValueError
    for a branch that none has, MissingWeights for a model that is not there.
    """
    sources: dict[str, Preset] = {}
    for name in names:
        weights_folder(name)
        other = presets.trainable(name)
        if not isinstance(other, Preset):
            continue
        for branch, spec in other.age.branches.items():
            if spec == preset.age.branches.get(branch):
                sources.setdefault(branch, other)
    if missing := preset.age.branches.keys() - sources:
        raise ValueError(f"None of {', '.join(names)} has the branch {min(missing)} of {preset.name}.")
    return sources


def start_branches(model: keras.Model, preset: Preset, names: list[str]) -> None:
    """Gives every branch of the age network the weights that it has in the first of these exported models with such a
    branch; the first model itself, where it is of the same preset, all that it has.
    """
    if names[0] == preset.name:
        model.set_weights(load_arrays(weights_folder(preset.name) / "age.npz"))
        return
    sources = sources_of_branches(preset, names)
    for other in {source.name: source for source in sources.values()}.values():
        network = age_network(other)
        network.set_weights(load_arrays(weights_folder(other.name) / "age.npz"))
        for branch, source in sources.items():
            if source == other:
                copy_features(network, model, branch)


def copy_features(source: keras.Model, model: keras.Model, view: str) -> None:
    """Gives the branch of that view the weights that it has in another age network."""
    model.get_layer(features_of(view)).set_weights(source.get_layer(features_of(view)).get_weights())


def read_regions(run: Path, train: Dataset, val: Dataset) -> dict[str, dict[str, np.ndarray]]:
    """What stage 1 found in the radiographs of each split. Raises ValueError where that was in others."""
    boxes = {}
    for name, data in (("train", train), ("val", val)):
        boxes[name] = dict(np.load(run / f"regions_{name}.npz"))
        if len(boxes[name]["carpal"]) != len(data):
            raise ValueError(f"{run}/regions_{name}.npz is of other radiographs: run --stage regions again.")
    return boxes


def train_age(
    preset: Preset,
    run: Path,
    train: Dataset,
    val: Dataset,
    boxes: dict[str, dict[str, np.ndarray]],
    minutes: float | None,
    seed: int,
    accelerated: bool = False,
    start: list[str] | None = None,
    frozen: list[str] | None = None,
) -> None:
    """Stage 2: the age network, on the regions that stage 1 found.

    boxes: those of `read_regions`
    start: exported models that its branches start from; frozen: views whose branches keep what they started from.
    """
    stage = preset.age
    loss = _age_loss(stage.loss)

    def fit_views(views: tuple[str, ...], fit: Fit, checkpoint: Path, begin: Callable[[keras.Model], None]) -> None:
        batches = AgeBatches(
            train,
            preset,
            boxes["train"],
            views,
            batch=fit.batch,
            seed=seed,
            augment=True,
            balance=fit.balance,
            erased=stage.erased,
            accelerated=accelerated,
        )
        checks = AgeBatches(val, preset, boxes["val"], views, batch=fit.batch, seed=seed, augment=False)

        def months_error(model: keras.Model) -> float:
            return float(np.abs(model.predict(checks, verbose=0)[:, 0] - val.ages).mean())

        model = age_network(preset, views)
        begin(model)
        run_fit(model, batches, fit, checkpoint=checkpoint, loss=loss, months_error=months_error, minutes=minutes)

    def start_from_earlier(model: keras.Model) -> None:
        if start:
            start_branches(model, preset, start)
        elif stage.start_from_attention:
            attention = attention_network(preset)
            attention.set_weights(load_arrays(run / "attention.npz"))
            for name, branch in stage.branches.items():
                if replace(branch, size=preset.attention.backbone.size) == preset.attention.backbone:
                    model.get_layer(features_of(name)).set_weights(attention.get_layer("attention").get_weights())
        if stage.alone:
            for name in stage.branches:
                alone = age_network(preset, (name,))
                alone.set_weights(load_arrays(run / f"age_{name}.npz"))
                copy_features(alone, model, name)
        for name in frozen or ():
            model.get_layer(features_of(name)).trainable = False

    if stage.alone:
        for name in stage.branches:
            fit_views((name,), stage.alone, run / f"age_{name}.keras", lambda model: None)
    fit_views(tuple(stage.branches), stage.fit, run / "age.keras", start_from_earlier)


def train_whole_hand(
    preset: WholeHand,
    run: Path,
    train: Dataset,
    val: Dataset,
    minutes: float | None,
    seed: int,
    accelerated: bool = False,
) -> None:
    """Every network of the preset, each on the radiographs of its sexes."""
    losses, weights = whole_hand_losses(preset)
    for name, sexes in preset.networks.items():
        of_sex = val.of_sexes(sexes)
        batches = WholeHandBatches(
            train.of_sexes(sexes), preset, preset.fit.batch, seed, augment=True, accelerated=accelerated
        )
        checks = WholeHandBatches(of_sex, preset, preset.fit.batch, seed, augment=False)

        def months_error(model: keras.Model, checks=checks, truth=of_sex.ages) -> float:
            return float(np.abs(model.predict(checks, verbose=0)["age"][:, 0] - truth).mean())

        run_fit(
            whole_hand_network(preset),
            batches,
            preset.fit,
            checkpoint=run / f"{name}.keras",
            loss=losses,
            months_error=months_error,
            minutes=minutes,
            loss_weights=weights,
        )


def whole_hand_losses(preset: WholeHand) -> tuple[dict, dict[str, float] | None]:
    """The loss of every output, and what each counts; None: all alike."""
    if preset.target == "classes":
        return {"classes": "sparse_categorical_crossentropy", "age": None}, None
    if preset.sex == "predicted":
        return {"age": _age_loss(preset.loss), "male": "binary_crossentropy"}, {"age": 1.0, "male": SEX_LOSS_MONTHS}
    return {"age": _age_loss(preset.loss)}, None


def _age_loss(name: str):
    return keras.losses.Huber(delta=HUBER_MONTHS) if name == "huber" else name  # "mse" and "mae" are Keras's own


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m inference.training.train", description=__doc__)
    parser.add_argument("--preset", default="two_stage_compact", help=", ".join(PRESETS))
    parser.add_argument("--data", type=Path, default=os.environ.get("BONEAGE_DATA"), help="default: $BONEAGE_DATA")
    parser.add_argument("--run", type=Path, required=True, help="folder of checkpoints and progress")
    parser.add_argument("--stage", choices=(*STEPS, "all"), default="all")
    parser.add_argument(
        "--minutes", type=positive, help="wall-clock budget of each fit, in place of the preset's epochs"
    )
    parser.add_argument("--rehearse", action="store_true", help="every step for a minute, on a few radiographs")
    parser.add_argument("--phantoms", type=count, default=0, help="drawn hands mixed into the training radiographs")
    parser.add_argument("--also", default="", help="zip or folder with other copies of radiographs to train on as well")
    parser.add_argument(
        "--precision",
        choices=("float32", "mixed_bfloat16"),
        help="default: the preset's; a CPU without bfloat16 instructions is many times slower with mixed_bfloat16",
    )
    parser.add_argument(
        "--accelerated", action="store_true", help="augment on the GPU, for a network that would wait for the CPU"
    )
    parser.add_argument("--attention-of", metavar="MODEL", help="an exported model whose stage 1 is taken as it is")
    parser.add_argument(
        "--start", nargs="+", metavar="MODEL", help="exported models that stage 2's branches start from"
    )
    parser.add_argument(
        "--frozen", nargs="+", metavar="VIEW", help="branches of stage 2 that keep what they start from"
    )
    parser.add_argument("--learning-rate", type=positive, help="highest rate of stage 2; default: the preset's")
    parser.add_argument(
        "--beside", type=count, default=0, metavar="N", help="so many other trainings share the machine, for the record"
    )
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    require_data(parser, options.data)
    with in_a_sentence(parser):
        chosen = presets.trainable(options.preset)
    if isinstance(chosen, WholeHand) and options.stage not in ("age", "all"):
        parser.error(f"{chosen.name} has one stage: --stage age, or all.")
    of_two_stages = (options.attention_of, options.start, options.frozen, options.learning_rate)
    if isinstance(chosen, WholeHand) and any(of_two_stages):
        parser.error(
            f"--attention-of, --start, --frozen and --learning-rate are of presets with two stages; {chosen.name} has "
            "one."
        )
    if isinstance(chosen, Preset) and (unknown := set(options.frozen or ()) - set(chosen.age.branches)):
        parser.error(f"{chosen.name} has no branch {min(unknown)}. Choose from: {', '.join(chosen.age.branches)}.")
    with in_a_sentence(parser):
        check_goes_on(options.run, chosen, options)
        if isinstance(chosen, Preset):
            check_beginning(chosen, options.run, options)
    keras.utils.set_random_seed(options.seed)
    keras.config.set_dtype_policy(options.precision or chosen.precision)
    prepare = partial(working_image, preset=chosen)
    measured = Measured(prepare)
    limit = REHEARSAL if options.rehearse else None
    with in_a_sentence(parser):
        options.run.mkdir(parents=True, exist_ok=True)
        train = read_dataset(options.data, "train", measured, limit=limit)
        val = read_dataset(options.data, "val", prepare, limit=limit)
        also = read_dataset(options.data, "train", prepare, archive=options.also) if options.also else None
    read = what_was_read(train, measured, also, options.also, options.phantoms, val)
    add_to_record(options.run, chosen, options, read)
    if also:
        train += also
    minutes = 1.0 if options.rehearse else options.minutes
    if options.phantoms:
        train += cached_phantoms(options.run / "phantoms.npz", options.phantoms, options.seed, prepare)
    print(f"{len(train)} training and {len(val)} validation radiographs", flush=True)
    if isinstance(chosen, WholeHand):
        train_whole_hand(chosen, options.run, train, val, minutes, options.seed, options.accelerated)
        return
    if options.attention_of:
        take_attention(chosen, options.run, options.attention_of)
    elif options.stage in ("attention", "all"):
        train_attention(chosen, options.run, train, val, minutes, options.seed, options.accelerated)
    if options.stage in ("regions", "all"):
        extract_regions(chosen, options.run, train, val)
    if options.stage in ("age", "all"):
        if options.learning_rate:
            fit = replace(chosen.age.fit, learning_rate=options.learning_rate)
            chosen = replace(chosen, age=replace(chosen.age, fit=fit))
        with in_a_sentence(parser):
            boxes = read_regions(options.run, train, val)
        going_on = (options.accelerated, options.start, options.frozen)
        train_age(chosen, options.run, train, val, boxes, minutes, options.seed, *going_on)


if __name__ == "__main__":
    main()
