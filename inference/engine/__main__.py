"""Reads one radiograph: python -m inference.engine IMAGE --sex F

Prints one JSON line and exits 0; a file that cannot be read, or is refused, is exit 2 and one line on standard error.

python -m inference.engine IMAGE --sex F --explain occlusion --out MAP.png draws what the reading rests on as well.
"""

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import get_args

import cv2

from inference.engine import BoneAgeModel, Refusal, UnreadableRadiograph, read_radiograph
from inference.engine.explanation import Method, drawn_over
from inference.engine.model import DEFAULT_MODEL
from inference.engine.runtimes import RUNTIMES
from inference.engine.weights import MissingWeights


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m inference.engine", description=__doc__)
    parser.add_argument("image", type=Path, help="PNG, JPEG, TIFF, WebP or DICOM")
    parser.add_argument("--sex", choices=("M", "F"), required=True)
    parser.add_argument("--model", default=DEFAULT_MODEL)
    parser.add_argument("--runtime", choices=RUNTIMES, default="onnx")
    parser.add_argument("--explain", choices=get_args(Method), help="gradcam runs on TensorFlow in any case")
    parser.add_argument("--out", type=Path, help="the PNG to write --explain to")
    options = parser.parse_args(arguments)
    if bool(options.explain) != bool(options.out):
        parser.error("--explain and --out go together: a method, and the PNG to write")
    try:
        radiograph = read_radiograph(options.image.read_bytes())
        model = BoneAgeModel.load(options.model, "tensorflow" if options.explain == "gradcam" else options.runtime)
        [outcome] = model.predict([radiograph.pixels], [options.sex])
    except (OSError, UnreadableRadiograph, MissingWeights, ValueError) as error:
        return _fail(str(error))
    if isinstance(outcome, Refusal):
        return _fail(outcome.reason)
    if options.explain:
        try:
            explanation = model.explain(radiograph.pixels, options.sex, options.explain)
        except ValueError as error:
            return _fail(str(error))
        if isinstance(explanation, Refusal):
            return _fail(explanation.reason)
        picture = drawn_over(radiograph.pixels, explanation.map)
        try:
            options.out.write_bytes(cv2.imencode(".png", picture)[1].tobytes())
        except OSError as error:
            return _fail(str(error))
    line = {
        "bone_age_months": round(outcome.bone_age_months, 1),
        "interval": [round(outcome.low_months, 1), round(outcome.high_months, 1)],
        "regions": {name: asdict(region) for name, region in outcome.regions.items()},
        "notes": outcome.notes,
        "model": f"{model.name} {model.version}",
        "milliseconds": round(outcome.milliseconds, 1),
    }
    print(json.dumps(line))
    return 0


def _fail(sentence: str) -> int:
    print(" ".join(sentence.split()), file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
