"""Many at once on PostgreSQL, where statements really run side by side."""

import uuid
from threading import Barrier

import pytest
from pydicom.uid import generate_uid

from clinical.accounts.scope import every_hospital
from clinical.dicom import arrivals, queries
from clinical.dicom.models import Arrival
from clinical.studies import intake
from clinical.studies.models import Study
from tests import radiograph_files
from tests.conftest import Visitor
from tests.crowd import CROWD, at_once
from tests.factories import ArrivalFactory, PatientFactory

pytestmark = [pytest.mark.servers, pytest.mark.django_db(transaction=True)]


@pytest.mark.parametrize("known", [True, False], ids=["filed", "waiting"])
def test_of_many_files_of_one_film_one_is_filed_or_waits_for_its_patient(room, hospital, known):
    uid = generate_uid()
    files = [
        radiograph_files.dicom(SOPInstanceUID=uid, PatientID="A-1", InstitutionName=f"Forwarded {number}")
        for number in range(CROWD)
    ]
    if known:
        PatientFactory(hospital=hospital, mrn="A-1")
    came = at_once(lambda number: arrivals.take(room, files[number], uid))
    studies = [each for each in came if isinstance(each, Study)]
    reasons = sorted(each.reason for each in came if isinstance(each, Arrival))
    assert len(studies) == known
    if known:
        assert {*reasons} == {"This film is filed already, from a file with another header or compression."}
    else:
        assert reasons[0] == "No patient with the MRN A-1."
        assert {*reasons[1:]} == {"This film waits already, from a file with another header or compression."}
    with every_hospital():
        assert Study.objects.count() == len(studies)
        assert queries.waiting().count() == CROWD - known


def test_of_many_who_file_a_film_from_its_files_at_once_all_but_one_are_asked(
    room, hospital, patient, as_user, tess, monkeypatch
):
    reread, all_decoded = intake.reread, Barrier(CROWD)
    monkeypatch.setattr(intake, "reread", lambda radiograph: (reread(radiograph), all_decoded.wait())[0])
    submission = uuid.uuid4()
    session = as_user(tess).cookies
    clients = [Visitor() for _ in range(CROWD)]
    films = []
    for number, client in enumerate(clients):
        client.cookies = session
        with every_hospital():
            radiograph, _ = intake.store(hospital, radiograph_files.dicom(InstitutionName=f"Forwarded {number}"))
            films.append(ArrivalFactory(sender=room, radiograph=radiograph, submission=submission))
    came = at_once(lambda number: clients[number].post(f"/arrivals/{films[number].pk}/", {"mrn": patient.mrn}))
    assert sorted(response.status_code for response in came) == [302] + [422] * (CROWD - 1)
    assert sum("meant to be filed again" in response.content.decode() for response in came) == CROWD - 1
    with every_hospital():
        assert Study.objects.count() == 1
