"""The files of a trained model: a folder with card.json and the weights of its networks for each runtime, or with a
model.toml and an ONNX file from elsewhere (inference.engine.external). That of an ensemble holds its members' folders.
"""

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

SHIPPED = Path(__file__).parents[1] / "weights"
DESCRIPTION = "model.toml"
QUANTIZED_AGE = "age.int8.onnx"
"""The 8-bit copy of the age network, where a model has one."""
DESCRIBES = ("validation", "phantoms", "interval_check", "int8", "evaluation", "training", "not_for")
"""What of a card only tells about the model; everything else decides what it answers."""
LONGEST = {"name": 100, "version": 40}
"""Characters of what a card must say; more does not go into the portal's database."""
Kind = Literal["two_stage", "whole_hand", "external", "ensemble"]


class MissingWeights(RuntimeError):
    """The weights of a model are not where they should be."""


@dataclass(frozen=True)
class ModelFolder:
    """A folder that holds a model, or is meant to."""

    name: str
    version: str
    kind: Kind
    path: Path
    card: dict
    problem: str = ""
    """Why it cannot be loaded, in a sentence; name is then that of the folder, version and card are empty."""


def available_models() -> list[ModelFolder]:
    """Every model folder in $BONEAGE_WEIGHTS and among those shipped, by name; the first of a name hides the second,
    as in `weights_folder`. What is in no order to be loaded is listed with its problem.
    """
    found: dict[str, ModelFolder] = {}
    for root in _roots():
        for path in sorted(root.iterdir()) if root.is_dir() else ():
            if _is_model(path):
                found.setdefault(path.name, _described(path))
    return [found[name] for name in sorted(found)]


def weights_folder(name: str) -> Path:
    """The folder of the model: in $BONEAGE_WEIGHTS where that holds it, else among those shipped.

    Raises MissingWeights that names the folders looked in.
    """
    for root in _roots():
        if _is_model(root / name):
            return root / name
    looked = ", ".join(str(root / name) for root in _roots())
    raise MissingWeights(f"There are no weights of {name!r} (looked in {looked}). Train and export it: docs/model.md.")


def has_weights(name: str) -> bool:
    return any(_is_model(root / name) for root in _roots())


def kind(folder: Path) -> Kind:
    if (folder / DESCRIPTION).exists():
        return "external"
    if _members(folder):
        return "ensemble"
    return "two_stage" if any(folder.glob("attention.*")) else "whole_hand"


def read_card(folder: Path) -> dict:
    """The model card; that of a model from elsewhere is what its model.toml says. Raises ValueError for a wrong one,
    MissingWeights where there is no such folder.
    """
    if not folder.is_dir():
        raise MissingWeights(f"{folder} is no folder of a model.")
    if kind(folder) == "external":
        from inference.engine.external import read_description

        return read_description(folder).card()
    return json.loads((folder / "card.json").read_text())


def _roots() -> list[Path]:
    named = os.environ.get("BONEAGE_WEIGHTS")
    return [Path(named), SHIPPED] if named else [SHIPPED]


def _members(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if _is_model(path)]


def _is_model(folder: Path) -> bool:
    return any((folder / name).is_file() for name in ("card.json", DESCRIPTION))


def _described(folder: Path) -> ModelFolder:
    try:
        card = read_card(folder)
        _check_card(card)
        return ModelFolder(card["name"], card["version"], kind(folder), folder, card)
    except (ValueError, OSError) as error:
        return ModelFolder(folder.name, "", kind(folder), folder, {}, problem=f"{folder} cannot be read: {error}")


def _check_card(card: dict) -> None:
    """Raises ValueError for a card that the portal could not keep or show."""
    if not isinstance(card, dict):
        raise ValueError("its card is no table of entries.")
    for entry, most in LONGEST.items():
        if not isinstance(card.get(entry), str) or not 0 < len(card[entry]) <= most:
            raise ValueError(f"its card has no {entry} of 1 to {most} characters.")
    tables = [card.get(entry, {}) for entry in ("validation", "phantoms", "evaluation")]
    if isinstance(tables[-1], dict):
        tables += tables[-1].values()
    if not all(isinstance(table, dict) for table in tables):
        raise ValueError("its card has evaluations that are no tables of figures.")
    json.dumps(card, allow_nan=False)


def serving_files(folder: Path) -> list[Path]:
    """The files of a model that decide what it answers, by name: all but text for people. Those of an ensemble are
    its members' too.
    """
    return sorted(
        path
        for part in (folder, *_members(folder))
        for path in part.iterdir()
        if path.is_file() and path.suffix != ".md" and not path.name.startswith(".")
    )


def fingerprint(folder: Path) -> str:
    """SHA-256 over the model's files. Figures added to its card later, and its Markdown, leave it as it was.

    Raises FileNotFoundError where there is no such folder.
    """
    digest = hashlib.sha256()
    for path in serving_files(folder):
        if path.name == "card.json":
            serves = {key: value for key, value in read_card(path.parent).items() if key not in DESCRIBES}
            content = json.dumps(serves, sort_keys=True).encode()
        else:
            content = path.read_bytes()
        digest.update(f"{path.relative_to(folder).as_posix()} {hashlib.sha256(content).hexdigest()}\n".encode())
    return digest.hexdigest()


def save_arrays(arrays: list[np.ndarray], path: Path) -> None:
    """Writes a network's weights, in the order of get_weights(), kernels in half precision.

    Vectors stay in single precision: they take no room, and a variance may be larger than half precision can hold.
    """
    np.savez(path, *[array.astype(np.float16) if array.ndim > 1 else array for array in arrays])


def load_arrays(path: Path) -> list[np.ndarray]:
    """What `save_arrays` wrote, as float32."""
    with np.load(path) as kept:
        return [kept[f"arr_{number}"].astype(np.float32) for number in range(len(kept.files))]
