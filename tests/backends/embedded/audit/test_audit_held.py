"""Records that are written together: each once, in order; nobody waits for more than is theirs."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smclient_embedded.audit import HELD_BACK, HELD_SECONDS, MOST_HELD, service_event
from smclient_embedded.audit.held import HeldBack
from smclient_embedded.store import StoreError
from smclient_embedded.store.records import AuditRecord, Scope

SOON = 10.0
"""Seconds that no test takes, unless it fails."""


def record(number: int) -> AuditRecord:
    scope = Scope("123456789012", "us-east-1")
    at = datetime(2026, 9, 24, tzinfo=UTC)
    return service_event(scope, "RotationStarted", at=at, event_id=str(number), details={})


def numbers(records: Sequence[AuditRecord]) -> list[int]:
    return [int(record.event_id) for record in records]


class Disk:
    """Writes when it is let, and fails when it is told to."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.is_slow = self.is_full = False
        self.begun, self.go_on = threading.Semaphore(0), threading.Semaphore(0)

    @property
    def written(self) -> list[int]:
        return list(itertools.chain.from_iterable(self.batches))

    def write(self, records: Sequence[AuditRecord]) -> None:
        if self.is_slow:
            self.begun.release()
            assert self.go_on.acquire(timeout=SOON)
        if self.is_full:
            raise StoreError("full")
        self.batches.append(numbers(records))


# --- when they are due ----------------------------------------------------------------------------


def test_the_call_that_makes_it_enough_has_them_written_and_no_other_until_then() -> None:
    held = HeldBack(Disk().write)
    due = [held.add([record(number)], now=0.0) for number in range(HELD_BACK + 5)]
    assert due == [False] * (HELD_BACK - 1) + [True] + [False] * 5


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
    assert held.add([record(MOST_HELD)], now=0.0)


# --- each is written once -------------------------------------------------------------------------


@given(st.lists(st.integers(0, 3) | st.sampled_from(["flush", "fail"]), max_size=30))
def test_what_was_added_is_written_in_order_or_still_held(steps: list[int | str]) -> None:
    disk = Disk()
    held = HeldBack(disk.write)
    added: list[int] = []
    for step in steps:
        if isinstance(step, int):
            new = list(range(len(added), len(added) + step))
            held.add([record(number) for number in new], now=0.0)
            added += new
            continue
        written = disk.written
        assert written == added[: len(written)]
        disk.is_full = step == "fail"
        if disk.is_full and len(written) < len(added):
            with pytest.raises(StoreError):
                held.flush()
        else:
            held.flush()
            assert disk.written == added
    disk.is_full = False
    held.flush()
    assert disk.written == added
    assert [] not in disk.batches


# --- several ask ----------------------------------------------------------------------------------


def waiting(held: HeldBack, pool: ThreadPoolExecutor) -> Callable[[], Future[None]]:
    """Begins a ``flush`` on a thread, and comes back when it waits for the one that is writing."""
    arrived = threading.Semaphore(0)
    plain = held._written.wait

    def wait(timeout: float | None = None) -> bool:
        arrived.release()
        return plain(timeout)

    held._written.wait = wait  # type: ignore[method-assign]

    def ask() -> Future[None]:
        future = pool.submit(held.flush)
        assert arrived.acquire(timeout=SOON)
        return future

    return ask


def test_those_who_wait_find_theirs_written_by_one_of_them() -> None:
    disk = Disk()
    held = HeldBack(disk.write)
    with ThreadPoolExecutor(8) as pool:
        held.add([record(1)], now=0.0)
        disk.is_slow = True
        first = pool.submit(held.flush)
        assert disk.begun.acquire(timeout=SOON)
        ask = waiting(held, pool)
        of_the_first = ask()  # nothing came since: waits for the one under way, and no more
        held.add([record(2)], now=0.0)
        of_the_second = [ask(), ask()]
        held.add([record(3)], now=0.0)
        of_the_second.append(ask())
        disk.go_on.release()
        first.result(SOON)
        of_the_first.result(SOON)
        assert disk.begun.acquire(timeout=SOON)
        assert not any(future.done() for future in of_the_second)
        disk.go_on.release()
        for future in of_the_second:
            future.result(SOON)
    assert disk.batches == [[1], [2, 3]]


def test_where_one_failed_the_next_tries_again_with_both() -> None:
    disk = Disk()
    held = HeldBack(disk.write)
    with ThreadPoolExecutor(8) as pool:
        held.add([record(1)], now=0.0)
        disk.is_slow = disk.is_full = True
        first = pool.submit(held.flush)
        assert disk.begun.acquire(timeout=SOON)
        ask = waiting(held, pool)
        held.add([record(2)], now=0.0)
        second = ask()
        disk.go_on.release()
        with pytest.raises(StoreError):
            first.result(SOON)
        assert disk.begun.acquire(timeout=SOON)
        disk.is_full = False
        disk.go_on.release()
        second.result(SOON)
    assert disk.batches == [[1, 2]]


def test_many_threads_lose_nothing_and_write_nothing_twice() -> None:
    disk = Disk()
    held = HeldBack(disk.write)

    def one(thread: int) -> None:
        for number in range(300):
            if held.add([record(thread * 1000 + number)], now=0.0) or number % 50 == 0:
                held.flush()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(one, range(8)))
    held.flush()
    written = disk.written
    assert sorted(written) == [
        thread * 1000 + number for thread in range(8) for number in range(300)
    ]
    for thread in range(8):
        own = [number for number in written if number // 1000 == thread]
        assert own == sorted(own)


def test_a_forked_child_holds_nothing_and_waits_for_nobody() -> None:
    disk = Disk()
    held = HeldBack(disk.write)
    held.add([record(1)], now=0.0)
    held._is_writing = True  # as the fork may find it
    held.forget()
    held.flush()
    held.add([record(2)], now=0.0)
    held.flush()
    assert disk.batches == [[2]]
