"""What threads write together: each once, in order; nobody waits for more than is theirs."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smclient_embedded.store import StoreError
from smclient_embedded.together import Together

SOON = 10.0
"""Seconds that no test takes, unless it fails."""


class Disk:
    """Writes when it is let, and fails when it is told to."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.is_slow = self.is_full = False
        self.begun, self.go_on = threading.Semaphore(0), threading.Semaphore(0)

    @property
    def written(self) -> list[int]:
        return list(itertools.chain.from_iterable(self.batches))

    def write(self, things: Sequence[int]) -> None:
        if self.is_slow:
            self.begun.release()
            assert self.go_on.acquire(timeout=SOON)
        if self.is_full:
            raise StoreError("full")
        self.batches.append(list(things))


# --- each is written once -------------------------------------------------------------------------


@given(st.lists(st.integers(0, 3) | st.sampled_from(["flush", "fail"]), max_size=30))
def test_what_was_added_is_written_in_order_or_still_held(steps: list[int | str]) -> None:
    disk = Disk()
    held = Together(disk.write)
    added: list[int] = []
    for step in steps:
        if isinstance(step, int):
            new = list(range(len(added), len(added) + step))
            for number in new:
                held.hold(number)
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


def waiting(held: Together[int], pool: ThreadPoolExecutor) -> Callable[[], Future[None]]:
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
    held = Together(disk.write)
    with ThreadPoolExecutor(8) as pool:
        held.hold(1)
        disk.is_slow = True
        first = pool.submit(held.flush)
        assert disk.begun.acquire(timeout=SOON)
        ask = waiting(held, pool)
        of_the_first = ask()  # nothing came since: waits for the one under way, and no more
        held.hold(2)
        of_the_second = [ask(), ask()]
        held.hold(3)
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
    held = Together(disk.write)
    with ThreadPoolExecutor(8) as pool:
        held.hold(1)
        disk.is_slow = disk.is_full = True
        first = pool.submit(held.flush)
        assert disk.begun.acquire(timeout=SOON)
        ask = waiting(held, pool)
        held.hold(2)
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
    held = Together(disk.write)

    def one(thread: int) -> None:
        for number in range(300):
            held.hold(thread * 1000 + number)
            if number % 50 == 0:
                held.flush()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(one, range(8)))
    held.flush()
    for thread in range(8):
        own = [number % 1000 for number in disk.written if number // 1000 == thread]
        assert own == list(range(300))
    assert len(disk.written) == 8 * 300


def test_a_forked_child_holds_nothing_and_waits_for_nobody() -> None:
    disk = Disk()
    held = Together(disk.write)
    held.hold(1)
    held._is_writing = True  # as the fork may find it
    held.after_fork()
    held.flush()
    held.hold(2)
    held.flush()
    assert disk.batches == [[2]]
