"""The files of a trained model: a folder with card.json and the weights of both networks for each runtime."""

import hashlib
import json
import os
from pathlib import Path

import numpy as np

SHIPPED = Path(__file__).parents[1] / "weights"
FILES = ("card.json", "attention.onnx", "age.onnx", "attention.npz", "age.npz", "hands.npz")


DESCRIBES = ("validation", "phantoms", "interval_check", "evaluation", "training", "not_for")
"""What of a card only tells about the model; everything else decides what it answers."""


class MissingWeights(RuntimeError):
    """The weights of a model are not where they should be."""


def weights_folder(name: str) -> Path:
    """The folder of the model: in $BONEAGE_WEIGHTS where that holds it, else among those shipped.

    Raises MissingWeights that names the folders looked in.
    """
    roots = [Path(root) for root in (os.environ.get("BONEAGE_WEIGHTS"),) if root] + [SHIPPED]
    for root in roots:
        if (root / name / "card.json").exists():
            return root / name
    looked = ", ".join(str(root / name) for root in roots)
    raise MissingWeights(f"There are no weights of {name!r} (looked in {looked}). Train and export it: docs/model.md.")


def read_card(folder: Path) -> dict:
    return json.loads((folder / "card.json").read_text())


def serving_files(folder: Path) -> list[Path]:
    """The files of a model that decide what it answers, by name: all but text for people."""
    return sorted(
        path for path in folder.iterdir() if path.is_file() and path.suffix != ".md" and not path.name.startswith(".")
    )


def fingerprint(folder: Path) -> str:
    """SHA-256 over the model's files. Figures added to its card later, and its Markdown, leave it as it was.

    Raises FileNotFoundError where there is no such folder.
    """
    digest = hashlib.sha256()
    for path in serving_files(folder):
        if path.name == "card.json":
            serves = {key: value for key, value in read_card(folder).items() if key not in DESCRIBES}
            content = json.dumps(serves, sort_keys=True).encode()
        else:
            content = path.read_bytes()
        digest.update(f"{path.name} {hashlib.sha256(content).hexdigest()}\n".encode())
    return digest.hexdigest()


def save_arrays(arrays: list[np.ndarray], path: Path) -> None:
    """Writes a network's weights, in the order of get_weights(), in half precision."""
    np.savez(path, *[array.astype(np.float16) for array in arrays])


def load_arrays(path: Path) -> list[np.ndarray]:
    """What `save_arrays` wrote, as float32."""
    with np.load(path) as kept:
        return [kept[f"arr_{number}"].astype(np.float32) for number in range(len(kept.files))]
