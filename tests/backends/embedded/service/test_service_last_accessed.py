"""LastAccessedDate is written once for those who read at once."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from smclient.testing import FakeClock
from smclient_embedded import EmbeddedService
from smclient_embedded.store import MemoryStore

SOON = 10.0
"""Seconds that no test takes, unless it fails."""


class SlowStore(MemoryStore):
    """Its first write waits until it is let go on; then it counts them."""

    def __init__(self) -> None:
        super().__init__()
        self.begun, self.go_on = threading.Event(), threading.Event()
        self.is_slow = False
        self.writes = 0

    @contextmanager
    def transaction(self, *, write: bool) -> Iterator[Any]:
        if write and self.is_slow:
            self.writes += 1
            self.begun.set()
            assert self.go_on.wait(SOON)
        with super().transaction(write=write) as tx:
            yield tx


def test_those_who_read_while_it_is_written_write_theirs_together() -> None:
    names = [f"s{number}" for number in range(6)]
    store = SlowStore()
    clock = FakeClock(datetime(2026, 9, 24, 23, 59, tzinfo=UTC))
    with EmbeddedService(store, clock=clock) as service, ThreadPoolExecutor(8) as pool:
        for name in names:
            token = {"ClientRequestToken": name.ljust(32, "-")}
            service.call("CreateSecret", {"Name": name, "SecretString": name, **token})
        waiting = service.door.last_accessed._reads._written
        arrived = threading.Semaphore(0)
        plain = waiting.wait

        def wait(timeout: float | None = None) -> bool:
            arrived.release()
            return plain(timeout)

        waiting.wait = wait  # type: ignore[method-assign]
        store.is_slow = True
        reads = [pool.submit(service.call, "GetSecretValue", {"SecretId": names[0]})]
        assert store.begun.wait(SOON)
        reads += [pool.submit(service.call, "GetSecretValue", {"SecretId": n}) for n in names[1:]]
        assert all(arrived.acquire(timeout=SOON) for _ in names[1:])
        store.go_on.set()
        assert [read.result(SOON)["SecretString"] for read in reads] == names
        assert store.writes == 2
        for name in names:
            described = service.call("DescribeSecret", {"SecretId": name})
            assert described["LastAccessedDate"] == datetime(2026, 9, 24, tzinfo=UTC)
