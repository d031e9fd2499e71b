"""The demo: two hospitals, every role, a family, radiographs drawn by the phantom, read by the real pipeline and,
up to where each child's story goes, by their doctor.

Filling is repeatable: what exists is left alone, so that an interrupted fill goes on where it was.
"""

import os
import secrets
import uuid
from dataclasses import dataclass, field
from datetime import date, timedelta

import cv2
import numpy as np
from django.conf import settings
from django.core.files.storage import storages
from django.db import transaction
from django_scopes import scope

from clinical.accounts.models import Hospital, Membership, Role, User
from clinical.growth.ages import age_in_months
from clinical.growth.centiles import measure_at
from clinical.patients.models import Guardianship, Measurement, Patient, Relation
from clinical.studies import intake, workflow
from clinical.studies.models import Method, State, Study
from inference.training.phantom import draw_phantom

ST_ANNA, NORTH_BAY = "St. Anna Children's Hospital", "North Bay Hospital"

PEOPLE = [
    ("doctor@demo.example", "Dr. Ines Marlow", {ST_ANNA: Role.DOCTOR, NORTH_BAY: Role.DOCTOR}),
    ("technician@demo.example", "Theo Brandt", {ST_ANNA: Role.TECHNICIAN}),
    ("administrator@demo.example", "Amara Lindqvist", {ST_ANNA: Role.HOSPITAL_ADMIN}),
    ("doctor@northbay.example", "Dr. Noor Haddad", {NORTH_BAY: Role.DOCTOR}),
    ("administrator@northbay.example", "Pavel Novak", {NORTH_BAY: Role.HOSPITAL_ADMIN}),
    ("family@demo.example", "Rosa Keller", {}),
    ("platform@demo.example", "Platform staff", {}),
]
DOCTORS = {ST_ANNA: "doctor@demo.example", NORTH_BAY: "doctor@northbay.example"}


STORY = [State.ANALYSED, State.REVIEWED, State.SIGNED, State.RELEASED]


@dataclass
class Child:
    """A patient of the demo.

    `shift`: months by which the skeleton is ahead; `ages`: years at each study, all released but the last, which goes
    `until` that state; `height_z`: of the height measured at each study; `plate`: the doctor reads the last study by
    the atlas, at that bone age in months; `words`: what the doctor concludes of it; `gestation`: the gestational age at
    birth.
    """

    hospital: str
    mrn: str
    family_name: str
    given_name: str
    sex: str
    age: float
    shift: float = 0
    ages: list[float] = field(default_factory=list)
    indication: str = ""
    mishap: str = ""
    relation: str = ""
    heights: tuple[float | None, float | None] = (None, None)
    until: str = State.ANALYSED
    plate: int | None = None
    words: str = ""
    height_z: float | None = None
    gestation: str = ""
    urgent: bool = False

    def goes(self, age, state):
        """Whether the study at `age` goes as far as `state`."""
        until = self.until if age == self.ages[-1] else State.RELEASED
        return not (self.mishap and age == self.ages[-1]) and STORY.index(until) >= STORY.index(state)


CHILDREN = [
    Child(
        ST_ANNA, "SA-1001", "Keller", "Jonas", "M", 12.6, -26, [8.5, 9.6, 10.6, 11.5, 12.5],
        "Short stature, constitutional delay suspected", relation="mother", heights=(164, 172), height_z=-2.1,
    ),
    Child(
        ST_ANNA, "SA-1002", "Keller", "Mila", "F", 8.2, 4, [8.1], "Sibling of a child with delayed growth",
        relation="mother", heights=(164, 172), until=State.RELEASED, height_z=-0.6,
        words="Her bones are as old as she is. No other X-ray is needed unless she stops growing.",
    ),
    Child(
        ST_ANNA, "SA-1003", "Okafor", "Adaeze", "F", 8.0, 25, [6.6, 7.3, 7.9],
        "Early breast development", heights=(168, 181), until=State.REVIEWED, plate=120, height_z=1.9,
    ),
    Child(
        ST_ANNA, "SA-1004", "Weiss", "Leon", "M", 10.4, 2, [9.2, 10.3], "Growth follow-up", heights=(170, 183),
        until=State.SIGNED, height_z=0.3,
    ),
    Child(ST_ANNA, "SA-1005", "Papadopoulos-Andersson", "Maximilian Konstantin", "M", 14.8, -9, [14.7], "Late puberty"),
    Child(
        ST_ANNA, "SA-1006", "النجار", "ليلى", "F", 11.9, 6, [11.8], "Before growth hormone treatment",
        until=State.RELEASED, height_z=-1.4,
    ),
    Child(ST_ANNA, "SA-1007", "Larsen", "Freja", "F", 4.6, -7, [4.5], "Short stature"),
    Child(ST_ANNA, "SA-1008", "Moreau", "Louis", "M", 6.3, 0, [6.2], "Short stature", mishap="not a hand"),
    Child(ST_ANNA, "SA-1009", "Tanaka", "Haru", "M", 9.4, 0, [9.3], "Tall stature", mishap="file lost"),
    Child(ST_ANNA, "SA-1010", "Silva", "Beatriz", "F", 13.1, 3, [12.9, 13.0], "Scoliosis", mishap="cancelled"),
    Child(NORTH_BAY, "NB-2001", "Haugen", "Sofie", "F", 10.2, -14, [8.9, 10.1], "Coeliac disease, slow growth"),
    Child(
        NORTH_BAY, "NB-2002", "Murphy", "Cillian", "M", 16.1, 5, [16.0], "Remaining growth before surgery", urgent=True
    ),
    Child(
        NORTH_BAY, "NB-2003", "Novotná", "Ema", "F", 2.4, -2, [1.4, 2.3], "Short stature", height_z=-1.6,
        gestation="29+3",
    ),
]  # fmt: skip


def relax():
    """The demo's people sign in with a password alone and may take their time, unless its settings say otherwise."""
    os.environ.setdefault("REQUIRE_MFA", "off")
    os.environ.setdefault("SESSION_IDLE_MINUTES", "30")


def password():
    """The demo's password: made once for an installation and kept readable by its owner alone."""
    path = settings.VAR_DIR / "demo-password"
    if not path.exists():
        path.touch(mode=0o600)
        path.write_text(f"demo-{secrets.token_urlsafe(9)}\n")
    return path.read_text().strip()


@transaction.atomic
def create_people():
    """The hospitals, the accounts and the patients with their family."""
    hospitals = {name: Hospital.objects.get_or_create(name=name)[0] for name in (ST_ANNA, NORTH_BAY)}
    for email, name, roles in PEOPLE:
        user = User.objects.filter(email=email).first()
        if user is None:
            platform = email.startswith("platform@")
            user = User.objects.create_user(email, password(), name=name, is_staff=platform, is_superuser=platform)
        for hospital, role in roles.items():
            Membership.objects.get_or_create(user=user, hospital=hospitals[hospital], defaults={"role": role})
    family = User.objects.get(email="family@demo.example")
    for child in CHILDREN:
        hospital = hospitals[child.hospital]
        mother, father = child.heights
        with scope(hospital=hospital):
            patient, _ = Patient.objects.get_or_create(
                hospital=hospital,
                mrn=child.mrn,
                defaults={
                    "family_name": child.family_name,
                    "given_name": child.given_name,
                    "sex": child.sex,
                    "date_of_birth": date.today() - timedelta(days=round(child.age * 365.25)),
                    "gestational_age": child.gestation,
                    "mother_height_cm": mother,
                    "father_height_cm": father,
                },
            )
        if child.relation:
            Guardianship.objects.get_or_create(
                user=family, patient=patient, defaults={"hospital": hospital, "relation": Relation(child.relation)}
            )


def submit_studies():
    """Draw and submit what is not there yet, as the doctor would; yields (done, total) after each study."""
    total = sum(len(child.ages) for child in CHILDREN)
    for done, (number, child, age, patient, doctor) in enumerate(_visits(), 1):
        _submit(patient, doctor, child, number, age, child.mishap if age == child.ages[-1] else "")
        yield done, total


def read_studies():
    """The doctors read and sign what the model has read, as far as each child's story goes."""
    for _, child, age, patient, doctor in _visits():
        study = _study(child, age, patient)
        if study.state == State.ANALYSED and not study.reviews.exists() and child.goes(age, State.REVIEWED):
            plate, words = (child.plate, child.words) if age == child.ages[-1] else (None, "")
            bone_age = plate or study.analysis.bone_age_months
            workflow.review(
                study,
                doctor,
                seen=None,
                method=Method.ATLAS if plate else Method.AI,
                bone_age_months=bone_age,
                impression=words or study.impression(bone_age),
                confirmed=True,
            )
        if study.state == State.REVIEWED and not study.reports.exists() and child.goes(age, State.SIGNED):
            workflow.sign(study, doctor, seen=study.review_id)


def release_studies():
    """Release what is signed and has its report; returns how many reports are still being made."""
    making = 0
    for _, child, age, patient, doctor in _visits():
        study = _study(child, age, patient)
        if study.state == State.SIGNED and child.goes(age, State.RELEASED):
            report = study.reports.get(superseded_at=None)
            if report.state == "ready":
                workflow.release(study, doctor)
            making += report.state == "making"
    return making


def _visits():
    """Every study of the story, in its hospital's scope: number of the child, child, age, patient, doctor."""
    for number, child in enumerate(CHILDREN):
        hospital = Hospital.objects.get(name=child.hospital)
        doctor = User.objects.get(email=DOCTORS[child.hospital])
        with scope(hospital=hospital):
            patient = Patient.objects.get(mrn=child.mrn)
            for age in child.ages:
                yield number, child, age, patient, doctor


def _submission(child, age):
    return uuid.uuid5(uuid.NAMESPACE_URL, f"demo/{child.mrn}/{age}")


def _study(child, age, patient):
    return Study.objects.select_related("hospital", "patient", "analysis").get(
        patient=patient, submission=_submission(child, age)
    )


def _submit(patient, doctor, child, number, age, mishap):
    submission = _submission(child, age)
    if Study.objects.filter(patient=patient, submission=submission).exists():
        return
    acquired_on = patient.date_of_birth + timedelta(days=round(age * 365.25))
    if child.height_z is not None:
        height = measure_at("height", child.height_z, patient.age_on(acquired_on), child.sex)
        Measurement.objects.get_or_create(
            hospital=patient.hospital,
            patient=patient,
            measured_on=acquired_on,
            defaults={"height_cm": round(height, 1), "source": "clinic", "entered_by": doctor},
        )
    seed = 100 * (number + 1) + round(age * 4)
    if mishap == "not a hand":
        pixels = _empty_exposure(seed)
    else:
        bone_age = age_in_months(patient.date_of_birth, acquired_on) + child.shift
        pixels = draw_phantom(bone_age, child.sex, seed, subject=number)
    _, encoded = cv2.imencode(".png", pixels)
    radiograph, _ = intake.store(patient.hospital, encoded.tobytes())
    with transaction.atomic():  # the worker hears of the study after the mishap
        study = workflow.submit(
            patient=patient,
            radiograph=radiograph,
            acquired_on=acquired_on,
            indication=child.indication,
            urgent=child.urgent,
            notices=[],
            submission=submission,
            actor=doctor,
        )
        if mishap == "cancelled":
            workflow.cancel(study, doctor, "A newer film is on its way.")
        if mishap == "file lost":
            storages["private"].delete(radiograph.name)


def _empty_exposure(seed):
    """An exposure without a hand: the detector's noise and the heel effect."""
    noise = np.random.default_rng(seed).normal(0, 6, (1000, 800))
    return np.clip(np.linspace(30, 60, 800) + noise, 0, 255).astype(np.uint8)


def pending():
    """How many of the hospitals' studies still wait for a result."""
    count = 0
    for hospital in Hospital.objects.filter(name__in=(ST_ANNA, NORTH_BAY)):
        with scope(hospital=hospital):
            count += Study.objects.filter(state__in=("queued", "analysing")).count()
    return count
