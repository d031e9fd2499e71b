"""Upload-to-result of one radiograph through the whole embedded portal, against the bare engine call.

Both are measured in turns in one run, on the same files, so that a noisy machine slows both alike.
"""

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path

import cv2

os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"

from boneage_portal.visitor import Visitor
from inference.engine import BoneAgeModel, read_radiograph
from inference.training.phantom import draw_phantom
from tests.embedded_portal import EmbeddedPortal

POLLING_SECONDS = 0.05  # the embedded broker's


def measure(rounds, size):
    model = BoneAgeModel.load()
    bare, portal = [], []
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
                sent = time.perf_counter()
                visitor.result(visitor.upload(patient, form, content), timeout=120)
                if seed:  # the first one loads the model in the worker
                    bare.append(between - began)
                    portal.append(time.perf_counter() - sent)
    return statistics.median(bare), statistics.median(portal)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--size", type=int, default=1500, help="height of the radiograph in pixels")
    arguments = parser.parse_args()
    bare, portal = measure(arguments.rounds, arguments.size)
    print("| radiograph | bare engine, ms | whole portal, ms | ratio | ratio less the polling interval |")
    print("|---|---|---|---|---|")
    print(
        f"| {arguments.size} px | {bare * 1000:.0f} | {portal * 1000:.0f} | {portal / bare:.2f} "
        f"| {(portal - POLLING_SECONDS) / bare:.2f} |"
    )
