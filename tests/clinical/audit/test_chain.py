"""Access events are changed, removed, put in and moved behind the portal's back, by SQL, and are found."""

import io
from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection, transaction
from django.db.models import QuerySet
from django.utils import timezone

from clinical.audit import chain, immutable, tasks
from clinical.audit.models import PLATFORM, AccessEvent, Chain, ChangedValues, Unchangeable
from clinical.audit.record import Verb, record
from tests.factories import PatientFactory

pytestmark = pytest.mark.usefixtures("unscoped")
EVENTS = 6


@pytest.fixture
def key(patient, alice):
    """The chain of a hospital with some events."""
    for number in range(EVENTS):
        record(Verb.VIEW, patient, actor=alice, detail=f"{number}")
    chain.seal(patient.hospital_id)
    return patient.hospital_id


@pytest.fixture
def sql(db):
    """SQL of somebody who switches the database's own protection off."""

    def execute(statement, arguments=None):
        with connection.cursor() as cursor:
            for each in immutable.dropped(connection.vendor):
                cursor.execute(each)
            cursor.execute(statement, arguments)

    return execute


def at(place):
    return AccessEvent.objects.get(sequence=place)


def broken(key, **anchors):
    with pytest.raises(chain.BrokenChain) as error:
        chain.verify(key, **anchors)
    return error.value


def test_an_event_waits_until_it_is_sealed(patient, alice):
    record(Verb.VIEW, patient, actor=alice)
    assert chain.verify(patient.hospital_id).waiting == 1
    assert chain.seal(patient.hospital_id) == 1
    assert chain.seal(patient.hospital_id) == 0
    checked = chain.verify(patient.hospital_id)
    assert (checked.events, checked.waiting, checked.sha256) == (1, 0, at(1).sha256)


def test_every_event_names_the_hash_of_the_one_before(key):
    events = list(AccessEvent.objects.order_by("sequence"))
    assert [event.sequence for event in events] == list(range(1, EVENTS + 1))
    assert [event.previous for event in events] == ["", *(event.sha256 for event in events[:-1])]
    assert len({event.sha256 for event in events}) == EVENTS


def test_a_chain_goes_on_in_small_batches(patient, alice, monkeypatch):
    monkeypatch.setattr(chain, "BATCH", 2)
    for _ in range(5):
        record(Verb.VIEW, patient, actor=alice)
    assert chain.seal(patient.hospital_id) == 5
    record(Verb.VIEW, patient, actor=alice)
    assert chain.seal(patient.hospital_id) == 1
    assert chain.verify(patient.hospital_id).events == 6


def test_each_hospital_and_the_platform_have_a_chain_of_their_own(key, other_hospital, alice):
    record(Verb.VIEW, PatientFactory(hospital=other_hospital))
    record(Verb.EDIT, alice)
    tasks.seal_due()
    assert chain.hospital_keys() == sorted([PLATFORM, key, other_hospital.pk])
    assert [chain.verify(each).events for each in (PLATFORM, key, other_hospital.pk)] == [1, EVENTS, 1]


def test_events_from_before_there_was_a_chain_are_taken_into_it(patient, alice):
    QuerySet(AccessEvent).bulk_create(
        AccessEvent(
            hospital=patient.hospital, actor_name="Alice", verb="view", object_type="patient", object_key=str(number)
        )
        for number in range(3)
    )
    tasks.seal_due()
    assert chain.verify(patient.hospital_id).events == 3


@pytest.mark.parametrize(
    "change",
    [
        "actor_name = 'Bob'",
        "verb = 'edit'",
        "patient_key = ''",
        "address = '192.0.2.1'",
        "actor_id = NULL",
        "at = '2020-01-01 00:00:00+00:00'",
        "sha256 = 'f'",
        "previous = 'f'",
    ],
)
def test_a_changed_event_is_found(key, sql, change):
    sql(f"UPDATE audit_accessevent SET {change} WHERE sequence = 3")
    assert broken(key).sequence == 3


def test_an_event_that_was_changed_along_with_its_hash_is_found_at_the_next(key, sql):
    sql("UPDATE audit_accessevent SET actor_name = 'Bob' WHERE sequence = 3")
    event = at(3)
    sql("UPDATE audit_accessevent SET sha256 = %s WHERE sequence = 3", [chain.digest(event, 3, event.previous)])
    assert broken(key).sequence == 4


def test_a_chain_that_was_written_anew_to_its_end_is_found(key, sql):
    sql("UPDATE audit_accessevent SET actor_name = 'Bob' WHERE sequence = 3")
    previous = at(2).sha256
    for place in range(3, EVENTS + 1):
        sha256 = chain.digest(at(place), place, previous)
        sql("UPDATE audit_accessevent SET previous = %s, sha256 = %s WHERE sequence = %s", [previous, sha256, place])
        previous = sha256
    assert "signed as the last" in str(broken(key))
    sql("UPDATE audit_chain SET sha256 = %s", [previous])
    assert "not signed by this portal" in str(broken(key))


@pytest.mark.parametrize("place", [1, 3, EVENTS])
def test_a_removed_event_is_found(key, sql, place):
    sql("DELETE FROM audit_accessevent WHERE sequence = %s", [place])
    assert broken(key).sequence == place


def test_a_gap_that_was_closed_is_found(key, sql):
    sql("DELETE FROM audit_accessevent WHERE sequence = 3")
    for place in range(4, EVENTS + 1):
        sql("UPDATE audit_accessevent SET sequence = %s WHERE sequence = %s", [place - 1, place])
    assert broken(key).sequence == 3


def test_two_events_that_changed_places_are_found(key, sql):
    for before, after in ((3, 99), (4, 3), (99, 4)):
        sql("UPDATE audit_accessevent SET sequence = %s WHERE sequence = %s", [after, before])
    assert broken(key).sequence == 3


def test_an_event_that_was_put_in_is_found(key, sql):
    for place in range(EVENTS, 2, -1):
        sql("UPDATE audit_accessevent SET sequence = %s WHERE sequence = %s", [place + 1, place])
    forged = AccessEvent(hospital_id=key, actor_name="Bob", verb="view", object_type="patient", object_key="1")
    forged.sequence, forged.previous = 3, at(2).sha256
    QuerySet(AccessEvent).bulk_create([forged])
    assert broken(key).sequence == 3


def test_an_event_of_the_past_that_waits_to_be_sealed_with_the_others_is_found(key, sql):
    forged = AccessEvent(hospital_id=key, actor_name="Bob", verb="view", object_type="patient", object_key="1")
    QuerySet(AccessEvent).bulk_create([forged])
    sql("UPDATE audit_accessevent SET at = %s WHERE id = %s", [timezone.now() - timedelta(days=3), forged.pk])
    chain.seal(key)
    assert broken(key).sequence == EVENTS + 1


def test_an_end_that_was_cut_off_is_found(key, sql):
    sql("DELETE FROM audit_accessevent WHERE sequence > 3")
    assert "cut off" in str(broken(key))


def test_an_end_that_was_cut_off_and_forged_is_found_and_never_signed(key, sql, caplog):
    sql("DELETE FROM audit_accessevent WHERE sequence > 3")
    sql("UPDATE audit_chain SET length = 3, sha256 = %s", [at(3).sha256])
    record(Verb.VIEW, PatientFactory(hospital_id=key))
    tasks.seal_due()
    assert "not sealed any further" in caplog.text
    assert "not signed by this portal" in str(broken(key))


@pytest.mark.parametrize("waits", [True, False])
def test_the_end_itself_cannot_go(key, sql, waits):
    sql("DELETE FROM audit_chain")
    if waits:
        record(Verb.VIEW, PatientFactory(hospital_id=key))
        with pytest.raises(chain.BrokenChain):
            chain.seal(key)
    assert "end of the chain is gone" in str(broken(key))


def test_an_event_beyond_the_end_is_found_and_nothing_is_sealed_upon_it(key, sql, caplog):
    forged = AccessEvent(hospital_id=key, actor_name="Bob", verb="view", object_type="patient", object_key="1")
    forged.sequence = EVENTS + 1
    QuerySet(AccessEvent).bulk_create([forged])
    assert broken(key).sequence == EVENTS + 1
    record(Verb.VIEW, PatientFactory(hospital_id=key))
    tasks.seal_due()
    assert "not sealed any further" in caplog.text


def test_what_was_all_put_back_to_yesterday_is_found_by_an_anchor(key, sql):
    yesterday = Chain.objects.values().get()
    record(Verb.VIEW, PatientFactory(hospital_id=key))
    chain.seal(key)
    anchor = (EVENTS + 1, at(EVENTS + 1).sha256)
    assert chain.verify(key, [anchor]).events == EVENTS + 1
    sql("DELETE FROM audit_accessevent WHERE sequence > %s", [EVENTS])
    Chain.objects.update(**yesterday)
    assert chain.verify(key).events == EVENTS
    assert broken(key, anchors=[anchor]).sequence == EVENTS + 1
    assert "anchor" in str(broken(key, anchors=[(2, "0" * 64)]))
    assert "no such chain" in str(broken(key + 1, anchors=[anchor]))


def test_a_new_secret_key_leaves_the_chain_whole_while_the_old_one_is_known(key, settings):
    settings.SECRET_KEY_FALLBACKS, settings.SECRET_KEY = [settings.SECRET_KEY], "x" * 50
    assert chain.verify(key).events == EVENTS
    settings.SECRET_KEY_FALLBACKS = []
    broken(key)


@pytest.mark.parametrize("statement", ["UPDATE audit_accessevent SET verb = 'edit'", "DELETE FROM audit_accessevent"])
@pytest.mark.parametrize("sealed", [True, False])
def test_the_database_itself_refuses_to_change_or_remove_an_event(patient, alice, statement, sealed):
    record(Verb.VIEW, patient, actor=alice)
    if sealed:
        chain.seal(patient.hospital_id)
    with pytest.raises(DatabaseError, match="written once"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)


def test_so_does_the_portal(key):
    event = at(1)
    for change in (
        event.save,
        event.delete,
        AccessEvent.objects.all().delete,
        lambda: AccessEvent.objects.update(verb="edit"),
    ):
        with pytest.raises(Unchangeable):
            change()


def values_of(patient):
    patient.notes = "Before"
    patient.save()
    patient.notes = "After"
    patient.save()
    tasks.seal_due()
    return AccessEvent.objects.filter(verb="edit").latest("sequence")


def test_changed_values_are_bound_to_the_chain(patient, sql):
    event = values_of(patient)
    assert event.changed_values.values == {"notes": ["Before", "After"]}
    assert "After" not in str(AccessEvent.objects.values())
    chain.verify(patient.hospital_id)
    ChangedValues.objects.filter(pk=event.pk).update(values={"notes": ["Before", "Something else"]})
    assert broken(patient.hospital_id).sequence == event.sequence


def test_changed_values_go_with_an_erased_patient_alone(patient):
    event = values_of(patient)
    ChangedValues.objects.all().delete()
    assert "are gone" in str(broken(patient.hospital_id))
    record(Verb.ANONYMISE, patient)
    assert chain.verify(patient.hospital_id).events == event.sequence


@pytest.fixture
def old_and_new(patient, alice, sql):
    """Three events of long ago and three of today, one chain."""
    for number in range(6):
        record(Verb.VIEW, patient, actor=alice)
        if number == 2:
            sql("UPDATE audit_accessevent SET at = %s", [timezone.now() - timedelta(days=400)])
    immutable.protect(None, "default")
    chain.seal(patient.hospital_id)
    return patient.hospital_id


def test_old_events_go_where_the_setting_says_so_and_the_chain_holds(old_and_new, settings):
    tasks.remove_old()
    assert AccessEvent.objects.count() == 6  # kept for ever unless the setting says otherwise
    settings.AUDIT_RETENTION_DAYS = 365
    tasks.remove_old()
    tasks.seal_due()
    assert sorted(AccessEvent.objects.values_list("sequence", flat=True)) == [4, 5, 6, 7]
    assert (at(7).verb, at(7).detail) == ("remove old events", "3 events")
    assert chain.verify(old_and_new).events == 4
    tasks.remove_old()
    assert chain.verify(old_and_new).events == 4


def test_what_follows_old_events_is_still_bound_to_them(old_and_new, settings, sql):
    settings.AUDIT_RETENTION_DAYS = 365
    tasks.remove_old()
    sql("DELETE FROM audit_accessevent WHERE sequence = 4")
    assert broken(old_and_new).sequence == 4
    Chain.objects.update(removed=4)
    assert "not signed" in str(broken(old_and_new))


def test_broken_chains_keep_their_old_events(old_and_new, settings, sql, caplog):
    sql("UPDATE audit_accessevent SET actor_name = 'Bob' WHERE sequence = 2")
    settings.AUDIT_RETENTION_DAYS = 365
    tasks.remove_old()
    assert AccessEvent.objects.count() == 6
    assert "Nothing is removed" in caplog.text


def verify_audit(*arguments):
    out, err = io.StringIO(), io.StringIO()
    try:
        call_command("verify_audit", *arguments, stdout=out, stderr=err)
    except CommandError as error:
        return error.returncode, out.getvalue(), err.getvalue()
    return 0, out.getvalue(), err.getvalue()


def test_the_command_says_that_all_is_well_and_gives_anchors(key):
    code, out, _ = verify_audit()
    assert code == 0
    assert f"{EVENTS} events, 0 not sealed yet, {key}:{EVENTS}:{at(EVENTS).sha256}" in out
    assert verify_audit("--anchor", f"{key}:{EVENTS}:{at(EVENTS).sha256}")[0] == 0
    assert verify_audit("--anchor", f"{key}:{EVENTS}:{'0' * 64}")[0] == 1
    assert verify_audit("--anchor", "nonsense")[0] == 1


def test_the_command_names_the_first_event_that_is_wrong_and_fails(key, sql):
    sql("UPDATE audit_accessevent SET verb = 'edit' WHERE sequence > 2")
    code, _, err = verify_audit()
    assert code == 1
    assert "Event 3 was changed" in err
