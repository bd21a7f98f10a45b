"""A store that fails when it is told to."""

from __future__ import annotations

from contextlib import contextmanager
from typing import Any

from smclient_embedded.store import MemoryStore, StoreError


class BrokenStore(MemoryStore):
    """A store in memory whose trail, or whose writing, can be broken."""

    def __init__(self) -> None:
        super().__init__()
        self.audit_breaks = False
        self.writes_break = False
        self.is_closed = False

    @contextmanager
    def transaction(self, *, write: bool) -> Any:
        if write and self.writes_break:
            raise StoreError("the disk is full")
        with super().transaction(write=write) as tx:
            yield _Breaking(tx, self) if self.audit_breaks else tx

    def close(self) -> None:
        self.is_closed = True
        super().close()


class _Breaking:
    def __init__(self, tx: Any, store: BrokenStore) -> None:
        self._tx = tx

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tx, name)

    def append_audit(self, records: Any) -> None:
        raise StoreError("the trail is full")
