"""Many at once on PostgreSQL, where statements really run side by side."""

import pytest
from django.db import connection, transaction
from django_scopes import scopes_disabled

from clinical.audit import chain
from clinical.audit.models import AccessEvent
from clinical.audit.record import Verb, record
from tests.crowd import CROWD, at_once
from tests.factories import PatientFactory

pytestmark = [pytest.mark.servers, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def patient(transactional_db):
    return PatientFactory()


def test_many_sealers_and_writers_at_once_leave_one_whole_chain(patient):
    def write_and_seal(number):
        for _ in range(5):
            record(Verb.VIEW, patient, detail=str(number))
            chain.seal(patient.hospital_id)

    assert at_once(write_and_seal) == [None] * CROWD
    with scopes_disabled():
        assert chain.verify(patient.hospital_id).events == 5 * CROWD
        assert sorted(AccessEvent.objects.values_list("sequence", flat=True)) == list(range(1, 5 * CROWD + 1))


def test_a_request_that_takes_long_keeps_no_sealer_waiting_and_is_sealed_afterwards(patient):
    def seal_with_a_limit(number):
        with connection.cursor() as cursor:
            cursor.execute("SET lock_timeout = '5s'")
        return chain.seal(patient.hospital_id)

    with scopes_disabled():
        with transaction.atomic():
            early = record(Verb.EDIT, patient)
            sealed = at_once(lambda number: (record(Verb.VIEW, patient), seal_with_a_limit(number))[1])
            assert sum(sealed) == CROWD
        assert chain.seal(patient.hospital_id) == 1
        early.refresh_from_db()
        assert early.sequence == CROWD + 1
        assert chain.verify(patient.hospital_id).events == CROWD + 1
