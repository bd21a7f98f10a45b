"""The trail itself, over a store in memory: nothing is lost between two who write it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import pytest

from smclient_embedded.audit import AuditTrail, service_event
from smclient_embedded.store import MemoryStore
from smclient_embedded.store.records import AuditRecord, Scope

HOME = Scope("123456789012", "us-east-1")
AT = datetime(2026, 9, 24, 10, 20, 30, tzinfo=UTC)


def record(name: str = "e-1") -> AuditRecord:
    return service_event(HOME, "RotationStarted", at=AT, event_id=name, details={"SecretId": "s"})


class MeanwhileStore(MemoryStore):
    """A store in which something else happens before the next change is made."""

    meanwhile: Callable[[], object] | None = None

    @contextmanager
    def transaction(self, *, write: bool) -> Iterator[Any]:
        if write and self.meanwhile is not None:
            happens, self.meanwhile = self.meanwhile, None
            happens()
        with super().transaction(write=write) as tx:
            yield tx


@pytest.mark.parametrize("asked", ["lookup", "close"])
def test_whoever_looks_or_closes_waits_for_what_another_is_writing(asked: str) -> None:
    """Else a closing process ends before its last second of reads is written."""
    store = MeanwhileStore()
    trail = AuditTrail(store, lambda: 0.0, HOME)
    trail.hold([record()])
    seen: list[int] = []

    def ask() -> None:
        getattr(trail, asked)()
        with store.transaction(write=False) as tx:
            seen.append(len(tx.audit(HOME, limit=10)))

    other = threading.Thread(target=ask)

    def meanwhile() -> None:
        other.start()
        other.join(0.2)  # time enough to go past, if nothing kept it

    store.meanwhile = meanwhile
    trail.flush()
    other.join(10)
    assert seen == [1]
