"""The dashboards over 100,000 studies of ten hospitals in a year, against those of an empty portal, in one run.

For their first look, half a year and a year; the lists that their numbers lead to as they open.

SQLite, or the PostgreSQL of DATABASE_URL, whose role must be allowed to create a database.
"""

import os
import random
import statistics
import tempfile
from datetime import timedelta

os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"

import django

django.setup()

from django.core.management import call_command
from django.db import connection, transaction
from django.db.models import OuterRef, Subquery
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from django_scopes import scopes_disabled

from benchmarks.worklist import visit
from boneage_portal.dashboards.views import DASHBOARDS
from clinical.accounts.models import Hospital, Membership, Role, User
from clinical.growth.ages import age_in_months
from clinical.patients.models import Patient
from clinical.studies.models import Method, Radiograph, Review, State, Study
from inference.models import Analysis, ModelVersion
from reports.models import Report

HOSPITALS, STUDIES, DAYS, BATCH = 10, 100_000, 365, 10_000
UNREAD, READ = (State.FAILED, State.REJECTED, State.CANCELLED), (State.REVIEWED, State.SIGNED, State.RELEASED)
STATES = [State.RELEASED] * 15 + [State.ANALYSED] * 3 + [State.REVIEWED, State.SIGNED, *UNREAD]
LISTS = {"studies' list": "/admin/studies/study/", "analyses' list": "/admin/inference/analysis/"}


def keep_times():
    """Let rows be of the past: their moments are given, not taken from the clock."""
    for model, name in ((Study, "submitted_at"), (Analysis, "queued_at"), (Review, "reviewed_at")):
        model._meta.get_field(name).auto_now_add = False


def people():
    root = User.objects.create_user("root@example.org", name="Root", is_staff=True, is_superuser=True)
    staff = []
    for number in range(HOSPITALS):
        hospital = Hospital.objects.create(name=f"Hospital {number}")
        doctors = [User.objects.create_user(f"doctor{number}.{n}@example.org", name=f"Doctor {n}") for n in range(3)]
        for doctor in doctors:
            Membership.objects.create(user=doctor, hospital=hospital, role=Role.DOCTOR)
        admin = User.objects.create_user(f"admin{number}@example.org", name="Admin")
        Membership.objects.create(user=admin, hospital=hospital, role=Role.HOSPITAL_ADMIN)
        staff.append((hospital, doctors))
    return root, staff


def fill(staff, model, chance, start, moments):
    """Add a study of each moment."""
    rows = []
    for number, at in enumerate(moments, start):
        hospital, doctors = chance.choice(staff)
        born = at.date() - timedelta(days=chance.randrange(3 * 365, 17 * 365))
        state, sex = chance.choice(STATES), chance.choice("FM")
        patient = Patient(hospital=hospital, mrn=f"M{number}", family_name=f"F{number}", sex=sex, date_of_birth=born)
        radiograph = Radiograph(
            hospital=hospital, sha256=f"{number:064x}", name=f"r/{number}", format="png", width=1500, height=2000,
            size_bytes=1, mean=chance.gauss(0.3, 0.05), sd=chance.gauss(0.2, 0.03), sharpness=chance.gauss(0.02, 0.003),
        )  # fmt: skip
        analysis = Analysis(
            hospital=hospital, radiograph=radiograph.name, sex=sex, queued_at=at,
            finished_at=at + timedelta(seconds=chance.expovariate(0.3)),
            state=state if state in UNREAD else State.ANALYSED,
            reason_code=chance.choice(["not-a-hand", "blank", "worker-lost"]) if state in UNREAD else "",
        )  # fmt: skip
        if state not in UNREAD:
            estimate = max(6.0, age_in_months(born, at.date()) + chance.gauss(0, 14))
            analysis.model_version, analysis.bone_age_months = model, estimate
            analysis.low_months, analysis.high_months = estimate - 12, estimate + 12
        study = Study(
            hospital=hospital, patient=patient, radiograph=radiograph, analysis=analysis, state=state, sex=sex,
            acquired_on=at.date(), submitted_at=at, submitted_by=doctors[0],
            sds=None if state in UNREAD else chance.gauss(0, 1.3),
        )  # fmt: skip
        rows.append((study, doctors))
    studies = [study for study, _ in rows]
    for model_of, name in ((Patient, "patient"), (Radiograph, "radiograph"), (Analysis, "analysis")):
        model_of.objects.bulk_create([getattr(study, name) for study in studies], batch_size=500)
    Study.objects.bulk_create(studies, batch_size=500)
    reviews = []
    for study, doctors in rows:
        if study.state in READ:
            overruled = chance.random() < 0.2
            study.review = study.judged(
                study.analysis.bone_age_months + (chance.gauss(0, 8) if overruled else 0),
                doctor=chance.choice(doctors),
                method=Method.OWN if overruled else Method.AI,
                reviewed_at=study.submitted_at,
            )
            reviews.append(study.review)
    Review.objects.bulk_create(reviews, batch_size=500)
    own = Review.objects.filter(study=OuterRef("pk")).values("pk")
    Study.objects.filter(review=None, state__in=READ).update(review=Subquery(own))
    Report.objects.bulk_create(
        [
            Report(
                hospital=review.hospital, study=review.study, review=review, version=1, signed_by=review.doctor,
                number=f"R-{review.study.patient.mrn}",
                acquired_on=review.study.acquired_on,
                date_of_birth=review.study.patient.date_of_birth,
                signed_at=review.study.submitted_at + timedelta(hours=chance.expovariate(0.1)),
            )
            for review in reviews
            if review.study.state != State.REVIEWED
        ],
        batch_size=500,
    )  # fmt: skip


def measured(client, path):
    """Queries and the median time of a page, in ms."""
    visit(client, path)
    with CaptureQueriesContext(connection) as captured:
        visit(client, path)
    return len(captured), statistics.median(visit(client, path) for _ in range(3)) * 1000


def main():
    with tempfile.TemporaryDirectory() as folder:
        if connection.vendor == "sqlite":
            connection.settings_dict["NAME"] = f"{folder}/bench.sqlite3"
            call_command("migrate", verbosity=0)
        else:
            connection.creation.create_test_db(verbosity=0, autoclobber=True)
        keep_times()
        with scopes_disabled():
            root, staff = people()
            clients = {}
            for who, user in (("platform", root), ("hospital", User.objects.get(email="admin0@example.org"))):
                clients[who] = Client(SERVER_NAME="localhost")
                clients[who].force_login(user, backend="allauth.account.auth_backends.AuthenticationBackend")
            today = timezone.localdate()
            periods = {"half a year": DAYS // 2, "a year": DAYS}
            paths = {name: f"/admin/dashboards/{name}/" for name in DASHBOARDS} | LISTS
            cases = [(f"{name}, {who}", who, path) for name, path in paths.items() for who in clients]
            cases += [
                (
                    f"{name}, {who}, {period}",
                    who,
                    f"{paths[name]}?first={today - timedelta(days=days - 1)}&last={today}",
                )
                for period, days in periods.items()
                for name in DASHBOARDS
                for who in clients
            ]
            empty = {name: measured(clients[who], path) for name, who, path in cases}
            model, chance = ModelVersion.objects.create(name="benchmark", version="1"), random.Random(1)
            now = timezone.now()
            ages = sorted((chance.randrange(DAYS * 86400) for _ in range(STUDIES)), reverse=True)
            moments = [now - timedelta(seconds=age) for age in ages]  # in order, as rows come to lie on the disk
            for start in range(0, STUDIES, BATCH):
                with transaction.atomic():
                    fill(staff, model, chance, start, moments[start : start + BATCH])
            connection.cursor().execute("ANALYZE")
        print(f"{STUDIES:,} studies of {HOSPITALS} hospitals on {connection.vendor}\n")
        print("| page | queries, empty | queries, full | empty, ms | full, ms | ratio |")
        print("|---|---|---|---|---|---|")
        for name, who, path in cases:
            queries, time = measured(clients[who], path)
            queries_before, before = empty[name]
            print(f"| {name} | {queries_before} | {queries} | {before:.0f} | {time:.0f} | {time / before:.1f} |")
        if connection.vendor != "sqlite":
            connection.creation.destroy_test_db(connection.settings_dict["NAME"], verbosity=0)
        connection.close()


if __name__ == "__main__":
    main()
