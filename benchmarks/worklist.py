"""The worklist of a hospital with 10,000 patients and 30,000 studies against that of an empty one, in one run."""

import os
import random
import statistics
import tempfile
import time
from datetime import date, timedelta

os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"

import django

django.setup()

from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from clinical.accounts.models import Hospital, Membership, Role, User
from clinical.patients.models import Patient
from clinical.studies.models import Radiograph, Study
from inference.models import Analysis, State

PATIENTS, STUDIES = 10_000, 30_000
PAGES = {
    "worklist": "/studies/",
    "worklist, filtered": "/studies/?state=failed&sex=F",
    "worklist, searched": "/studies/?q=Family77",
    "worklist, sorted by name": "/studies/?sort=patient",
    "patients": "/patients/",
}


def doctor_of(name):
    hospital = Hospital.objects.create(name=name)
    user = User.objects.create_user(f"doctor@{name}.example", name="Doctor")
    Membership.objects.create(user=user, hospital=hospital, role=Role.DOCTOR)
    client = Client(SERVER_NAME="localhost")
    client.force_login(user, backend="allauth.account.auth_backends.AuthenticationBackend")
    return hospital, user, client


def fill(hospital, user):
    chance = random.Random(1)
    patients = Patient.objects.bulk_create(
        Patient(
            hospital=hospital,
            mrn=f"MRN-{number:06}",
            family_name=f"Family{chance.randrange(PATIENTS)}",
            given_name="Kim",
            sex=chance.choice("FM"),
            date_of_birth=date(2008, 1, 1) + timedelta(days=chance.randrange(4000)),
        )
        for number in range(PATIENTS)
    )
    radiographs = Radiograph.objects.bulk_create(
        Radiograph(
            hospital=hospital,
            sha256=f"{number:064x}",
            name=f"r/{number}",
            format="png",
            width=1,
            height=1,
            size_bytes=1,
        )
        for number in range(STUDIES)
    )
    states = [State.ANALYSED] * 20 + [State.FAILED, State.REJECTED, State.CANCELLED]
    analyses = Analysis.objects.bulk_create(
        Analysis(
            hospital=hospital, radiograph=radiograph.name, sex="F", state=chance.choice(states), bone_age_months=100.0
        )
        for radiograph in radiographs
    )
    Study.objects.bulk_create(
        Study(
            hospital=hospital,
            patient=patients[number % PATIENTS],
            radiograph=radiographs[number],
            analysis=analysis,
            state=analysis.state,
            sex=patients[number % PATIENTS].sex,
            acquired_on=date(2020, 1, 1) + timedelta(days=chance.randrange(2000)),
            submitted_by=user,
        )
        for number, analysis in enumerate(analyses)
    )


def visit(client, path):
    began = time.perf_counter()
    response = client.get(path)
    assert response.status_code == 200, response.status_code
    return time.perf_counter() - began


def main():
    with tempfile.TemporaryDirectory() as folder:
        connection.settings_dict["NAME"] = f"{folder}/bench.sqlite3"
        call_command("migrate", verbosity=0)
        hospital, user, full = doctor_of("full")
        _, _, empty = doctor_of("empty")
        fill(hospital, user)
        connection.cursor().execute("ANALYZE")
        print("| page | queries, empty | queries, full | empty, ms | full, ms | ratio |")
        print("|---|---|---|---|---|---|")
        for name, path in PAGES.items():
            counts = []
            for client in (empty, full):
                visit(client, path)
                with CaptureQueriesContext(connection) as captured:
                    visit(client, path)
                counts.append(len(captured))
            pairs = [(visit(empty, path), visit(full, path)) for _ in range(30)]
            bare, filled = (statistics.median(times) * 1000 for times in zip(*pairs, strict=True))
            print(f"| {name} | {counts[0]} | {counts[1]} | {bare:.1f} | {filled:.1f} | {filled / bare:.2f} |")
        connection.close()


if __name__ == "__main__":
    main()
