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
from django_scopes import scope

from clinical.accounts.models import Hospital, Membership, Role, User
from clinical.growth.ages import age_in_months
from clinical.patients.models import Patient
from clinical.studies.judgement import judge
from clinical.studies.models import Method, Radiograph, Review, State, Study
from inference.models import Analysis, ModelVersion

PATIENTS, STUDIES = 10_000, 30_000
UNREAD, READ = (State.FAILED, State.REJECTED, State.CANCELLED), (State.REVIEWED, State.SIGNED, State.RELEASED)
STATES = [State.RELEASED] * 15 + [State.ANALYSED] * 3 + [State.REVIEWED, State.SIGNED, *UNREAD]
PAGES = {
    "worklist": "/studies/",
    "worklist, last page": "/studies/?page=99999",
    "worklist, by state": "/studies/?state=failed",
    "worklist, by state and sex": "/studies/?state=failed&sex=F",
    "worklist, delayed": "/studies/?determination=delayed",
    "worklist, aged 10 to 12": "/studies/?age_from=10&age_to=12",
    "worklist, one month": "/studies/?acquired_after=2023-01-01&acquired_before=2023-01-31",
    "worklist, read by a doctor": "/studies/?doctor={doctor}",
    "worklist, read by a model": "/studies/?model={model}",
    "worklist, searched": "/studies/?q=Family77",
    "worklist, sorted by name": "/studies/?sort=patient",
    "worklist, sorted by bone age": "/studies/?sort=-bone_age",
    "worklist, sorted by SDS": "/studies/?sort=sds",
    "worklist, sorted by study date": "/studies/?sort=-date",
    "worklist, newest first": "/studies/?sort=-submitted",
    "patients": "/patients/",
}


def doctor_of(name):
    hospital = Hospital.objects.create(name=name)
    user = User.objects.create_user(f"doctor@{name}.example", name="Doctor")
    Membership.objects.create(user=user, hospital=hospital, role=Role.DOCTOR)
    client = Client(SERVER_NAME="localhost")
    client.force_login(user, backend="allauth.account.auth_backends.AuthenticationBackend")
    return hospital, user, client


def fill(hospital, user, model):
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
    days = [date(2020, 1, 1) + timedelta(days=chance.randrange(2000)) for _ in range(STUDIES)]
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
    states = [chance.choice(STATES) for _ in range(STUDIES)]
    ages = [
        max(6.0, age_in_months(patient.date_of_birth, day) + chance.gauss(0, 14))
        for patient, day in ((patients[number % PATIENTS], days[number]) for number in range(STUDIES))
    ]
    analyses = Analysis.objects.bulk_create(
        Analysis(
            hospital=hospital,
            radiograph=radiographs[number].name,
            sex=patients[number % PATIENTS].sex,
            state=state if state in UNREAD else State.ANALYSED,
            model_version=None if state in UNREAD else model,
            bone_age_months=None if state in UNREAD else ages[number],
            low_months=None if state in UNREAD else ages[number] - 12,
            high_months=None if state in UNREAD else ages[number] + 12,
        )
        for number, state in enumerate(states)
    )
    studies = Study.objects.bulk_create(
        Study(
            hospital=hospital,
            patient=patients[number % PATIENTS],
            radiograph=radiographs[number],
            analysis=analysis,
            state=states[number],
            sex=analysis.sex,
            acquired_on=days[number],
            submitted_by=user,
        )
        for number, analysis in enumerate(analyses)
    )
    read = [study for study in studies if study.state in READ]
    for study in read:
        study.review = study.judged(study.analysis.bone_age_months, doctor=user, method=Method.AI)
    Review.objects.bulk_create(study.review for study in read)
    Study.objects.bulk_update(read, ["review"], batch_size=500)
    judge(Study.objects.all())


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
        model = ModelVersion.objects.create(name="benchmark", version="1")
        with scope(hospital=hospital):
            fill(hospital, user, model)
        connection.cursor().execute("ANALYZE")
        print("| page | queries, empty | queries, full | empty, ms | full, ms | ratio |")
        print("|---|---|---|---|---|---|")
        for name, path in PAGES.items():
            path = path.format(doctor=user.pk, model=model.pk)
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
