"""How well the model looks at the right places: its regions and heat maps against what others have marked.

The marks, boxes of joints (Koitka et al. 2018) and masks of epiphyses, measure the attention; they train nothing.
"""

import zipfile
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

import cv2
import numpy as np

from inference.engine import Prediction
from inference.engine.regions import Region
from inference.training.datasets import read_rows

SIDE = 299
"""Side that heat maps, hands and masks are compared at, in pixels."""
Pair = tuple[str, Prediction]
"""The id of a radiograph, and what was read."""


def hand_of(image: np.ndarray) -> np.ndarray:
    """(SIDE, SIDE) bool: the largest bright piece of the picture (H, W), by Otsu's threshold."""
    small = cv2.GaussianBlur(cv2.resize(image, (SIDE, SIDE), interpolation=cv2.INTER_AREA), (0, 0), 3)
    _, bright = cv2.threshold(small, 0, 1, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    count, pieces, stats, _ = cv2.connectedComponentsWithStats(bright)
    if count == 1:
        return np.zeros((SIDE, SIDE), bool)
    return pieces == 1 + stats[1:, cv2.CC_STAT_AREA].argmax()


def mass_inside(heat: np.ndarray, mask: np.ndarray) -> float:
    """Share of a heat map's (h, w) sum that lies in a mask (SIDE, SIDE)."""
    full = np.clip(cv2.resize(heat, (SIDE, SIDE), interpolation=cv2.INTER_LINEAR), 0, None)
    return float(full[mask].sum() / max(float(full.sum()), 1e-9))


def against_hands(read: Iterable[tuple[np.ndarray, Prediction]]) -> dict[str, float | int]:
    """Heat inside the hand, of (image, what was read)."""
    return _against_masks("hand", [(hand_of(image), outcome) for image, outcome in read])


def against_epiphyses(read: Iterable[Pair], archive: Path) -> dict[str, float | int]:
    """Heat inside the epiphyses and carpal bones marked in the zip of masks, ID.png each."""
    with zipfile.ZipFile(archive) as masks:
        marked = []
        for id, outcome in read:
            mask = cv2.imdecode(np.frombuffer(masks.read(f"{id}.png"), np.uint8), cv2.IMREAD_GRAYSCALE)
            if mask is None:
                raise ValueError(f"{archive} holds {id}.png, which is not an image.")
            marked.append((cv2.resize(mask, (SIDE, SIDE), interpolation=cv2.INTER_NEAREST) > 0, outcome))
    return _against_masks("epiphyses", marked)


def _against_masks(name: str, marked: list[tuple[np.ndarray, Prediction]]) -> dict[str, float | int]:
    """Mean share of heat inside the masks; of a uniform map; and how many times that the heat is."""
    shares = [mass_inside(outcome.heat_map, mask) for mask, outcome in marked if outcome.heat_map is not None]
    inside, uniform = float(np.mean(shares)), float(np.mean([mask.mean() for mask, _ in marked]))
    return {
        f"{name}_images": len(shares),
        f"heat_in_{name}": round(inside, 4),
        f"uniform_in_{name}": round(uniform, 4),
        f"{name}_times_uniform": round(inside / uniform, 3) if uniform else 0.0,
    }


def masked_ids(archive: Path) -> set[str]:
    """Whose masks the zip holds, ID.png each. Raises ValueError for what is no zip."""
    try:
        with zipfile.ZipFile(archive) as masks:
            return {name.removesuffix(".png") for name in masks.namelist() if name.endswith(".png")}
    except (zipfile.BadZipFile, IsADirectoryError) as error:
        raise ValueError(f"{archive} is no zip of masks.") from error


def boxed_ids(boxes: Path) -> set[str]:
    """Whose joints the file has boxes of. Raises ValueError for a file without the columns or with no box in a row."""
    return {id for id, _, _ in _boxes(boxes)}


def _boxes(path: Path) -> Iterator[tuple[str, str, Region]]:
    for where, (id, region, *corners) in read_rows(path, ("id", "region", "xmin", "ymin", "xmax", "ymax")):
        try:
            yield id, region, Region(*map(float, corners))
        except ValueError as error:
            raise ValueError(f"{where}: {', '.join(corners)} are no corners of a box.") from error


def against_boxes(read: Iterable[Pair], boxes: Path) -> dict[str, float | int]:
    """How much of the wrist's box the carpal region covers, and of the MCP joints' boxes the metacarpal region."""
    marked: dict[str, dict[str, list[Region]]] = defaultdict(lambda: defaultdict(list))
    for id, region, box in _boxes(boxes):
        marked[id][region].append(box)
    wrist, knuckles = [], []
    for id, outcome in read:
        regions, known = outcome.regions, marked[id]
        if known["Wrist"]:
            wrist.append(_covered(known["Wrist"][0], regions["carpal"]))
        if known["MCP"]:
            knuckles.append(float(np.mean([_covered(box, regions["metacarpal"]) for box in known["MCP"]])))
    return {
        "images": len(wrist),
        "wrist_covered_by_carpal_region": round(float(np.mean(wrist)), 3),
        "wrist_mostly_covered": round(float((np.array(wrist) > 0.8).mean()), 3),
        "mcp_covered_by_metacarpal_region": round(float(np.mean(knuckles)), 3),
    }


def _covered(box: Region, region: Region) -> float:
    width = max(0.0, min(box.x1, region.x1) - max(box.x0, region.x0))
    height = max(0.0, min(box.y1, region.y1) - max(box.y0, region.y0))
    return width * height / ((box.x1 - box.x0) * (box.y1 - box.y0))
