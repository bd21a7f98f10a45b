"""Records that are kept back and written together: when that is due."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import pytest

from smclient_embedded.audit import HELD_BACK, HELD_SECONDS, MOST_HELD, service_event
from smclient_embedded.audit.held import HeldBack
from smclient_embedded.store import StoreError
from smclient_embedded.store.records import AuditRecord, Scope


def record(number: int) -> AuditRecord:
    scope = Scope("123456789012", "us-east-1")
    at = datetime(2026, 9, 24, tzinfo=UTC)
    return service_event(scope, "RotationStarted", at=at, event_id=str(number), details={})


class Disk:
    """Writes, or fails when it is told to."""

    def __init__(self) -> None:
        self.is_full = False
        self.calls: list[int] = []

    def write(self, calls: Sequence[Sequence[AuditRecord]]) -> None:
        if self.is_full:
            raise StoreError("full")
        self.calls += [len(records) for records in calls]


def test_the_call_that_makes_it_enough_has_them_written_and_no_other_until_then() -> None:
    held = HeldBack(Disk().write)
    due = [held.add([record(number)], now=0.0) for number in range(HELD_BACK + 5)]
    assert due == [False] * (HELD_BACK - 1) + [True] + [False] * 5


def test_in_a_forked_child_it_is_due_as_ever() -> None:
    """Whatever the parent was asked for and had not done."""
    held = HeldBack(Disk().write)
    for number in range(HELD_BACK):
        held.add([record(number)], now=0.0)
    held.after_fork()
    due = [held.add([record(number)], now=0.0) for number in range(HELD_BACK)]
    assert due == [False] * (HELD_BACK - 1) + [True]


def test_so_does_the_first_call_after_a_second() -> None:
    disk = Disk()
    held = HeldBack(disk.write)
    assert not held.add([record(1)], now=100.0)
    assert not held.add([record(2)], now=100.0 + HELD_SECONDS * 0.99)
    assert held.add([record(3)], now=100.0 + HELD_SECONDS)
    held.flush()
    assert not held.add([record(4)], now=100.0 + HELD_SECONDS)


def test_every_caller_waits_where_too_many_are_held() -> None:
    held = HeldBack(Disk().write)
    due = [held.add([record(number)], now=0.0) for number in range(MOST_HELD + 5)]
    assert due[MOST_HELD - 1 :] == [True] * 6
    assert due[HELD_BACK : MOST_HELD - 1] == [False] * (MOST_HELD - 1 - HELD_BACK)


def test_calls_that_could_not_be_written_still_count() -> None:
    disk = Disk()
    held = HeldBack(disk.write)
    for number in range(MOST_HELD - 1):
        held.add([record(number)], now=0.0)
    disk.is_full = True
    with pytest.raises(StoreError):
        held.flush()
    assert [held.add([record(number)], now=0.0) for number in range(2)] == [True, True]


def test_after_they_could_not_be_written_the_next_call_tries_again() -> None:
    disk = Disk()
    held = HeldBack(disk.write)
    due = [held.add([record(1), record(2)], now=0.0) for _ in range(HELD_BACK)]
    assert due[-1]
    disk.is_full = True
    with pytest.raises(StoreError):
        held.flush()
    assert held.add([record(3)], now=0.0)
    disk.is_full = False
    held.flush()
    assert disk.calls == [2] * HELD_BACK + [1]
    assert not held.add([record(4)], now=0.0)
