"""Radiographs with their bone ages, read from the folder layouts that the field uses.

- labels.csv or rsna_labels.csv (id, bone_age_months, sex, split) beside images in zips or folders
- the original RSNA layout: boneage-training-dataset.csv (id, boneage, male) beside a folder of PNGs
"""

import csv
import zipfile
from argparse import ArgumentParser
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import cv2
import numpy as np

from inference.engine.imaging import to_eight_bits
from inference.engine.presets import SCALED_AGE_MONTHS

RSNA_VALIDATION = Path(__file__).with_name("rsna_validation.txt")
"""Ids of the radiographs that no shipped weights were trained on."""
IMAGE_SUFFIXES = {".png", ".webp", ".jpg", ".jpeg"}
SEXES = {"f": "F", "female": "F", "m": "M", "male": "M"}
MALE = {"true": "M", "1": "M", "1.0": "M", "false": "F", "0": "F", "0.0": "F"}
"""What the column of the original layout says, as different programs write it."""
IN_MEMORY_BYTES = 2_000_000_000
"""A split that takes more than this is decoded on demand: the 12,600 original radiographs are 25 GB of pixels."""


@dataclass(frozen=True)
class Label:
    id: str
    bone_age_months: float
    sex: str
    """ "M" or "F"."""
    split: str


def in_threads(make: Callable, keys: Iterable) -> list:
    """`make` of each key. OpenCV lets other threads run while it decodes and computes."""
    with ThreadPoolExecutor() as pool:
        return list(pool.map(make, keys))


class OnDemand(Sequence):
    """What `make` makes of each key, made anew whenever it is asked for and not kept; a slice of it is a list."""

    def __init__(self, make: Callable, keys: Sequence) -> None:
        self.make, self.keys = make, keys

    def __len__(self) -> int:
        return len(self.keys)

    def __getitem__(self, at: Any) -> Any:
        return in_threads(self.make, self.keys[at]) if isinstance(at, slice) else self.make(self.keys[at])


@dataclass(frozen=True)
class Dataset:
    """Radiographs of one split, in the order of their ids."""

    labels: list[Label]
    images: Sequence[np.ndarray]
    """(H, W) uint8 each: a list, or OnDemand where a list would take too much memory."""

    @property
    def ages(self) -> np.ndarray:
        """Bone ages in months, float32 (N,)."""
        return np.array([label.bone_age_months for label in self.labels], np.float32)

    @property
    def males(self) -> np.ndarray:
        """1 for boys, 0 for girls, float32 (N,)."""
        return np.array([label.sex == "M" for label in self.labels], np.float32)

    @property
    def in_memory(self) -> bool:
        return isinstance(self.images, list)

    def mapped(self, make: Callable[[np.ndarray], Any]) -> Sequence:
        """`make` of every image, kept in memory or made on demand as the images are."""
        return in_threads(make, self.images) if self.in_memory else OnDemand(make, self.images)

    def at(self, places: Sequence[int]) -> "Dataset":
        """Those at these places, in this order."""
        images = OnDemand(self.images.__getitem__, places)
        return Dataset([self.labels[place] for place in places], images[:] if self.in_memory else images)

    def of_sexes(self, sexes: str) -> "Dataset":
        """Those of "M", of "F", or of "FM"."""
        return self.at([place for place, label in enumerate(self.labels) if label.sex in sexes])

    def __len__(self) -> int:
        return len(self.labels)

    def __add__(self, other: "Dataset") -> "Dataset":
        places = [(one.images, place) for one in (self, other) for place in range(len(one))]
        images = OnDemand(lambda at: at[0][at[1]], places)
        return Dataset(self.labels + other.labels, images[:] if self.in_memory and other.in_memory else images)


def read_labels(folder: Path) -> list[Label]:
    """All labels in the folder. Raises FileNotFoundError that names the layouts understood, and ValueError that names
    the file and the row for what is no label.
    """
    for name in ("labels.csv", "rsna_labels.csv"):
        if (folder / name).exists():
            columns = ("id", "bone_age_months", "sex", "split")
            return [
                Label(id, _age(age, where), _sex(sex, where), split)
                for where, (id, age, sex, split) in _rows(folder / name, columns)
            ]
    for path in (folder / "boneage-training-dataset.csv", folder / "train.csv"):
        if path.exists():
            return _rsna_labels(path)
    raise FileNotFoundError(
        f"{folder} holds none of labels.csv, rsna_labels.csv and boneage-training-dataset.csv: see docs/model.md."
    )


def read_dataset(
    folder: Path,
    split: str,
    prepare: Callable[[np.ndarray], np.ndarray] = lambda image: image,
    archive: str = "",
    limit: int | None = None,
    ids: Container[str] | None = None,
) -> Dataset:
    """Every labelled radiograph of the split, decoded and passed through `prepare`: at once where they all fit in
    IN_MEMORY_BYTES, else whenever one is asked for.

    ids and archive as in `find_radiographs`; limit keeps to that many, spread evenly. Raises FileNotFoundError where
    there is none.
    """
    found = find_radiographs(folder, split, archive, ids)
    chosen = list(found)
    if limit is not None:
        chosen = [chosen[place] for place in spread(len(chosen), limit)]
    sources = {source for _, source, _ in found.values()}
    archives = {source: zipfile.ZipFile(source) for source in sources if source.suffix == ".zip"}

    def decode(id: str) -> np.ndarray:
        _, source, member = found[id]
        data = archives[source].read(member) if source in archives else (source / member).read_bytes()
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE | cv2.IMREAD_ANYDEPTH)
        if image is None:
            raise ValueError(f"{source}/{member} is not an image.")
        # As of uploads: the lower bytes of 12 bits in 16 hold nearly all that there is to see.
        return prepare(image if image.dtype == np.uint8 else to_eight_bits(image))

    images = OnDemand(decode, chosen)
    size = fmean(image.nbytes for image in images[:: 1 + len(images) // 16]) * len(images)
    return Dataset([found[id][0] for id in chosen], images if size > IN_MEMORY_BYTES else images[:])


def find_radiographs(
    folder: Path, split: str, archive: str = "", ids: Container[str] | None = None
) -> dict[str, tuple[Label, Path, str]]:
    """The labelled radiographs of the split by id, in the order of their ids: label, zip file or folder, name in it.

    archive keeps to zips and folders whose name holds it; otherwise the first copy of an id found wins, those named
    for the split before others. ids keeps to those. No image is read. Raises FileNotFoundError where there is none.
    """
    wanted = {
        label.id: label for label in read_labels(folder) if label.split == split and (ids is None or label.id in ids)
    }
    found: dict[str, tuple[Path, str]] = {}
    for source, member in _members(folder, split, archive):
        found.setdefault(Path(member).stem, (source, member))
    chosen = sorted(wanted.keys() & found.keys(), key=lambda id: (len(id), id))
    if not chosen:
        named = f" in zips and folders named {archive!r}" if archive else ""
        asked = "" if ids is None else " among those asked for"
        raise FileNotFoundError(f"{folder} has no image of the split {split!r}{named}{asked}.")
    return {id: (wanted[id], *found[id]) for id in chosen}


def require_data(parser: ArgumentParser, folder: Path | None) -> None:
    """Ends the command with a sentence where neither --data nor $BONEAGE_DATA names a folder."""
    if folder is None:
        parser.error("No radiographs are named: give their folder with --data or $BONEAGE_DATA (docs/model.md).")


def spread(count: int, limit: int) -> list[int]:
    """`limit` places among `count`, as evenly apart as whole numbers are, first and last included; all, if no more."""
    return np.linspace(0, count - 1, min(limit, count)).round().astype(int).tolist()


def read_rows(path: Path, columns: tuple[str, ...]) -> Iterator[tuple[str, list[str]]]:
    """Where each row of a CSV file stands, for messages, and what these columns of it hold.

    Raises ValueError that names the columns that are not there.
    """
    with path.open(newline="", encoding="utf-8-sig") as lines:
        reader = csv.DictReader(lines)
        names = {name.strip().lower(): name for name in reader.fieldnames or ()}
        if missing := [column for column in columns if column not in names]:
            raise ValueError(f"{path} has no column {', '.join(missing)}: its columns are separated by commas.")
        for row in reader:
            values = [(row[names[column]] or "").strip() for column in columns]
            yield f"{path}, line {reader.line_num}", values


def _rows(path: Path, columns: tuple[str, ...]) -> Iterator[tuple[str, list[str]]]:
    """Those of `read_rows`, of which each has an id of its own in the first column."""
    seen = set()
    for where, values in read_rows(path, columns):
        if values[0] in seen:
            raise ValueError(f"{where}: the id {values[0]} is there twice.")
        seen.add(values[0])
        yield where, values


def _age(text: str, where: str) -> float:
    with suppress(ValueError):
        if 0 <= float(text) <= SCALED_AGE_MONTHS:  # what is no number is neither
            return float(text)
    raise ValueError(f"{where}: {text!r} is no bone age in months, 0 to {SCALED_AGE_MONTHS:.0f}.")


def _sex(text: str, where: str) -> str:
    if text.lower() not in SEXES:
        raise ValueError(f"{where}: {text!r} is no sex; write F or M.")
    return SEXES[text.lower()]


def _rsna_labels(path: Path) -> list[Label]:
    """The challenge names no validation split in this file: it is the one of RSNA_VALIDATION, on which weights that
    were trained elsewhere on this set can be measured too. Of other data in this layout, one id in ten.
    """
    rows = list(_rows(path, ("id", "boneage", "male")))
    ids = {id for _, (id, _, _) in rows}
    val = rsna_validation_ids() & ids or {id for id in ids if id.endswith("0")}
    return [
        Label(id, _age(age, where), _sex(MALE.get(male.lower(), male), where), "val" if id in val else "train")
        for where, (id, age, male) in rows
    ]


def rsna_validation_ids() -> set[str]:
    lines = RSNA_VALIDATION.read_text().splitlines()
    return {id for line in lines if not line.startswith("#") for id in line.split()}


def _members(folder: Path, split: str, archive: str) -> Iterator[tuple[Path, str]]:
    """(zip file or folder, name inside it) of every image."""
    held = [path for path in folder.iterdir() if path.suffix == ".zip" or path.is_dir()]
    sources = [path for path in held if "mask" not in path.name]  # theirs are named like the radiographs
    sources.sort(key=lambda path: (split not in path.name, path.name))
    for source in [*sources, folder]:
        if archive and (source == folder or archive not in source.name):
            continue
        if source.suffix == ".zip":
            with zipfile.ZipFile(source) as opened:
                names = opened.namelist()
        else:
            names = sorted(path.name for path in source.iterdir())
        yield from ((source, name) for name in names if Path(name).suffix.lower() in IMAGE_SUFFIXES)
