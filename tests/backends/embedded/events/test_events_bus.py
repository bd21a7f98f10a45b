"""Delivery: in order, off the caller's path, bounded, counted, through forks and errors."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from smclient.errors import ConfigError
from smclient_embedded.events import EventBus
from smclient_embedded.events import bus as bus_module

Event = dict[str, Any]


def event(number: int, kind: str = "Secret Label Updated") -> Event:
    return {"id": str(number), "detail-type": kind, "source": "aws.x", "detail": {"n": number}}


def numbers(events: list[Event]) -> list[int]:
    return [event["detail"]["n"] for event in events]


@pytest.fixture
def bus() -> Iterator[EventBus]:
    made = EventBus()
    yield made
    made.close()


class Gate:
    """A target that waits until it is opened."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.opened = threading.Event()
        self.seen: list[Event] = []

    def __call__(self, event: Event) -> None:
        self.entered.set()
        assert self.opened.wait(30)
        self.seen.append(event)


def test_each_subscriber_gets_what_fits_in_order(bus: EventBus) -> None:
    """Those without a pattern get all."""
    all_of_them: list[Event] = []
    some: list[Event] = []
    bus.subscribe(all_of_them.append)
    bus.subscribe(some.append, pattern={"detail": {"n": [{"numeric": [">=", 90]}]}})
    for n in range(100):
        bus.publish([event(n)])
    assert bus.flush(30)
    assert numbers(all_of_them) == list(range(100))
    assert numbers(some) == list(range(90, 100))


def test_the_caller_does_not_wait_for_a_subscriber(bus: EventBus) -> None:
    """Nor does another subscriber."""
    gate, quick = Gate(), list[Event]()
    slow = bus.subscribe(gate)
    other = bus.subscribe(quick.append)
    bus.publish([event(1), event(2)])
    assert other.wait(30)
    assert numbers(quick) == [1, 2]
    assert gate.entered.wait(30)
    assert gate.seen == []
    assert slow.wait(0) is False
    gate.opened.set()
    assert bus.flush(30)
    assert numbers(gate.seen) == [1, 2]
    assert (slow.delivered, slow.failed, slow.dropped) == (2, 0, 0)


def test_what_a_target_raises_is_logged_and_counted(
    bus: EventBus, caplog: pytest.LogCaptureFixture
) -> None:
    """By kind, without its text, which may hold anything; the next event comes all the same."""
    seen: list[Event] = []

    def target(event: Event) -> None:
        if event["detail"]["n"] == 1:
            raise ValueError("hunter2")
        seen.append(event)

    subscription = bus.subscribe(target, name="pager")
    bus.publish([event(1), event(2)])
    assert bus.flush(30)
    assert numbers(seen) == [2]
    assert (subscription.delivered, subscription.failed) == (1, 1)
    assert "pager raised ValueError at the event 1" in caplog.text
    assert "hunter2" not in caplog.text


def test_what_does_not_fit_is_dropped_logged_and_counted(
    bus: EventBus, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The newest; memory is bounded."""
    monkeypatch.setattr(bus_module, "MOST_WAITING", 3)
    gate = Gate()
    subscription = bus.subscribe(gate, name="slow")
    bus.publish([event(0)])
    assert gate.entered.wait(30)
    bus.publish([event(n) for n in range(1, 10)])
    assert subscription.dropped == 6
    assert "slow is too slow: 4 events were dropped so far" in caplog.text
    gate.opened.set()
    assert bus.flush(30)
    assert numbers(gate.seen) == [0, 1, 2, 3]


def test_a_subscriber_cannot_change_what_others_get(bus: EventBus) -> None:
    """Each gets a copy of its own."""
    seen: list[Event] = []
    bus.subscribe(lambda event: event["detail"].clear())
    bus.subscribe(seen.append)
    bus.publish([event(1)])
    assert bus.flush(30)
    assert numbers(seen) == [1]


def test_a_cancelled_one_gets_nothing_more(bus: EventBus) -> None:
    """Not what waits either; its name is free again; cancelling twice is fine."""
    gate = Gate()
    subscription = bus.subscribe(gate, name="one")
    bus.publish([event(n) for n in range(3)])
    assert gate.entered.wait(30)
    subscription.cancel()
    subscription.cancel()
    gate.opened.set()
    assert subscription.wait(30)
    bus.publish([event(9)])
    assert numbers(gate.seen) == [0]
    assert not bus.is_heard
    bus.subscribe(gate, name="one")


def test_a_subscriber_may_publish_and_cancel_itself(bus: EventBus) -> None:
    """From its own thread, which waits for nothing there."""
    seen: list[Event] = []

    def target(event: Event) -> None:
        seen.append(event)
        if len(seen) == 1:
            bus.publish([{**event, "detail": {"n": 2}}])
            assert bus.flush(0)
        else:
            subscription.cancel()

    subscription = bus.subscribe(target)
    bus.publish([event(1), event(3)])
    assert subscription.wait(30)
    assert numbers(seen)[0] == 1
    assert len(seen) == 2


def test_no_thread_is_there_while_nothing_waits(bus: EventBus) -> None:
    """It ends with the last event."""
    bus.subscribe(lambda event: None, name="unique-name")
    bus.publish([event(1)])
    assert bus.flush(30)
    for thread in threading.enumerate():
        if thread.name == "smclient-events-unique-name":
            thread.join(30)
    names = [thread.name for thread in threading.enumerate()]
    assert "smclient-events-unique-name" not in names


def test_reads_come_only_to_those_who_ask(bus: EventBus) -> None:
    """As EventBridge does with read-only management events."""
    plain: list[Event] = []
    thorough: list[Event] = []
    bus.subscribe(plain.append)
    bus.subscribe(thorough.append, all_management_events=True)
    read = event(1, "AWS API Call via CloudTrail")
    read["detail"]["readOnly"] = True
    write = event(2, "AWS API Call via CloudTrail")
    write["detail"]["readOnly"] = False
    bus.publish([read, write])
    assert bus.flush(30)
    assert numbers(plain) == [2]
    assert numbers(thorough) == [1, 2]


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"target": 3}, "cannot be called"),
        ({"target": print, "name": "taken"}, "already"),
        ({"target": print, "pattern": "{"}, "not JSON"),
    ],
)
def test_what_cannot_be_subscribed_is_refused(
    bus: EventBus, given: dict[str, Any], says: str
) -> None:
    """At once, and nothing is there of it."""
    bus.subscribe(print, name="taken")
    with pytest.raises(ConfigError, match=says):
        bus.subscribe(**given)
    assert len(bus.subscriptions) == 1


def test_closing_delivers_what_waits() -> None:
    """And nothing after it."""
    bus, seen = EventBus(), list[Event]()
    bus.subscribe(seen.append)
    bus.publish([event(n) for n in range(50)])
    bus.close()
    bus.close()
    bus.publish([event(99)])
    assert numbers(seen) == list(range(50))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this platform")
@pytest.mark.filterwarnings("ignore:This process.*fork:DeprecationWarning")
def test_a_child_process_delivers_its_own_events_only(bus: EventBus) -> None:
    """Also while the parent's subscriber is in the middle of one."""
    gate = Gate()
    bus.subscribe(gate)
    bus.publish([event(1), event(2)])
    assert gate.entered.wait(30)
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        gate.opened = threading.Event()
        gate.opened.set()
        gate.seen = []
        bus.publish([event(7)])
        done = bus.flush(20)
        os.write(writing, repr((done, numbers(gate.seen))).encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        told = pipe.read()
    assert os.waitpid(child, 0)[1] == 0
    assert told == b"(True, [7])"
    gate.opened.set()
    assert bus.flush(30)
    assert numbers(gate.seen) == [1, 2]
