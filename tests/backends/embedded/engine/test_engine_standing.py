"""What is due, done by threads in the background: a function that hangs, or wants to end the
process, holds up nothing else."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from smclient.testing import FakeClock
from smclient_embedded import EmbeddedService, scheduler
from smclient_embedded.heartbeat import Heartbeat
from smclient_embedded.rotating import RotationTo
from smclient_embedded.standing import Standing

START = datetime(2026, 9, 24, 10, 20, 30, tzinfo=UTC)
SOON = 30.0
"""Seconds in which a test gives up."""


class Awaited:
    """Events of one service, to be waited for."""

    def __init__(self, service: EmbeddedService) -> None:
        self._seen: list[dict[str, Any]] = []
        self._changed = threading.Condition()
        service.subscribe(self._take)

    def _take(self, event: Any) -> None:
        with self._changed:
            self._seen.append(event["detail"])
            self._changed.notify_all()

    def first(self, name: str, about: str = "", *, after: int = 0) -> dict[str, Any]:
        """The details of an event that came or comes, past so many of that name."""

        def found() -> list[dict[str, Any]]:
            named = [o for o in self._seen if o.get("eventName") == name and about in str(o)]
            return named[after:]

        with self._changed:
            assert self._changed.wait_for(found, SOON), [one.get("eventName") for one in self._seen]
            return found()[0]


class Standby:
    """A service with functions by name, and its events."""

    def __init__(self) -> None:
        self.clock = FakeClock(START)
        self.service = EmbeddedService(clock=self.clock)
        self.events = Awaited(self.service)

    def rotate(self, name: str, function: Callable[[Any, Any], object]) -> str:
        """A secret whose rotation is due."""
        arn = self.service.register_function(name, function)
        made = self("CreateSecret", Name=name, SecretString="x", ClientRequestToken="0" * 32)
        request = {"RotationLambdaARN": arn, "ClientRequestToken": "1" * 32}
        self("RotateSecret", SecretId=name, **request)
        return str(made["ARN"])

    def __call__(self, operation: str, **request: Any) -> dict[str, Any]:
        return self.service.call(operation, request)


class Hangs:
    """A rotation function that hangs in setSecret until it is let go."""

    def __init__(self) -> None:
        self.there = threading.Event()
        self.go = threading.Event()
        self.calls = 0
        self.thread: threading.Thread | None = None
        self._works = RotationTo()

    def __call__(self, event: Any, context: Any) -> None:
        if event["Step"] == "setSecret":
            self.calls += 1
            self.thread = threading.current_thread()
            self.there.set()
            assert self.go.wait(SOON)
        self._works(event, context)


@pytest.fixture
def standby() -> Iterator[Standby]:
    made = Standby()
    yield made
    made.service.close()


@pytest.fixture
def hangs() -> Iterator[Hangs]:
    made = Hangs()
    yield made
    made.go.set()


@pytest.fixture
def passes(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Lets time of the machine pass; signs of life come often."""
    passed = [0.0]
    monkeypatch.setattr(scheduler, "monotonic", lambda: passed[0])
    monkeypatch.setattr(scheduler, "RENEWED_SECONDS", 0.001)

    def more(seconds: float) -> None:
        passed[0] += seconds

    return more


def test_one_that_hangs_holds_up_no_rotation_and_no_deletion(
    standby: Standby, hangs: Hangs
) -> None:
    """What becomes due while it hangs is done."""
    with standby.service.run_in_background(workers=2, seconds=0.001):
        standby.rotate("hangs", hangs)
        assert hangs.there.wait(SOON)
        other = standby.rotate("works", RotationTo("new"))
        standby.events.first("RotationSucceeded", other)
        standby("DeleteSecret", SecretId="works", RecoveryWindowInDays=7)
        standby.clock.advance(days=8)
        standby.events.first("EndSecretVersionDelete", other)
        hangs.go.set()


def test_one_that_hangs_too_long_has_failed_and_is_replaced(
    standby: Standby, hangs: Hangs, passes: Callable[[float], None]
) -> None:
    """By another thread: the only one there was goes on with what is due."""
    with standby.service.run_in_background(workers=1, seconds=0.001):
        arn = standby.rotate("hangs", hangs)
        assert hangs.there.wait(SOON)
        passes(scheduler.LONGEST_STEP)
        failed = standby.events.first("RotationFailed", arn)
        assert failed["additionalEventData"]["FailureReason"] == (
            "setSecret: Sandbox.Timedout: it ran longer than 1200 seconds"
        )
        other = standby.rotate("works", RotationTo("new"))
        standby.events.first("RotationSucceeded", other)
        hangs.go.set()


def test_one_that_was_given_up_is_called_again_only_when_it_came_back(
    standby: Standby, hangs: Hangs, passes: Callable[[float], None]
) -> None:
    """And what comes back writes nothing."""
    with standby.service.run_in_background(workers=1, seconds=0.001):
        arn = standby.rotate("hangs", hangs)
        assert hangs.there.wait(SOON)
        passes(scheduler.LONGEST_STEP)
        standby.events.first("RotationFailed", arn)
        standby.clock.advance(120)
        again = standby.events.first("RotationFailed", arn, after=1)
        assert "earlier call" in again["additionalEventData"]["FailureReason"]
        assert hangs.calls == 1
        hangs.go.set()
        assert hangs.thread is not None
        hangs.thread.join(SOON)
        assert not hangs.thread.is_alive()
        stages = standby("DescribeSecret", SecretId="hangs")["VersionIdsToStages"]
        assert stages == {"0" * 32: ["AWSCURRENT"], "1" * 32: ["AWSPENDING"]}
        standby.clock.advance(hours=1)
        standby.events.first("RotationSucceeded", arn)
        assert hangs.calls == 2


def test_a_thread_that_was_replaced_begins_nothing_when_it_comes_back(
    standby: Standby, hangs: Hangs, passes: Callable[[float], None]
) -> None:
    """What is due waits for the one in its place: no more run at a time than there are workers."""
    busy = Hangs()
    with standby.service.run_in_background(workers=1, seconds=0.001):
        standby.rotate("hangs", hangs)
        assert hangs.there.wait(SOON)
        passes(scheduler.LONGEST_STEP)
        standby.rotate("busy", busy)
        assert busy.there.wait(SOON)
        calls: list[object] = []
        waits = standby.rotate("waits", lambda event, context: calls.append(event))
        hangs.go.set()
        assert hangs.thread is not None
        hangs.thread.join(SOON)
        assert not hangs.thread.is_alive()
        assert calls == []
        busy.go.set()
        standby.events.first("RotationFailed", waits)
        assert calls


def test_one_that_is_given_up_as_it_comes_back_is_called_again(
    standby: Standby, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sign of life that gives it up begins before its last step ends, and ends after it."""
    beats, is_back = threading.Event(), threading.Event()
    works = RotationTo("new")

    def monotonic() -> float:
        if threading.current_thread().name != "smclient-heartbeat":
            return 0.0
        beats.set()
        assert is_back.wait(SOON)
        return scheduler.LONGEST_STEP

    class Ends(Heartbeat):
        def __exit__(self, *exc_info: object) -> None:
            is_back.set()
            super().__exit__(*exc_info)

    def function(event: Any, context: Any) -> None:
        works(event, context)
        assert beats.wait(SOON)

    monkeypatch.setattr(scheduler, "monotonic", monotonic)
    monkeypatch.setattr(scheduler, "RENEWED_SECONDS", 0.001)
    monkeypatch.setattr(scheduler, "Heartbeat", Ends)
    arn = standby.rotate("slow", function)
    assert standby.service.run_due().rotated == ()
    assert len(standby.service.audit.lookup(event_name="RotationFailed")) == 1
    monkeypatch.setattr(scheduler, "monotonic", lambda: 0.0)
    standby.clock.advance(120)
    assert standby.service.run_due().rotated == (arn,)


def test_one_that_ends_the_process_has_failed(standby: Standby) -> None:
    """And the thread that called it goes on."""

    def ends(event: Any, context: Any) -> None:
        sys.exit(3)

    with standby.service.run_in_background(workers=1, seconds=0.001):
        arn = standby.rotate("ends", ends)
        failed = standby.events.first("RotationFailed", arn)
        assert failed["additionalEventData"]["FailureReason"] == (
            "createSecret: Runtime.ExitError: it asked the process to end"
        )
        standby.events.first("RotationSucceeded", standby.rotate("works", RotationTo("new")))


def test_a_database_that_ends_the_process_has_failed(standby: Standby) -> None:
    """The one of a managed secret."""

    class Ends:
        ends = False

        def set_password(self, username: str, password: str) -> None:
            if self.ends:
                sys.exit(3)

        def takes(self, username: str, password: str) -> bool:
            return False

    database = Ends()
    arn = standby.service.managed.create("rds", "admin", database, database="orders")
    database.ends = True
    standby("RotateSecret", SecretId=arn, ClientRequestToken="1" * 32)
    assert standby.service.run_due().failed == (arn,)


def test_a_subscriber_that_ends_the_process_hears_the_next_event(standby: Standby) -> None:
    heard: list[str] = []

    def ends(event: Any) -> None:
        heard.append(event["detail"]["eventName"])
        sys.exit(3)

    subscription = standby.service.subscribe(ends)
    for name in ("a", "b"):
        standby("CreateSecret", Name=name, ClientRequestToken="0" * 32)
        assert standby.service.events.flush(SOON)
    assert len(heard) == subscription.failed == 2


def test_a_turn_that_fails_is_not_the_last() -> None:
    """Whatever it raised; and none begins after the end."""
    turns: list[int] = []
    enough = threading.Event()

    def turn(on_hang: object) -> None:
        turns.append(1)
        if len(turns) == 3:
            enough.set()
        raise KeyboardInterrupt if len(turns) == 1 else OSError

    with Standing({"turns": turn}, 0.001):
        assert enough.wait(SOON)
    done = len(turns)
    assert "turns" not in [thread.name for thread in threading.enumerate()]
    assert len(turns) == done
