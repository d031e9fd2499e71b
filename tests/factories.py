"""Rows for tests, and the people in them: Alice works at the hospital, Bob at another, Charlie nowhere."""

import secrets
import uuid
from datetime import date

import factory
from django.core.files.base import ContentFile
from django.core.files.storage import storages
from django.utils import timezone

from clinical.accounts.models import Hospital, Invitation, Membership, Role, User
from clinical.dicom.models import Archive, Arrival, Sender
from clinical.notices.models import Notification
from clinical.patients.models import (
    Erasure,
    FamilyInvitation,
    FormerMeasurement,
    Guardianship,
    Measurement,
    Patient,
    PatientExport,
)
from clinical.studies.models import OcclusionMap, Radiograph, Review, Study
from inference.models import Analysis
from reports.models import Dispatch, Report

PASSWORD = "correct horse battery staple"


class HospitalFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = Hospital

    name = factory.Sequence(lambda n: f"Hospital {n}")


class UserFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = User

    name = factory.Sequence(lambda n: f"Person {n}")
    email = factory.Sequence(lambda n: f"person{n}@example.org")
    password = PASSWORD

    @classmethod
    def _create(cls, model, **fields):
        return model.objects.create_user(**fields)


class MembershipFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = Membership

    user = factory.SubFactory(UserFactory)
    hospital = factory.SubFactory(HospitalFactory)
    role = Role.DOCTOR


class InvitationFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = Invitation

    hospital = factory.SubFactory(HospitalFactory)
    email = factory.Sequence(lambda n: f"invited{n}@example.org")
    role = Role.TECHNICIAN


class PatientFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = Patient

    hospital = factory.SubFactory(HospitalFactory)
    mrn = factory.Sequence(lambda n: f"MRN-{n:05}")
    family_name = factory.Sequence(lambda n: f"Family{n}")
    given_name = "Kim"
    sex = "F"
    date_of_birth = date(2014, 3, 9)


class GuardianshipFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = Guardianship

    patient = factory.SubFactory(PatientFactory)
    hospital = factory.SelfAttribute("patient.hospital")
    user = factory.SubFactory(UserFactory)
    relation = "mother"


class FamilyInvitationFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = FamilyInvitation

    patient = factory.SubFactory(PatientFactory)
    hospital = factory.SelfAttribute("patient.hospital")
    email = factory.Sequence(lambda n: f"parent{n}@example.org")
    relation = "mother"


class NotificationFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = Notification

    user = factory.SubFactory(UserFactory)
    hospital = factory.SubFactory(HospitalFactory)
    kind = "report ready"
    message = "A report is ready."
    url = factory.Sequence(lambda n: f"/family/{n}/")


class MeasurementFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = Measurement

    patient = factory.SubFactory(PatientFactory)
    hospital = factory.SelfAttribute("patient.hospital")
    measured_on = date(2024, 5, 1)
    height_cm = 137.5
    weight_kg = 31.2
    entered_by = factory.SubFactory(UserFactory)


class FormerMeasurementFactory(MeasurementFactory):
    class Meta:
        model = FormerMeasurement

    measurement_key = factory.Faker("uuid4")
    replaced_by = factory.SubFactory(UserFactory)


class PatientExportFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = PatientExport

    patient = factory.SubFactory(PatientFactory)
    hospital = factory.SelfAttribute("patient.hospital")
    requested_by = factory.SubFactory(UserFactory)


class ErasureFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = Erasure

    patient = factory.SubFactory(PatientFactory)
    patient_key = factory.SelfAttribute("patient.pk")
    hospital = factory.SelfAttribute("patient.hospital")
    mode = "anonymise"
    reason = "The family asked for it."
    requested_by = factory.SubFactory(UserFactory)
    due_at = factory.LazyFunction(timezone.now)


class RadiographFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = Radiograph
        skip_postgeneration_save = True

    hospital = factory.SubFactory(HospitalFactory)
    sha256 = factory.LazyFunction(lambda: secrets.token_hex(32))
    name = factory.LazyAttribute(lambda row: f"radiographs/{row.hospital.pk}/{row.sha256}")
    format = "png"
    width = 400
    height = 500
    size_bytes = 1000

    @factory.post_generation
    def file(row, create, content):
        """Put `content`, if given, into the private storage under the row's name."""
        if content is not None:
            storages["private"].save(row.name, ContentFile(content))


class AnalysisFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = Analysis

    hospital = factory.SubFactory(HospitalFactory)
    radiograph = "radiographs/none"
    sex = "F"


class StudyFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = Study

    patient = factory.SubFactory(PatientFactory)
    hospital = factory.SelfAttribute("patient.hospital")
    radiograph = factory.SubFactory(RadiographFactory, hospital=factory.SelfAttribute("..hospital"))
    analysis = factory.SubFactory(
        AnalysisFactory,
        hospital=factory.SelfAttribute("..hospital"),
        radiograph=factory.SelfAttribute("..radiograph.name"),
        sex=factory.SelfAttribute("..sex"),
        state=factory.SelfAttribute("..state"),
    )
    state = "queued"
    sex = factory.SelfAttribute("patient.sex")
    acquired_on = date(2024, 5, 1)
    submitted_by = factory.SubFactory(UserFactory)


class SenderFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = Sender

    name = factory.Sequence(lambda n: f"X-ray room {n}")
    membership = factory.SubFactory(MembershipFactory, role=Role.TECHNICIAN)
    hospital = factory.SelfAttribute("membership.hospital")
    ae_title = factory.Sequence(lambda n: f"ROOM_{n}")
    address = "127.0.0.1"


class ArrivalFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = Arrival

    sender = factory.SubFactory(SenderFactory)
    hospital = factory.SelfAttribute("sender.hospital")
    radiograph = factory.SubFactory(RadiographFactory, hospital=factory.SelfAttribute("..hospital"))
    submission = factory.LazyFunction(uuid.uuid4)
    mrn = factory.Sequence(lambda n: f"SENT-{n}")
    family_name = "Sent"
    given_name = "Sam"
    sex = "M"
    date_of_birth = date(2014, 2, 3)
    acquired_on = date(2024, 5, 1)
    doubts = "No patient with this MRN."


class OcclusionMapFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = OcclusionMap

    hospital = factory.SelfAttribute("analysis.hospital")
    asked_by = factory.SubFactory(UserFactory)
    months = 9.0


class ReviewFactory(factory.django.DjangoModelFactory):
    """A doctor's reading, which from then on is the study's."""

    class Meta:
        model = Review
        skip_postgeneration_save = True

    study = factory.SubFactory(StudyFactory)
    hospital = factory.SelfAttribute("study.hospital")
    analysis = factory.SelfAttribute("study.analysis")
    doctor = factory.SubFactory(UserFactory)
    method = "own"
    bone_age_months = 120.0
    age_months = factory.LazyAttribute(lambda row: row.study.chronological_age_months)
    gestational_age = factory.SelfAttribute("study.patient.gestational_age")
    sex = factory.SelfAttribute("study.sex")
    reference = factory.SelfAttribute("hospital.bone_age_reference")
    impression = "Bone age is normal."

    @factory.post_generation
    def counts(row, create, extracted):
        row.study.review = row
        row.study.save()


class ReportFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = Report

    study = factory.SubFactory(StudyFactory)
    hospital = factory.SelfAttribute("study.hospital")
    review = factory.SubFactory(ReviewFactory, study=factory.SelfAttribute("..study"))
    number = factory.Sequence(lambda n: f"R-2024-{n:06}")
    version = 1
    signed_by = factory.SelfAttribute("review.doctor")
    acquired_on = factory.SelfAttribute("study.acquired_on")
    indication = factory.SelfAttribute("study.indication")
    date_of_birth = factory.SelfAttribute("study.patient.date_of_birth")
    gestational_age = factory.SelfAttribute("study.patient.gestational_age")


class ArchiveFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = Archive

    hospital = factory.SubFactory(HospitalFactory)
    name = factory.Sequence(lambda n: f"PACS {n}")
    ae_title = "PACS"
    host = "127.0.0.1"
    port = 1


class DispatchFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = Dispatch

    report = factory.SubFactory(ReportFactory)
    hospital = factory.SelfAttribute("report.hospital")
    archive = factory.SubFactory(ArchiveFactory, hospital=factory.SelfAttribute("..hospital"))
