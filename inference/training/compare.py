"""Every system in one table: python -m inference.training.compare

A row for each preset, into docs/comparison.md, comparison.json and comparison.png. What is known of a preset is kept
in docs/comparison/NAME.json: what it costs, measured here where that is missing; and how it was trained and what was
measured of it, from the card of its weights (shipped ones, and those of $BONEAGE_WEIGHTS), where
`inference.training.card` put the evaluation. An ensemble has no card: --evaluation NAME=DIR takes what evaluate wrote.
"""

import argparse
import json
from pathlib import Path

import matplotlib

from inference.engine import available_models, presets
from inference.engine.presets import PRESETS, AnyPreset, Ensemble, Preset, WholeHand
from inference.training.files import replacing
from inference.training.metrics import significant
from inference.training.robustness import COPIES

matplotlib.use("Agg")
from matplotlib import pyplot

DOCS = Path(__file__).parents[2] / "docs"
EVALUATION = "validation"
"""The evaluation of a card that is compared."""
KEPT = (
    "model", "n", "mae_months", "mae_ci95", "rmse_months", "r2", "bias_months", "within_6", "within_12", "within_18",
    "within_24", "classes", "refused", "robustness", "attention",
)  # fmt: skip
NOT_TRAINED = "not trained"
EMPTY = "–"


def keep_card(kept: dict, card: dict) -> None:
    """Takes over how a model was trained, and its evaluation, into what is known of its preset."""
    if EVALUATION not in card.get("evaluation", {}):
        return
    keep_evaluation(kept, card["evaluation"][EVALUATION])
    if "training" not in card:  # an ensemble: its members were trained
        return
    training = card["training"]
    kept["training"] = {
        "commit": training["commit"],
        "commands": training["commands"],
        "machine": training["machine"],
        "fits": {
            name: {
                "epochs": len(fit["history"]),
                "minutes": round(fit["seconds"] / 60, 1),
                "machine": fit.get("machine", training["machine"]),
            }
            for name, fit in training["fits"].items()
        },
    }
    if started_from := training.get("started_from"):
        kept["training"]["started_from"] = [origin["model"] for origin in started_from]
        first = started_from[0]
        if first["model"].split()[0] == card["name"]:  # the same system, trained further
            kept["training"]["fits"]["age"]["epochs"] += first["epochs"]


def keep_evaluation(kept: dict, figures: dict) -> None:
    kept["evaluation"] = {name: figures[name] for name in KEPT if name in figures}


def planned_epochs(preset: AnyPreset) -> dict[str, int]:
    """The epochs of a full training, by the name of the fit."""
    if isinstance(preset, Ensemble):
        return {}
    if isinstance(preset, WholeHand):
        return dict.fromkeys(preset.networks, preset.fit.epochs)
    return {"attention": preset.attention.fit.epochs, "age": preset.age.fit.epochs}


def status(preset: AnyPreset, kept: dict) -> str:
    """Whether the preset was trained, and if in part, how far."""
    if "evaluation" not in kept:
        return NOT_TRAINED
    if isinstance(preset, Ensemble):
        return "mean of " + ", ".join(preset.members)
    fits = kept["training"]["fits"]
    part = {
        name: f"{fits[name]['epochs']} of {epochs} epochs"
        for name, epochs in planned_epochs(preset).items()
        if fits[name]["epochs"] < epochs
    }
    told = "trained"
    if part:
        told += " in part: " + ", ".join(part.values() if len(fits) == 1 else map(" ".join, part.items()))
    if earlier := kept["training"].get("started_from"):
        told += ", started from " + " and ".join(earlier)
    return told


def row(preset: AnyPreset, kept: dict) -> dict:
    """Everything known of the preset, for the table."""
    return {
        "preset": preset.name,
        "source": preset.source,
        "published": preset.published,
        "status": status(preset, kept),
        **kept,
    }


def ensemble_cost(preset: Ensemble, known: dict[str, dict]) -> dict:
    """The sum over its members, where all are known."""
    members = [known[name].get("cost", {}) for name in preset.members]
    total: dict = {
        name: significant(sum(one[name] for one in members))
        for name in ("gflop", "onnx_mb", "milliseconds")
        if all(name in one for one in members)
    }
    if all("parameters" in one for one in members):
        total["parameters"] = sum(one["parameters"] for one in members)
    return total | ({"machine": members[0]["machine"]} if "milliseconds" in total else {})


# --- the table -----------------------------------------------------------------------------------------------


def markdown(rows: list[dict]) -> str:
    trained = [one for one in rows if "evaluation" in one]
    lines = [
        "# Comparison",
        "",
        "Every system as a preset of the same training command, on the same radiographs, split, augmentation and "
        "evaluation (docs/model.md). Made by `make compare`; no figure here was taken over, except in the column "
        "*Published*, whose figures are of other data, and partly of other labels. A system that was not trained has "
        "no errors; what it costs is measured on its untrained networks.",
        "",
        "## Systems",
        "",
        *_table(
            ("System", "Training", "MAE, months (95 % interval)", "Published", "Network"),
            [[_name(one), one["status"], _mae(one), one["published"] or EMPTY, one["source"]] for one in rows],
        ),
        "",
        "## Errors on the validation radiographs",
        "",
        "Months; R2; share within half a year to two years; two-year classes (precision, recall and F1 are means over "
        f"the classes); the largest rise of the MAE among worse copies ({', '.join(COPIES)}), and of how many "
        "radiographs; and how much of the wrist's box the carpal region covers, where there is one, in how many "
        "radiographs with boxes.",
        "",
        *_table(
            (
                "System", "n", "MAE", "RMSE", "R2", "bias", "6 mo", "12 mo", "18 mo", "24 mo", "accuracy", "precision",
                "recall", "F1", "worst copy", "wrist covered",
            ),
            [_errors(one) for one in trained],
        ),
        "",
        "## Training",
        "",
        *_table(
            ("System", "Epochs", "Minutes", "Machine", "Commit"),
            [_training(one) for one in trained if "training" in one],
        ),
        "",
        "## Costs",
        "",
        "One reading on ONNX Runtime, the bare networks, without reading the file and preparing the image. GFLOP count "
        "convolutions and matrix products, a multiplication and an addition as two. MB of the ONNX files, kernels in "
        "half precision.",
        "",
        *_table(
            ("System", "Parameters, M", "GFLOP", "MB", "ms", "measured on"), [_costs(one) for one in rows]
        ),
        "",
        "![Errors and costs](comparison.png)",
        "",
    ]  # fmt: skip
    return "\n".join(lines)


def _table(head: tuple[str, ...], rows: list[list[str]]) -> list[str]:
    return [_line(head), "|---" * len(head) + "|", *map(_line, rows)]


def _line(cells) -> str:
    return f"| {' | '.join(cells)} |"


def _name(one: dict) -> str:
    return f"`{one['preset']}`"


def _mae(one: dict) -> str:
    if "evaluation" not in one:
        return EMPTY
    figures = one["evaluation"]
    low, high = figures["mae_ci95"]
    return f"{figures['mae_months']:.2f} ({low:.2f} to {high:.2f})"


def _errors(one: dict) -> list[str]:
    figures = one["evaluation"]
    copies = {name: row for name, row in figures.get("robustness", {}).items() if row["change_months"] is not None}
    found = figures.get("attention", {})
    wrist = found.get("wrist_covered_by_carpal_region")
    worst = max(copies, key=lambda name: copies[name]["change_months"], default=None)
    return [
        _name(one),
        str(figures["n"]),
        *(f"{figures[name]:.2f}" for name in ("mae_months", "rmse_months")),
        EMPTY if figures["r2"] is None else f"{figures['r2']:.3f}",
        f"{figures['bias_months']:+.2f}",
        *(f"{figures[f'within_{months}']:.1f} %" for months in (6, 12, 18, 24)),
        *(f"{figures['classes'][name]:.3f}" for name in ("accuracy", "precision", "recall", "f1")),
        f"{copies[worst]['change_months']:+.2f} ({worst}, n = {_copied(copies[worst], figures)})" if worst else EMPTY,
        EMPTY if wrist is None else f"{100 * wrist:.0f} % (n = {found['images']})",
    ]


def _copied(copy: dict, figures: dict) -> int:
    """The radiographs that its MAE is of; earlier evaluations kept only how many copies there were, or were of all."""
    return copy.get("both", copy.get("n", figures["n"] + figures["refused"]) - copy["refused"])


def _training(one: dict) -> list[str]:
    training = one["training"]
    fits = training["fits"]
    return [
        _name(one),
        ", ".join(f"{name} {fit['epochs']}" for name, fit in fits.items()),
        ", ".join(f"{name} {fit['minutes']:.1f}" for name, fit in fits.items()),
        _machines(training),
        training["commit"][:8],
    ]


def _machines(training: dict) -> str:
    """Of each fit, where they are not the same."""
    machines = {name: fit.get("machine", training["machine"]) for name, fit in training["fits"].items()}
    if len(set(machines.values())) == 1:
        return next(iter(machines.values()))
    return "; ".join(f"{name}: {machine}" for name, machine in machines.items())


def _costs(one: dict) -> list[str]:
    cost = one.get("cost", {})
    cells = (
        f"{cost['parameters'] / 1e6:.2f}" if "parameters" in cost else EMPTY,
        *(f"{cost[name]:.1f}" if name in cost else EMPTY for name in ("gflop", "onnx_mb", "milliseconds")),
        cost.get("machine", EMPTY),
    )
    return [_name(one), *cells]


def draw(rows: list[dict], path: Path) -> None:
    """Left the error of those trained, right what one reading costs."""
    figure, (errors, cost) = pyplot.subplots(1, 2, figsize=(11, 5), layout="constrained")
    trained = sorted((one for one in rows if "evaluation" in one), key=lambda one: -one["evaluation"]["mae_months"])
    for place, one in enumerate(trained):
        low, high = one["evaluation"]["mae_ci95"]
        errors.plot([low, high], [place, place], color="tab:blue", linewidth=2)
        errors.plot(one["evaluation"]["mae_months"], place, "o", color="tab:blue")
    errors.set(
        yticks=range(len(trained)), yticklabels=[one["preset"] for one in trained], xlabel="MAE on validation (months)"
    )
    timed = [one for one in rows if "milliseconds" in one.get("cost", {})]
    cost.scatter([one["cost"]["gflop"] for one in timed], [one["cost"]["milliseconds"] for one in timed], s=18)
    # Presets with the same networks lie on each other: the first gives its name. Names left and right in turn.
    named = {one["cost"]["gflop"]: one for one in reversed(timed)}.values()
    for number, one in enumerate(sorted(named, key=lambda one: one["cost"]["milliseconds"])):
        cost.annotate(
            one["preset"], (one["cost"]["gflop"], one["cost"]["milliseconds"]), fontsize=7,
            xytext=(5 - 10 * (number % 2), -2), textcoords="offset points", ha=("left", "right")[number % 2],
        )  # fmt: skip
    cost.set(xlabel="GFLOP of one reading", ylabel="ms of one reading on the CPU")
    if timed:
        cost.set(xscale="log", yscale="log")
        cost.margins(x=0.3)
    for axes in (errors, cost):
        axes.grid(alpha=0.3)
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m inference.training.compare", description=__doc__)
    parser.add_argument("--docs", type=Path, default=DOCS)
    parser.add_argument("--networks", type=Path, default=Path("runs/comparison"), help="untrained networks, kept")
    parser.add_argument("--evaluation", action="append", default=[], metavar="NAME=DIR")
    parser.add_argument("--measure", nargs="*", metavar="NAME", help="costs of these, anew; not given: all not known")
    options = parser.parse_args(arguments)
    single = [name for name, preset in PRESETS.items() if not isinstance(preset, Ensemble)]
    if unknown := set(options.measure or ()) - set(single):
        parser.error(f"There is no preset {min(unknown)!r} to measure. Choose from: {', '.join(single)}.")
    try:
        evaluations = dict(map(read_evaluation, options.evaluation))
    except ValueError as error:
        parser.error(str(error))
    results = options.docs / "comparison"
    known = {name: _kept(results / f"{name}.json") for name in PRESETS}

    results.mkdir(parents=True, exist_ok=True)
    for name in single if options.measure is None else options.measure:
        if options.measure is not None or "milliseconds" not in known[name].get("cost", {}):
            known[name]["cost"] = measure(presets.trainable(name), options.networks / name)
            _keep(results / f"{name}.json", known[name])  # the next may take minutes
    for model in available_models():
        if model.name in known:
            keep_card(known[model.name], model.card)
    for name, figures in evaluations.items():
        keep_evaluation(known[name], figures)
    for name, preset in PRESETS.items():
        if isinstance(preset, Ensemble):
            known[name]["cost"] = ensemble_cost(preset, known)
    rows = [row(preset, known[name]) for name, preset in PRESETS.items()]
    table = markdown(rows)
    with replacing(options.docs / "comparison.png") as written:
        draw(rows, written)
    for name in PRESETS:
        _keep(results / f"{name}.json", known[name])
    _keep(options.docs / "comparison.json", {"systems": rows})
    with replacing(options.docs / "comparison.md") as written:
        written.write_text(table)


def read_evaluation(named: str) -> tuple[str, dict]:
    """NAME=DIR -> the preset and the figures that evaluate wrote. Raises ValueError that says which is wrong."""
    name, _, folder = named.partition("=")
    if name not in PRESETS or not folder:
        raise ValueError(f"--evaluation {named}: give it as NAME=DIR, the name of a preset: {', '.join(PRESETS)}.")
    path = Path(folder) / "metrics.json"
    if not path.exists():
        raise ValueError(f"{path} is not there: write it with inference.training.evaluate --model {name}.")
    try:
        figures = json.loads(path.read_text())
        read_by = figures["model"].split()[0]
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is not what inference.training.evaluate writes.") from error
    if read_by != name:
        raise ValueError(f"{path} is of {read_by}, not of {name}.")
    if figures.get("data", "val").split()[0] != "val":
        raise ValueError(f"{path} is of {figures['data']}, not of the validation radiographs, as the table is.")
    return name, figures


def measure(preset: Preset | WholeHand, folder: Path) -> dict:
    """What it costs."""
    from inference.training import costs  # needs Keras, which the table alone does not

    cost = {**costs.structure(preset, folder), **costs.latency(preset, folder)}
    print(json.dumps({"preset": preset.name, **cost}), flush=True)
    return cost


def _kept(path: Path) -> dict:
    return json.loads(path.read_text()) if path.exists() else {}


def _keep(path: Path, kept: dict) -> None:
    with replacing(path) as written:
        written.write_text(json.dumps(kept, indent=1) + "\n")


if __name__ == "__main__":
    main()
