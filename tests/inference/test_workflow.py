from contextlib import suppress
from datetime import timedelta

import pytest
from django.utils import timezone

from clinical.accounts.scope import every_hospital
from clinical.audit.models import AccessEvent
from inference import workflow
from inference.models import Analysis, State
from tests.factories import AnalysisFactory

RESULT = {
    "bone_age_months": 120.5,
    "low_months": 108.0,
    "high_months": 133.0,
    "regions": {"carpal": {"x0": 0.2, "y0": 0.5, "x1": 0.8, "y1": 0.9}},
    "heat_map": "heat-maps/1.png",
    "milliseconds": 150.0,
}


def in_state(hospital, state, **fields):
    if state == State.ANALYSING:
        fields = {"attempt": 1, "lease_until": timezone.now() + timedelta(minutes=1), **fields}
    return AnalysisFactory(hospital=hospital, state=state, **fields)


@pytest.fixture(autouse=True)
def in_every_scope(hospital, other_hospital):
    with every_hospital():
        yield


@pytest.fixture
def delivered(monkeypatch):
    """The primary keys that were sent to the workers."""
    from inference.tasks import analyse

    sent = []
    monkeypatch.setattr(analyse, "apply_async", lambda kwargs: sent.append(kwargs["analysis_id"]))
    return sent


VERBS = {
    "start": (lambda a: workflow.start(a.pk, "worker-1"), workflow.WrongState),
    "finish": (lambda a: workflow.finish(a, **RESULT), workflow.LeaseLost),
    "reject": (lambda a: workflow.reject(a, "blank", "The picture is blank."), workflow.LeaseLost),
    "fail": (lambda a: workflow.fail(a, "internal", "It broke."), workflow.LeaseLost),
    "retry": (lambda analysis: workflow.retry(analysis, analysis.sex), workflow.WrongState),
    "cancel": (workflow.cancel, workflow.WrongState),
}
# The design's table: verb -> state it starts from -> state it leads to.
TABLE = {
    "start": {State.QUEUED: State.ANALYSING},
    "finish": {State.ANALYSING: State.ANALYSED},
    "reject": {State.ANALYSING: State.REJECTED},
    "fail": {State.ANALYSING: State.FAILED},
    "retry": {State.FAILED: State.FAILED, State.REJECTED: State.REJECTED},  # the old one is kept as it was
    "cancel": {State.QUEUED: State.CANCELLED},
}


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("verb", VERBS)
def test_each_verb_works_from_its_states_and_changes_nothing_from_any_other(hospital, verb, state):
    analysis = in_state(hospital, state)
    act, refusal = VERBS[verb]
    if state in TABLE[verb]:
        act(analysis)
        expected = TABLE[verb][state]
    else:
        with pytest.raises(refusal):
            act(analysis)
        expected = state
    assert Analysis.objects.get(pk=analysis.pk).state == expected


@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_done_twice_counts_once(hospital, verb):
    act, refusal = VERBS[verb]
    analysis = in_state(hospital, next(iter(TABLE[verb])))
    act(analysis)
    count = Analysis.objects.count()
    with pytest.raises(refusal):
        act(analysis)
    assert Analysis.objects.count() == count


def test_an_analysis_is_delivered_only_when_it_is_safe_in_the_database(
    hospital, delivered, django_capture_on_commit_callbacks
):
    with django_capture_on_commit_callbacks(execute=True):
        analysis = workflow.enqueue(hospital, "radiographs/1", "M")
        assert delivered == []
    assert delivered == [str(analysis.pk)]


def test_a_broker_that_is_down_does_not_fail_the_request(hospital, monkeypatch, django_capture_on_commit_callbacks):
    from inference.tasks import analyse

    def refuse(kwargs):
        raise ConnectionError

    monkeypatch.setattr(analyse, "apply_async", refuse)
    with django_capture_on_commit_callbacks(execute=True):
        analysis = workflow.enqueue(hospital, "radiographs/1", "M")
    assert Analysis.objects.get(pk=analysis.pk).state == State.QUEUED


def test_of_two_workers_that_claim_one_analysis_one_gets_it(hospital):
    analysis = in_state(hospital, State.QUEUED)
    claimed = workflow.start(analysis.pk, "worker-1")
    with pytest.raises(workflow.WrongState):
        workflow.start(analysis.pk, "worker-2")
    claimed.refresh_from_db()
    assert (claimed.worker, claimed.attempt) == ("worker-1", 1)


def test_finishing_keeps_the_result_and_ends_the_lease(hospital):
    analysis = workflow.start(in_state(hospital, State.QUEUED).pk, "worker-1")
    done = workflow.finish(analysis, **RESULT)
    assert {name: getattr(done, name) for name in RESULT} == RESULT
    assert done.lease_until is None
    assert done.seconds >= 0


def test_a_worker_that_lost_its_lease_cannot_write_over_its_successor(hospital):
    first = workflow.start(in_state(hospital, State.QUEUED).pk, "worker-1")
    Analysis.objects.filter(pk=first.pk).update(lease_until=timezone.now() - timedelta(seconds=1))
    workflow.requeue_due()
    second = workflow.start(first.pk, "worker-2")
    for act in (
        workflow.extend_lease,
        lambda a: workflow.finish(a, **RESULT),
        lambda a: workflow.fail(a, "internal", "It broke."),
    ):
        with pytest.raises(workflow.LeaseLost):
            act(first)
    assert workflow.finish(second, **RESULT).worker == "worker-2"


def test_the_sweep_leaves_a_living_worker_alone(hospital, delivered):
    analysis = in_state(hospital, State.ANALYSING)
    workflow.extend_lease(analysis)
    assert workflow.requeue_due() == 0
    assert Analysis.objects.get(pk=analysis.pk).state == State.ANALYSING


def test_the_sweep_queues_a_lost_analysis_of_any_hospital_again(
    hospital, other_hospital, delivered, django_capture_on_commit_callbacks
):
    past = timezone.now() - timedelta(seconds=1)
    lost = [in_state(home, State.ANALYSING, lease_until=past) for home in (hospital, other_hospital)]
    with django_capture_on_commit_callbacks(execute=True):
        assert workflow.requeue_due() == 2
    assert set(delivered) == {str(analysis.pk) for analysis in lost}
    assert set(Analysis.objects.values_list("state", flat=True)) == {State.QUEUED}


@pytest.fixture
def sweep(settings, django_capture_on_commit_callbacks):
    """A sweep so late that whatever waits has been silent for a lease. Returns how many it delivered."""
    settings.INFERENCE_LEASE_SECONDS = 0

    def late():
        with django_capture_on_commit_callbacks(execute=True):
            return workflow.requeue_due()

    return late


@pytest.fixture
def waiting(hospital, other_hospital, delivered, django_capture_on_commit_callbacks):
    """The primary keys of studies of two hospitals, in the order in which they were queued."""
    with django_capture_on_commit_callbacks(execute=True):
        queued = [workflow.enqueue(home, "radiographs/1", "M") for home in 4 * (hospital, other_hospital)]
    return [str(analysis.pk) for analysis in queued]


def take(messages):
    """A worker takes the next message and reads that study, unless it has been read."""
    with suppress(workflow.WrongState):
        workflow.finish(workflow.start(messages.pop(0), "worker-1"), **RESULT)


def test_what_an_emptied_broker_forgot_is_delivered_by_two_sweeps(waiting, delivered, sweep):
    delivered.clear()
    assert sweep() == 1
    take(delivered)
    assert sweep() == len(waiting) - 1
    assert delivered == waiting[:-1]
    while delivered:
        take(delivered)
    assert set(Analysis.objects.values_list("state", flat=True)) == {State.ANALYSED}
    assert sweep() == 0


def test_a_message_that_is_lost_among_others_is_sent_again_once_a_later_one_has_come(waiting, delivered, sweep):
    delivered.remove(waiting[1])
    take(delivered)
    assert sweep() == 1  # the last: nothing is known of the second yet
    take(delivered)
    sweep()
    assert delivered.count(waiting[1]) == 1


def test_a_long_queue_costs_one_message_a_sweep_while_workers_work_it_off(waiting, delivered, sweep):
    for _ in range(3):
        take(delivered)
        take(delivered)
        assert sweep() == 1
    assert delivered[:2] == waiting[-2:]


def test_a_queue_that_waited_for_workers_all_night_is_not_sent_again(waiting, delivered, sweep):
    assert [sweep() for _ in range(5)] == [1] * 5
    take(delivered)
    assert sweep() == 1
    for _ in waiting:
        take(delivered)
    assert sweep() == 0


def test_a_study_queued_again_after_its_worker_was_lost_has_overtaken_nobody(waiting, delivered, sweep):
    workflow.start(delivered.pop(0), "worker-1")
    sweep()
    assert delivered == [*waiting[1:], waiting[0]]
    assert sweep() == 1


def test_a_study_that_was_just_delivered_is_left_to_the_workers(waiting, delivered):
    assert workflow.requeue_due() == 0


def test_after_the_last_attempt_the_sweep_gives_up_in_words(hospital, settings):
    analysis = in_state(
        hospital,
        State.ANALYSING,
        attempt=settings.INFERENCE_MAX_ATTEMPTS,
        lease_until=timezone.now() - timedelta(seconds=1),
    )
    assert workflow.requeue_due() == 0
    analysis.refresh_from_db()
    assert analysis.state == State.FAILED
    assert "its worker was lost" in analysis.reason


@pytest.fixture
def lost_in_the_last_attempt(hospital, settings):
    past = timezone.now() - timedelta(seconds=1)
    return [
        in_state(hospital, State.ANALYSING, attempt=settings.INFERENCE_MAX_ATTEMPTS, lease_until=past) for _ in range(2)
    ]


def once_the_sweep_has_looked(monkeypatch, act):
    """Have `act` done by a worker between the sweep's look and what the sweep does to the first row."""
    requeue = workflow._requeue

    def late(run):
        monkeypatch.setattr(workflow, "_requeue", requeue)
        act()
        return requeue(run)

    monkeypatch.setattr(workflow, "_requeue", late)


def test_a_worker_that_shows_itself_while_the_sweep_looks_keeps_its_last_attempt(lost_in_the_last_attempt, monkeypatch):
    slow, gone = lost_in_the_last_attempt
    once_the_sweep_has_looked(monkeypatch, lambda: workflow.extend_lease(slow))
    workflow.requeue_due()
    assert workflow.finish(slow, **RESULT).state == State.ANALYSED
    gone.refresh_from_db()
    assert gone.state == State.FAILED


def test_a_result_that_comes_while_the_sweep_looks_stays_and_the_sweep_goes_on(lost_in_the_last_attempt, monkeypatch):
    slow, gone = lost_in_the_last_attempt
    once_the_sweep_has_looked(monkeypatch, lambda: workflow.finish(slow, **RESULT))
    workflow.requeue_due()
    for analysis, state in ((slow, State.ANALYSED), (gone, State.FAILED)):
        analysis.refresh_from_db()
        assert analysis.state == state


def test_a_retry_is_a_new_analysis_of_the_same_picture_and_the_old_one_stays(hospital):
    old = in_state(hospital, State.FAILED, reason="It broke.")
    new = workflow.retry(old, old.sex)
    assert (new.previous, new.radiograph, new.sex, new.state) == (old, old.radiograph, old.sex, State.QUEUED)
    old.refresh_from_db()
    assert (old.state, old.reason) == (State.FAILED, "It broke.")


def test_every_step_of_a_worker_is_on_record(hospital):
    analysis = workflow.start(in_state(hospital, State.QUEUED).pk, "worker-1")
    workflow.finish(analysis, **RESULT)
    events = AccessEvent.objects.filter(object_key=str(analysis.pk)).order_by("pk")
    assert [(event.actor_name, event.verb) for event in events] == [("system", "start"), ("system", "finish")]
