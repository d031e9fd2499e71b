"""Upload-to-result of one radiograph through the whole embedded portal, against the bare engine call.

Both are measured in turns in one run, on the same files, so that a noisy machine slows both alike. Where the time goes
is told by the times that the portal keeps of each analysis.
"""

import argparse
import os
import statistics
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import cv2

os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"

from boneage_portal.visitor import Visitor
from inference.engine import BoneAgeModel, read_radiograph
from inference.training.phantom import draw_phantom
from tests.embedded_portal import EmbeddedPortal

POLLING_SECONDS = 0.05  # the embedded broker's
STAGES = ("sent to queued", "queued to started", "started to finished", "of which in the model", "finished to seen")
TIMES = "SELECT queued_at, started_at, finished_at, milliseconds FROM inference_analysis ORDER BY queued_at DESC"


def stages(embedded, sent, seen):
    """Seconds of each of STAGES of the latest analysis; `sent` and `seen` are times of the clock."""
    *times, milliseconds = embedded.query(TIMES)
    queued, started, finished = (datetime.fromisoformat(at).replace(tzinfo=UTC).timestamp() for at in times)
    return queued - sent, started - queued, finished - started, milliseconds / 1000, seen - finished


def measure(rounds, size):
    model = BoneAgeModel.load()
    bare, portal, parts = [], [], []
    with tempfile.TemporaryDirectory() as folder:
        embedded = EmbeddedPortal(Path(folder))
        with embedded.running() as address:
            visitor = Visitor(address)
            visitor.sign_in("technician@demo.example", embedded.password)
            patient = visitor.create_patient("F")
            for seed in range(rounds + 1):
                content = cv2.imencode(".png", draw_phantom(120, "F", seed=seed, size=size))[1].tobytes()
                began = time.perf_counter()
                model.predict([read_radiograph(content).pixels], ["F"])
                between = time.perf_counter()
                form = visitor.open_upload(patient)
                sent, sent_at = time.perf_counter(), time.time()
                visitor.result(visitor.upload(patient, form, content), timeout=120)
                if seed:  # the first one loads the model in the worker
                    bare.append(between - began)
                    portal.append(time.perf_counter() - sent)
                    parts.append(stages(embedded, sent_at, time.time()))
    return (
        statistics.median(bare),
        statistics.median(portal),
        [statistics.median(part) for part in zip(*parts, strict=True)],
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--size", type=int, default=1500, help="height of the radiograph in pixels")
    arguments = parser.parse_args()
    bare, portal, parts = measure(arguments.rounds, arguments.size)
    print("| radiograph | bare engine, ms | whole portal, ms | ratio | ratio less the polling interval |")
    print("|---|---|---|---|---|")
    print(
        f"| {arguments.size} px | {bare * 1000:.0f} | {portal * 1000:.0f} | {portal / bare:.2f} "
        f"| {(portal - POLLING_SECONDS) / bare:.2f} |"
    )
    print("\n| stage | ms |\n|---|---|")
    for stage, part in zip(STAGES, parts, strict=True):
        print(f"| {stage} | {part * 1000:.0f} |")
