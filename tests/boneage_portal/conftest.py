"""What belongs to the hospital, one of each, for whatever goes through all routes."""

from datetime import timedelta

import pytest
from allauth.usersessions.models import UserSession
from django.core.files.base import ContentFile
from django.core.files.storage import storages
from django.utils import timezone

from clinical.accounts import access_tokens
from tests import radiograph_files
from tests.factories import (
    ArrivalFactory,
    DispatchFactory,
    ErasureFactory,
    FamilyInvitationFactory,
    FormerMeasurementFactory,
    GuardianshipFactory,
    InvitationFactory,
    MeasurementFactory,
    MembershipFactory,
    NotificationFactory,
    OcclusionMapFactory,
    PatientExportFactory,
    ReportFactory,
    ReviewFactory,
    SenderFactory,
    StudyFactory,
    UserFactory,
)


@pytest.fixture
def olga(other_hospital):
    """The other hospital's administrator."""
    user = UserFactory(name="Olga", email="olga@example.org")
    MembershipFactory(user=user, hospital=other_hospital, role="hospital_admin")
    return user


@pytest.fixture
def study(patient):
    picture = radiograph_files.png()
    study = StudyFactory(patient=patient, radiograph__file=picture, analysis__heat_map="heat-maps/of-a-test.png")
    storages["private"].save(study.analysis.heat_map, ContentFile(picture))
    OcclusionMapFactory(analysis=study.analysis, asked_by=study.submitted_by, file=study.analysis.heat_map)
    yield study
    storages["private"].delete(study.radiograph.name)
    storages["private"].delete(study.analysis.heat_map)


@pytest.fixture
def report(study, alice):
    """A released report of the study."""
    review = ReviewFactory(study=study, doctor=alice)
    pdf = storages["private"].save("reports/of-a-test.pdf", ContentFile(b"%PDF-"))
    return ReportFactory(study=study, review=review, state="ready", pdf=pdf, released_at=timezone.now())


@pytest.fixture
def sender(tess):
    return SenderFactory(membership=tess.memberships.get())


@pytest.fixture
def arrival(sender):
    """A film that nobody is known for."""
    arrival = ArrivalFactory(sender=sender, radiograph__file=radiograph_files.png())
    yield arrival
    storages["private"].delete(arrival.radiograph.name)


@pytest.fixture
def discarded_arrival(arrival):
    arrival.discarded_at = timezone.now()
    arrival.save()
    return arrival


@pytest.fixture
def dispatch(report):
    """The report on its way into an archive."""
    return DispatchFactory(report=report)


@pytest.fixture
def measurement(patient):
    return MeasurementFactory(patient=patient)


@pytest.fixture
def removed_measurement(patient):
    return FormerMeasurementFactory(patient=patient, removed=True)


@pytest.fixture
def export(patient):
    """A copy of the patient's record that can be downloaded."""
    name = storages["private"].save("exports/of-a-test.zip", ContentFile(b"PK"))
    expires_at = timezone.now() + timedelta(hours=1)
    return PatientExportFactory(patient=patient, state="ready", file=name, expires_at=expires_at)


@pytest.fixture
def erasure(patient):
    return ErasureFactory(patient=patient)


@pytest.fixture
def membership(tess):
    return tess.memberships.get()


@pytest.fixture
def invitation(hospital):
    return InvitationFactory(hospital=hospital)


@pytest.fixture
def token(invitation):
    return invitation


@pytest.fixture
def access_token(tess):
    """Of the technician."""
    token, _ = access_tokens.make(tess.memberships.get(), "PACS gateway", "write", 30)
    return token


@pytest.fixture
def guardianship(patient):
    return GuardianshipFactory(patient=patient)


@pytest.fixture
def family_invitation(patient):
    return FamilyInvitationFactory(patient=patient)


@pytest.fixture
def family_token(family_invitation):
    return family_invitation


@pytest.fixture
def session(mother):
    """Where the mother is signed in, too."""
    return UserSession.objects.create(user=mother, session_key="elsewhere", ip="192.0.2.1", user_agent="")


@pytest.fixture
def notification(mother, hospital):
    return NotificationFactory(user=mother, hospital=hospital)


@pytest.fixture
def sent(request, as_user):
    """Send a request as one of PEOPLE; returns the response, a file read to its end."""

    def send(person, method, path, **headers):
        user = None if person == "anonymous" else request.getfixturevalue(person)
        response = getattr(as_user(user), method)(path, headers=headers)
        if response.streaming:  # the client closes it then; closing it here would close PostgreSQL's connection
            response.getvalue()
        return response

    return send
