import os
import time
from queue import Empty

import pytest
from kombu import Connection, Consumer, Producer, Queue

from boneage_portal import broker, celery


@pytest.fixture
def channel(tmp_path):
    for folder in ("messages", "control"):
        (tmp_path / folder).mkdir()
    options = {
        "data_folder_in": str(tmp_path / "messages"),
        "data_folder_out": str(tmp_path / "messages"),
        "control_folder": str(tmp_path / "control"),
    }
    with Connection("filesystem://", transport_options=options) as connection:
        yield connection.default_channel


def test_the_embedded_broker_is_the_portals(channel):
    assert celery.app is not None
    assert isinstance(channel, broker.Channel)


def test_messages_come_out_in_their_order(channel, monkeypatch):
    ticks = iter(range(10**15, 10**15 + 10**9, 10**7))
    monkeypatch.setattr(broker, "monotonic_ns", lambda: next(ticks))
    for number in range(3):
        channel._put("inference", {"number": number})
    assert [channel._get("inference")["number"] for _ in range(3)] == [0, 1, 2]
    with pytest.raises(Empty):
        channel._get("inference")


def test_nobody_takes_a_message_that_is_still_being_written(channel, monkeypatch):
    """kombu's own lies there empty for a moment, and the worker that takes it ends."""
    looked = []

    def look_then_replace(source, target, replace=os.replace):
        with pytest.raises(Empty):
            channel._get("inference")
        looked.append(source)
        replace(source, target)

    monkeypatch.setattr(broker.os, "replace", look_then_replace)
    channel._put("inference", {"number": 1})
    assert len(looked) == 1
    assert channel._get("inference") == {"number": 1}


@pytest.fixture
def received(channel):
    """The bodies of messages that came; `received.connection` takes them."""

    class Received(list):
        connection = channel.connection.client

    bodies = Received()
    Consumer(channel, [Queue("inference")], callbacks=[lambda body, message: bodies.append(body)]).consume()
    return bodies


@pytest.mark.parametrize(("folder_tells", "polling_interval"), [(True, 3600), (False, 0.01)])
def test_a_message_is_taken_when_the_folder_changes_and_at_the_latest_at_the_next_look(
    received, monkeypatch, folder_tells, polling_interval
):
    transport = received.connection.transport
    transport.polling_interval = polling_interval
    if not folder_tells:
        monkeypatch.setattr(transport, "_changed_at", lambda: 0)

    def send_meanwhile(seconds):
        monkeypatch.setattr(broker, "sleep", time.sleep)
        with received.connection.clone() as other:
            Producer(other).publish({"number": 1}, routing_key="inference")

    monkeypatch.setattr(broker, "sleep", send_meanwhile)
    received.connection.drain_events(timeout=30)
    assert received == [{"number": 1}]


def test_a_wait_for_messages_ends(received):
    received.connection.transport.polling_interval = 0.01
    with pytest.raises(TimeoutError):
        received.connection.drain_events(timeout=0.02)
