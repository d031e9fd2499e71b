"""Measures a trained model on labelled radiographs: python -m inference.training.evaluate --data DIR --out DIR

DIR holds labels.csv or rsna_labels.csv and images as folders or zips (docs/model.md). Written to --out: metrics.json,
cases.csv, report.md and plots. Images pass through the polarity check, the gate and the preprocessing of uploads.
"""

import argparse
import csv
import json
import os
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from inference.engine import BoneAgeModel, Prediction, Refusal
from inference.engine.external import ExternalModel
from inference.engine.imaging import is_inverted
from inference.engine.model import BATCH, DEFAULT_MODEL
from inference.engine.runtimes import RUNTIMES
from inference.training import attention as attending
from inference.training import metrics
from inference.training.command_line import count, in_a_sentence
from inference.training.datasets import Dataset, Label, find_radiographs, read_dataset, require_data, spread
from inference.training.non_hands import NON_HANDS, draw_non_hands
from inference.training.phantom_set import draw_phantoms
from inference.training.plots import draw_plots
from inference.training.robustness import COPIES

PHANTOM_SEED = 30_000
"""Not among those that training and export draw from."""
NON_HAND_SEED = 40_000
GROUP_COLUMNS = ("n", "mae_months", "bias_months", "within_12")


@dataclass(frozen=True)
class Case:
    label: Label
    outcome: Prediction | Refusal


def evaluate(model: BoneAgeModel, data: Dataset, change: Callable = lambda image: image) -> list[Case]:
    """The model's outcome for each radiograph, after `change`."""
    cases: list[Case] = []
    for start in range(0, len(data), BATCH):
        labels = data.labels[start : start + BATCH]
        images = [bone_bright(change(image)) for image in data.images[start : start + BATCH]]
        outcomes = model.predict(images, [label.sex for label in labels])
        cases += [Case(label, outcome) for label, outcome in zip(labels, outcomes, strict=True)]
    return cases


def bone_bright(image: np.ndarray) -> np.ndarray:
    """The image with the polarity that `read_radiograph` would give it."""
    return 255 - image if is_inverted(image) else image


def summary(cases: list[Case]) -> dict:
    """All figures of a set of cases; errors are of those read, refusals are counted."""
    read = [(case.label, case.outcome) for case in cases if isinstance(case.outcome, Prediction)]
    if not read:
        return {"n": 0, "refused": len(cases)}
    truth, months, low, high = _columns(read)
    sexes, bands = [label.sex for label, _ in read], metrics.age_bands(truth)
    return {
        **metrics.error_metrics(truth, months),
        "by_sex": metrics.by_group(sexes, truth, months),
        "by_age_band": metrics.by_group(bands, truth, months),
        "classes": metrics.class_metrics(truth, months),
        "interval90": metrics.interval_by_group(sexes, truth, low, high),
        "refused": len(cases) - len(read),
        "refused_by_code": dict(Counter(case.outcome.code for case in cases if isinstance(case.outcome, Refusal))),
    }


def robustness(model: BoneAgeModel, data: Dataset, plain: list[Case]) -> dict[str, dict]:
    """For each worse copy: of how many radiographs it was read or refused, how many were refused; of those read both
    ways, how many (`both`), the MAE of the copies and its change against the plain images, None where that is of none.

    Of other radiographs on either side the change would be that of who was refused, not of how the rest were read.
    """
    rows = {}
    for name, change in COPIES.items():
        cases = evaluate(model, data, change)
        both = [
            pair for pair in zip(plain, cases, strict=True) if all(isinstance(one.outcome, Prediction) for one in pair)
        ]
        figures: dict[str, float | None] = {"mae_months": None, "change_months": None}
        if both:
            before, mae = (_mae(list(side)) for side in zip(*both, strict=True))
            figures = {"mae_months": round(mae, 2), "change_months": round(mae - before, 2)}
        refused = sum(isinstance(case.outcome, Refusal) for case in cases)
        rows[name] = {"n": len(cases), "both": len(both), **figures, "refused": refused}
    return rows


def refusals(model: BoneAgeModel, each: int) -> dict[str, dict[str, int]]:
    """For each kind of drawn image that shows no whole hand: how many there were, and how many were accepted."""
    rows = {name: {"images": 0, "accepted": 0} for name in NON_HANDS}
    for name, image in draw_non_hands(each, NON_HAND_SEED):
        [outcome] = model.predict([image], ["F"])
        rows[name]["images"] += 1
        rows[name]["accepted"] += isinstance(outcome, Prediction)
    return rows


def attention(model: BoneAgeModel, data: Dataset, cases: list[Case], options: argparse.Namespace) -> dict:
    """Where the model looked: in the hand, and, in training radiographs that others have marked, at what is marked.

    Empty for a model without heat maps and regions.
    """
    read = [(place, case.outcome) for place, case in enumerate(cases) if isinstance(case.outcome, Prediction)]
    if not read or not model.has_attention:
        return {}
    figures = attending.against_hands((bone_bright(data.images[place]), outcome) for place, outcome in read)
    for path, (ids, measure) in _marks(options).items():
        marked = read_dataset(options.data, "train", archive=options.images, ids=ids(path), limit=options.marked)
        outcomes = evaluate(model, marked)
        figures |= measure(
            [(case.label.id, case.outcome) for case in outcomes if isinstance(case.outcome, Prediction)], path
        )
    return figures


def _marks(options: argparse.Namespace) -> dict[Path, tuple[Callable, Callable]]:
    """The files that mark training radiographs: what gives the ids of these, and what measures by them."""
    measures = {
        options.masks: (attending.masked_ids, attending.against_epiphyses),
        options.boxes: (attending.boxed_ids, attending.against_boxes),
    }
    return {path: how for path, how in measures.items() if path and options.marked}


def look_for_all(model: BoneAgeModel, options: argparse.Namespace) -> None:
    """Raises FileNotFoundError, or ValueError, that says what is missing of or wrong with what will be read, before
    minutes go into the rest.
    """
    find_radiographs(options.data, options.split, options.images)
    for path, (ids, _) in _marks(options).items() if model.has_attention else ():
        if not path.exists():
            raise FileNotFoundError(f"{path} is not there; --marked 0 measures no attention by marks.")
        try:
            find_radiographs(options.data, "train", options.images, ids(path))
        except FileNotFoundError as error:
            raise FileNotFoundError(
                f"{options.data} has no training radiograph that {path.name} marks; --marked 0 leaves that out."
            ) from error


def _columns(read: list[tuple[Label, Prediction]]) -> tuple[np.ndarray, ...]:
    return (
        np.array([label.bone_age_months for label, _ in read]),
        np.array([outcome.bone_age_months for _, outcome in read]),
        np.array([outcome.low_months for _, outcome in read]),
        np.array([outcome.high_months for _, outcome in read]),
    )


def _mae(cases: list[Case]) -> float:
    errors = [
        abs(case.outcome.bone_age_months - case.label.bone_age_months)
        for case in cases
        if isinstance(case.outcome, Prediction)
    ]
    return float(np.mean(errors))


def write_cases(path: Path, cases: list[Case]) -> None:
    """One row per radiograph; the figures are empty where it was refused."""
    with path.open("w", newline="") as lines:
        writer = csv.writer(lines)
        writer.writerow(("id", "sex", "truth", "prediction", "low", "high", "error", "refused"))
        for case in cases:
            label, outcome = case.label, case.outcome
            if isinstance(outcome, Refusal):
                figures = ["", "", "", "", outcome.code]
            else:
                ages = (outcome.bone_age_months, outcome.low_months, outcome.high_months)
                error = outcome.bone_age_months - label.bone_age_months
                figures = [*(f"{months:.2f}" for months in (*ages, error)), ""]
            writer.writerow((label.id, label.sex, f"{label.bone_age_months:g}", *figures))


def report(figures: dict, plots: list[str]) -> str:
    """The figures as Markdown."""
    low, high = figures["mae_ci95"]
    r2 = "" if figures["r2"] is None else f"R2 {figures['r2']:.3f}, "  # of one age there is none
    lines = [
        f"# {figures['model']} on {figures['data']}",
        "",
        f"{figures['n']} radiographs read, {figures['refused']} refused. Ages in months.",
        "",
        f"**MAE {figures['mae_months']:.2f}** (95 % interval {low:.2f} to {high:.2f}), "
        f"RMSE {figures['rmse_months']:.2f}, {r2}bias {figures['bias_months']:+.2f}.",
        "Within 6 / 12 / 18 / 24 months: "
        + " / ".join(f"{figures[f'within_{months}']:.1f} %" for months in (6, 12, 18, 24))
        + ".",
        _interval(figures),
        "Two-year classes: " + ", ".join(f"{name} {value:.3f}" for name, value in figures["classes"].items()) + ".",
        "",
        *_table("Group", {**figures["by_sex"], **figures["by_age_band"]}, GROUP_COLUMNS),
    ]
    within = figures["interval90"]
    if not within.get("in_sample"):
        rows = {**within["by_sex"], **within["by_age_band"]}
        lines += ["", *_table("90 % interval", rows, ("n", "coverage", "coverage_ci95", "mean_width_months"))]
    if figures.get("phantoms", {}).get("n"):
        drawn = figures["phantoms"]
        lines += ["", f"Fresh phantoms (drawn hands): n = {drawn['n']}, MAE {drawn['mae_months']:.2f}."]
    if "non_hands" in figures:
        lines += ["", *_table("No hand", figures["non_hands"], ("images", "accepted"))]
    if figures["attention"]:
        rows = {name.replace("_", " "): {"": value} for name, value in figures["attention"].items()}
        lines += ["", *_table("Attention", rows, ("",))]
    if "robustness" in figures:
        lines += ["", *_table("Copy", figures["robustness"], ("n", "both", "mae_months", "change_months", "refused"))]
    lines += ["", *(f"![{name}]({name})" for name in plots), ""]
    return "\n".join(lines)


def _interval(figures: dict) -> str:
    within = figures["interval90"]
    width = f"mean width {within['mean_width_months']:.1f}"
    if within.get("in_sample"):
        of = "It is fitted on validation radiographs: the model card, or those of another split, tell its coverage."
        return f"90 % interval: {width}. {of}"
    return f"90 % interval: covers {100 * within['coverage']:.1f} %, {width}."


def _table(title: str, rows: dict[str, dict], columns: tuple[str, ...]) -> list[str]:
    return [
        f"| {title} | {' | '.join(column.replace('_', ' ') for column in columns)} |",
        f"|---|{'---:|' * len(columns)}",
        *(
            f"| {name} | {' | '.join('–' if row[column] is None else str(row[column]) for column in columns)} |"
            for name, row in rows.items()
        ),
    ]


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m inference.training.evaluate", description=__doc__)
    parser.add_argument("--data", type=Path, default=os.environ.get("BONEAGE_DATA"), help="default: $BONEAGE_DATA")
    parser.add_argument("--split", default="val")
    parser.add_argument("--images", default="", help="only zips and folders whose name holds this")
    parser.add_argument("--model", default=DEFAULT_MODEL)
    parser.add_argument("--runtime", choices=RUNTIMES, default="onnx")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--phantoms", type=count, default=200, help="fresh drawn hands to read as well")
    parser.add_argument("--non-hands", type=count, default=10, help="images of each kind that must be refused")
    parser.add_argument("--robustness", type=count, help="radiographs whose worse copies are read; all, if not given")
    parser.add_argument("--boxes", type=Path, help="boxes of joints to measure the regions by; roi_boxes.csv of --data")
    parser.add_argument("--masks", type=Path, help="masks to measure heat maps by; epiphysis_masks.zip of --data")
    parser.add_argument("--marked", type=count, default=300, help="radiographs with boxes or masks to read, at most")
    options = parser.parse_args(arguments)
    require_data(parser, options.data)
    options.boxes = options.boxes or _existing(options.data / "roi_boxes.csv")
    options.masks = options.masks or _existing(options.data / "epiphysis_masks.zip")
    with in_a_sentence(parser):
        model = BoneAgeModel.load(options.model, options.runtime)
        look_for_all(model, options)
        options.out.mkdir(parents=True, exist_ok=True)
        data = read_dataset(options.data, options.split, archive=options.images)
    cases = evaluate(model, data)
    write_cases(options.out / "cases.csv", cases)
    if all(isinstance(case.outcome, Refusal) for case in cases):
        raise SystemExit(f"{model.name} read none of {len(cases)} radiographs: {options.out}/cases.csv says why.")
    named = {"model": f"{model.name} {model.version}", "data": f"{options.split} {options.images}".strip()}
    figures = {**named, **summary(cases)}
    if options.split == "val" and not isinstance(model, ExternalModel):
        figures["interval90"]["in_sample"] = True  # models trained here have their interval fitted on these
    if options.phantoms:
        figures["phantoms"] = summary(evaluate(model, draw_phantoms(options.phantoms, PHANTOM_SEED)))
    if options.non_hands:
        figures["non_hands"] = refusals(model, options.non_hands)
    figures["attention"] = attention(model, data, cases, options)
    if options.robustness != 0:
        places = spread(len(data), options.robustness or len(data))
        figures["robustness"] = robustness(model, data.at(places), [cases[place] for place in places])
    (options.out / "metrics.json").write_text(json.dumps(figures, indent=1) + "\n")
    read = [(case.label, case.outcome) for case in cases if isinstance(case.outcome, Prediction)]
    truth, months, *_ = _columns(read)
    plots = draw_plots(options.out, truth, months, np.array([label.sex for label, _ in read]))
    (options.out / "report.md").write_text(report(figures, plots))
    print((options.out / "report.md").read_text())


def _existing(path: Path) -> Path | None:
    return path if path.exists() else None


if __name__ == "__main__":
    main()
