"""Telling what was recorded, after the transaction that recorded it has been committed."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, cast

from smclient_embedded.store.ports import Keyring, Store, Transaction
from smclient_embedded.store.records import AuditRecord


class AnnouncingStore:
    """A store whose writing transactions, once committed, have their audit records told, in order.
    Whoever appends to the trail need not know."""

    def __init__(self, store: Store, tell: Callable[[Sequence[AuditRecord]], object]) -> None:
        self._store = store
        self._tell = tell

    def transaction(self, *, write: bool) -> AbstractContextManager[Transaction]:
        """See ``Store.transaction``."""
        return self._writing() if write else self._store.transaction(write=False)

    def recall(self, key: Hashable) -> object | None:
        """See ``Store.recall``."""
        return self._store.recall(key)

    def keyring(self) -> Keyring | None:
        """See ``Store.keyring``."""
        return self._store.keyring()

    def close(self) -> None:
        """See ``Store.close``."""
        self._store.close()

    @contextmanager
    def _writing(self) -> Iterator[Transaction]:
        with self._store.transaction(write=True) as tx:
            noting = _Noting(tx)
            yield cast(Transaction, noting)
        if noting.noted:
            self._tell(noting.noted)


class _Noting:
    """A transaction that also notes what is appended to the trail."""

    def __init__(self, tx: Transaction) -> None:
        self._tx = tx
        self.noted: list[AuditRecord] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tx, name)

    def append_audit(self, records: Sequence[AuditRecord]) -> None:
        """See ``Transaction.append_audit``."""
        self._tx.append_audit(records)
        self.noted += records
