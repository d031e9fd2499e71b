"""The model card: what was measured, put beside the weights as card.json and MODEL_CARD.md.

    python -m inference.training.card --weights DIR --evaluation NAME=DIR [--evaluation NAME=DIR ...]

Each evaluation is a folder that inference.training.evaluate wrote.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from inference.training.command_line import in_a_sentence

CITATION = (
    "Halabi et al., The RSNA Pediatric Bone Age Machine Learning Challenge, Radiology 2018;290(2):498-503, "
    "doi 10.1148/radiol.2018180736"
)
AS_GIVEN = "Their source is that of the folder given with --data"
"""In place of a citation, for other radiographs than those of the challenge."""
NOT_FOR = (
    "Not for diagnosis without review by a physician. Not for adults, for other body parts than the left hand and "
    "wrist in postero-anterior projection, for skeletal dysplasia, or for estimating the age of people without papers."
)
FIGURES = (
    ("Measured with", "model"),  # an earlier version, where gate, interval or 8-bit copy were made anew
    ("Radiographs", "n"),
    ("MAE, months", "mae_months"),
    ("its 95 % interval", "mae_ci95"),
    ("RMSE, months", "rmse_months"),
    ("R2", "r2"),
    ("Bias, months", "bias_months"),
    ("Within 6 months, %", "within_6"),
    ("Within 12 months, %", "within_12"),
    ("Within 18 months, %", "within_18"),
    ("Within 24 months, %", "within_24"),
    ("Refused", "refused"),
)


def markdown(card: dict) -> str:
    """The card for people."""
    evaluations = card.get("evaluation", {})
    lines = [
        f"# {card['name']} {card['version']}",
        "",
        "Reads the bone age of a child, in months, from a radiograph of the left hand and wrist, with a 90 % interval.",
        "",
        f"**{card['not_for']}**",
        "",
        *(_members(card["members"]) if "members" in card else _training(card["training"])),
        "",
        "## Measured",
        "",
    ]
    if evaluations:
        lines += [
            f"| | {' | '.join(evaluations)} |",
            f"|---|{'---:|' * len(evaluations)}",
            *(
                f"| {title} | {' | '.join(_cell(figures.get(name)) for figures in evaluations.values())} |"
                for title, name in FIGURES
                if any(name in figures for figures in evaluations.values())
            ),
            "",
        ]
        lines += _details(next(iter(evaluations.values())))
    if "interval_check" in card:
        lines += [
            "",
            "90 % interval, each validation radiograph checked by an interval that was fitted on others:",
            "",
            *_coverage(card["interval_check"]),
        ]
    lines += [
        *_int8(card.get("int8")),
        "",
        _terms(card.get("training", {}).get("citation", CITATION)),
        "",
    ]
    return "\n".join(lines)


def _training(training: dict) -> list[str]:
    return [
        "## Training",
        "",
        f"- Data: {training['data']}. {training['citation']}.",
        f"- Split: {training['split']}",
        f"- Code: commit {training['commit']}",
        *(f"- `{command}`" for command in training["commands"]),
        *(
            f"- {name}: {fit['steps']} steps in {fit['seconds'] / 60:.0f} minutes on "
            f"{fit.get('machine', training['machine'])}"
            + (f", taken from {fit['taken_from']}" if "taken_from" in fit else "")
            for name, fit in training["fits"].items()
        ),
        *_origins(training.get("started_from", ())),
        *(f"- {note}" for note in training.get("notes", ())),
    ]


def _origins(started_from: Sequence[dict], of: str = "Its age network", indent: str = "") -> list[str]:
    lines = []
    for origin in started_from:
        lines.append(f"{indent}- {of} started from {origin['model']} ({origin['machine']}):")
        lines += [f"{indent}    - `{command}`" for command in origin["commands"]]
        lines += [f"{indent}    - {note}" for note in origin.get("notes", ())]
        lines += _origins(origin.get("started_from", ()), "That", f"{indent}    ")
    return lines


def _terms(citation: str) -> str:
    none = "no image of them is part of these weights' files."
    if citation == CITATION:
        return f"The radiographs may be used for research and education; {none}"
    return f"What the radiographs may be used for is said where they are from; {none}"


def _members(members: dict[str, str]) -> list[str]:
    return [
        "## Members",
        "",
        "The mean of these models, each trained alone; its interval is the mean of theirs, their cards lie beside it.",
        "",
        *(f"- {name} {version}" for name, version in members.items()),
    ]


def _int8(figures: dict | None) -> list[str]:
    if figures is None:
        return []
    full, int8 = figures["full"], figures["int8"]
    fate = "is part of the files" if figures["kept"] else "is less accurate and left out"
    return [
        "",
        f"The 8-bit copy of the age network {fate}: MAE {int8['mae_months']:.2f} against {full['mae_months']:.2f} "
        f"months on {figures['n']} validation radiographs, {int8['milliseconds']:.0f} against "
        f"{full['milliseconds']:.0f} ms a reading where it was made.",
    ]


def _coverage(check: dict) -> list[str]:
    rows = {"all": check, **check["by_sex"], **check["by_age_band"]}
    return ["| Group | n | covered, % | its 95 % interval | mean width, months |", "|---|---:|---:|---:|---:|"] + [
        f"| {name} | {row['n']} | {100 * row['coverage']:.1f} | "
        f"{' to '.join(f'{100 * bound:.1f}' for bound in row['coverage_ci95'])} | {row['mean_width_months']:.1f} |"
        for name, row in rows.items()
    ]


def _details(figures: dict) -> list[str]:
    lines = []
    rows = {**figures.get("by_sex", {}), **figures.get("by_age_band", {})}
    lines += ["| Group | n | MAE | bias |", "|---|---:|---:|---:|"]
    lines += [
        f"| {name} | {row['n']} | {row['mae_months']:.2f} | {row['bias_months']:+.2f} |" for name, row in rows.items()
    ]
    if "robustness" in figures:
        [count] = {row.get("n", figures["n"] + figures["refused"]) for row in figures["robustness"].values()}
        by = f", read by {figures['copies_read_by']}" if "copies_read_by" in figures else ""
        lines += ["", f"| Worse copy of {count} radiographs{by} | MAE | change | refused |", "|---|---:|---:|---:|"]
        lines += [
            f"| {name} | {_cell(row['mae_months'])} | {_cell(row['change_months'], '+')} | {row['refused']} |"
            for name, row in figures["robustness"].items()
        ]
    if figures.get("phantoms", {}).get("n"):
        lines += ["", f"Fresh phantoms (drawn hands): MAE {figures['phantoms']['mae_months']:.2f} months."]
    found = figures.get("attention", {})
    if "heat_in_hand" in found:
        lines += ["", f"{100 * found['heat_in_hand']:.0f} % of the heat maps' mass lies in the hand."]
    if "heat_in_epiphyses" in found:
        lines += [
            "",
            f"{100 * found['heat_in_epiphyses']:.1f} % of it lies in the epiphyses and carpal bones marked in "
            f"{found['epiphyses_images']} radiographs, {found['epiphyses_times_uniform']:.2f} times what a uniform map "
            "would have there.",
        ]
    if "images" in found:
        lines += [
            "",
            f"Regions against the boxes of {found['images']} radiographs (Koitka et al. 2018), which trained nothing: "
            f"the carpal region covers {100 * found['wrist_covered_by_carpal_region']:.0f} % of the wrist's box, the "
            f"metacarpal region {100 * found['mcp_covered_by_metacarpal_region']:.0f} % of the MCP joints' boxes.",
        ]
    if "non_hands" in figures:
        rows = figures["non_hands"]
        accepted = {name: row["accepted"] for name, row in rows.items() if row["accepted"]}
        total = sum(row["images"] for row in rows.values())
        which = f": {accepted}" if accepted else ""
        lines += ["", f"Of {total} drawn images that show no whole hand {sum(accepted.values())} were accepted{which}."]
    return lines


def _cell(value, sign: str = "") -> str:
    if value is None:
        return "–"
    if isinstance(value, list):
        return " to ".join(f"{bound:.2f}" for bound in value)
    return f"{value:{sign}.2f}" if isinstance(value, float) else str(value)


def write_card(folder: Path, card: dict) -> None:
    """The card for programs and for people."""
    (folder / "card.json").write_text(json.dumps(card, indent=1) + "\n")
    (folder / "MODEL_CARD.md").write_text(markdown(card))


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m inference.training.card", description=__doc__)
    parser.add_argument("--weights", type=Path, required=True, help="folder with card.json")
    parser.add_argument("--evaluation", action="append", default=[], metavar="NAME=DIR")
    options = parser.parse_args(arguments)
    with in_a_sentence(parser):
        card = json.loads((options.weights / "card.json").read_text())
        for named in options.evaluation:
            name, _, folder = named.partition("=")
            card.setdefault("evaluation", {})[name] = json.loads((Path(folder) / "metrics.json").read_text())
    write_card(options.weights, card)


if __name__ == "__main__":
    main()
