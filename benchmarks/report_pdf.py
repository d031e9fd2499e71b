"""One report as a PDF: time and memory of a worker that does nothing else, for two children.

The first knows one study, the second five earlier ones, a height, a logo and a radiograph as detectors make it.
"""

import argparse
import multiprocessing
import os
import shutil
import statistics
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from datetime import date, timedelta
from pathlib import Path

# The measuring process is a fresh one, which finds the folder of the one that filled it.
FOLDER = os.environ.setdefault("BENCHMARK_FOLDER", tempfile.mkdtemp())
os.environ["DATABASE_URL"] = f"sqlite:///{FOLDER}/bench.sqlite3"
os.environ["PRIVATE_ROOT"] = f"{FOLDER}/private"
os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"

import django

django.setup()

import cv2
import numpy as np
from django.core.files.base import ContentFile
from django.core.files.storage import storages
from django.core.management import call_command
from django_scopes import scope
from PIL import Image

from clinical.accounts.logo import keep_logo
from clinical.studies.display import display_name
from inference.heat_map import overlay_png
from inference.models import ModelVersion
from inference.training.phantom import draw_phantom
from reports.models import Report, State
from reports.tasks import make
from tests.factories import (
    HospitalFactory,
    MeasurementFactory,
    PatientFactory,
    ReportFactory,
    ReviewFactory,
    StudyFactory,
)

BORN = date(2012, 3, 9)


def signed(patient, pixels, age_months):
    """The report of a signed study of `patient`, with its files in the private storage."""
    study = StudyFactory(
        patient=patient,
        state="signed",
        acquired_on=BORN + timedelta(days=round(age_months * 365.25 / 12)),
        indication="Short stature",
        radiograph__file=cv2.imencode(".png", pixels)[1].tobytes(),
        radiograph__width=pixels.shape[1],
        radiograph__height=pixels.shape[0],
    )
    y, x = np.mgrid[-1:1:40j, -1:1:32j]
    overlay = overlay_png(np.exp(-4 * (x**2 + y**2)), pixels.shape)
    analysis = study.analysis
    analysis.heat_map = storages["private"].save(f"heat-maps/{analysis.pk}/1.png", ContentFile(overlay))
    analysis.model_version, _ = ModelVersion.objects.get_or_create(name="two_stage_compact", version="1")
    analysis.bone_age_months = age_months - 20
    analysis.low_months, analysis.high_months = age_months - 32, age_months - 8
    analysis.save()
    display_name(study.radiograph)  # a doctor has looked at it
    return ReportFactory(study=study, review=ReviewFactory(study=study, bone_age_months=age_months - 22))


def fill(size):
    """A database with two children; returns the keys of their reports and of the hospital."""
    call_command("migrate", verbosity=0)
    hospital = HospitalFactory(logo=keep_logo(Image.new("RGBA", (600, 180), "teal")))
    with scope(hospital=hospital):
        plain, followed = PatientFactory.create_batch(2, hospital=hospital, sex="M", date_of_birth=BORN)
        small, large = (draw_phantom(130, "M", seed=1, size=height) for height in (1500, size))
        reports = {"one study": signed(plain, small, 140)}
        for age_months in (84, 96, 108, 120, 132):
            signed(followed, small, age_months)
        reports["five earlier studies"] = signed(followed, large, 144)
        MeasurementFactory(patient=followed, measured_on=followed.studies.latest("acquired_on").acquired_on)
        return {name: report.pk for name, report in reports.items()}, hospital.pk


def measure(report_pk, hospital_pk, rounds):
    """Seconds of the first report, median of those after it, MB before and at most, and the size of the PDF in KB."""
    before = memory()
    seconds = []
    for _ in range(rounds + 1):
        Report.objects.with_scopes_disabled().filter(pk=report_pk).update(state=State.MAKING)
        began = time.perf_counter()
        make(report_id=str(report_pk), hospital_id=hospital_pk)
        seconds.append(time.perf_counter() - began)
    report = Report.objects.with_scopes_disabled().get(pk=report_pk)
    assert report.state == State.READY, report.reason
    size = storages["private"].size(report.pdf) / 1000
    return seconds[0], statistics.median(seconds[1:]), before, memory(), size


def memory():
    """The most memory that this process has used, in MB. Not ru_maxrss, which begins with that of its parent."""
    [line] = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) / 1024


def main(rounds, size):
    reports, hospital = fill(size)
    print("| child | first, s | then, s | memory before, MB | at most, MB | PDF, KB |")
    print("|---|---|---|---|---|---|")
    for name, report in reports.items():
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as worker:
            first, then, before, most, kilobytes = worker.submit(measure, report, hospital, rounds).result()
        print(f"| {name} | {first:.2f} | {then:.2f} | {before:.0f} | {most:.0f} | {kilobytes:.0f} |")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--size", type=int, default=2800, help="height of the larger radiograph in pixels")
    arguments = parser.parse_args()
    try:
        main(arguments.rounds, arguments.size)
    finally:
        shutil.rmtree(FOLDER)
