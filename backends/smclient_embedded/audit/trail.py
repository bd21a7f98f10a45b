"""``AuditTrail``: writes the trail of one store and looks things up in it."""

from __future__ import annotations

import copy
import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import chain
from typing import Any, Protocol

from smclient.forking import survive_fork
from smclient_embedded.audit.held import HELD_SECONDS, HeldBack
from smclient_embedded.audit.lookup import (
    AuditFilter,
    Found,
    between,
    find,
    lookup_answer,
    read_request,
)
from smclient_embedded.store.ports import Store, StoreError, Transaction
from smclient_embedded.store.records import AuditQuery, AuditRecord, Scope

logger = logging.getLogger("smclient.embedded.audit")

_PAGE = 1000

Later = Callable[[Callable[[], object]], object]
"""Takes work that waits for a disk, to be done before the caller is answered."""


def at_once(work: Callable[[], object]) -> None:
    """Do it now."""
    work()


Listener = Callable[[Sequence[AuditRecord]], object]


class Alarm(Protocol):
    """Something that was set to happen and can be called off."""

    def cancel(self) -> None:
        """Let it not happen."""
        ...


SetAlarm = Callable[[float, Callable[[], object]], Alarm]
"""Calls something once, in so many seconds."""


def set_timer(seconds: float, work: Callable[[], object]) -> Alarm:
    """On a daemon thread, which is there for that long only."""
    timer = threading.Timer(seconds, work)
    timer.daemon = True
    timer.name = "smclient-audit"
    timer.start()
    return timer


class AuditTrail:
    """The trail of one store.

    A change is recorded in its own transaction. Reads and refusals are kept back and written
    together: with the 256th call, a second after the first, on ``flush`` (``lookup`` and closing do
    that). Where the disk does not keep up, every caller waits from the 512th on behind the batch
    that is being written, so a crash loses at most two such batches. The second is kept by a timer
    that the first of them sets: no thread is there before.

    Args:
        set_alarm: sets the timer; ``None`` for a clock that tests move, where the second is
            noticed by the next call.
    """

    def __init__(
        self,
        store: Store,
        monotonic: Callable[[], float],
        home: Scope,
        set_alarm: SetAlarm | None = None,
    ) -> None:
        self._store = store
        self._home = home
        self._monotonic = monotonic
        self._set_alarm = set_alarm
        self._lock = threading.Lock()
        self._held = HeldBack(self._write)
        self._alarm: Alarm | None = None
        self._closed = False
        self._listeners: tuple[Listener, ...] = ()
        survive_fork(self)

    def after_fork(self) -> None:
        """The timer is the parent's thread, as what was kept back is the parent's to write."""
        self._lock = threading.Lock()
        self._alarm = None

    def listen(self, listener: Listener) -> None:
        """Have ``listener`` called with records once what they record is there to stay: a change
        was committed, a read answered, a call refused. It is called on the caller's path, so it
        must be quick, and records have parts in common, so it must not change them."""
        self._listeners += (listener,)

    def record(self, tx: Transaction, records: Sequence[AuditRecord]) -> None:
        """Write records as part of a change."""
        tx.append_audit(records)

    def tell(self, records: Sequence[AuditRecord]) -> None:
        """Tell those who listen. What they raise is logged: the call is over."""
        for listener in self._listeners:
            try:
                listener(records)
            except Exception as error:  # noqa: BLE001  a listener must not turn an answer into a fault
                logger.error("a listener of the audit trail failed: %s", type(error).__name__)

    def hold(self, records: Sequence[AuditRecord], later: Later = at_once) -> None:
        """Write records soon, together with others. ``later`` is given the writing when it is due;
        it is done at once unless told otherwise."""
        self.tell(records)
        if self._held.add(records, self._monotonic()):
            later(self.flush)
        elif self._alarm is None:
            self._set_timer()

    def flush(self) -> None:
        """Write what is kept back, and wait for what another thread is writing. If it fails it
        stays kept and is tried again."""
        self._held.flush()

    def close(self) -> None:
        """Write what is kept back, and set no timer any more."""
        with self._lock:
            self._closed = True
            alarm, self._alarm = self._alarm, None
        if alarm is not None:
            alarm.cancel()
        self.flush()

    def lookup(
        self,
        scope: Scope | None = None,
        *,
        event_name: str | None = None,
        limit: int = 50,
        since: datetime | None = None,
        until: datetime | None = None,
        **attributes: str | bool,
    ) -> list[dict[str, Any]]:
        """The newest records of a scope (the administrator's unless given), newest first, in
        CloudTrail's shape. They are the caller's own: changing one changes no record.

        Args:
            since, until: when they happened, both included, to the second.
            attributes: what they must have besides, by CloudTrail's names in snake case:
                ``event_source``, ``username``, ``resource_name``, ``resource_type``, ``event_id``,
                ``read_only``, ``access_key_id``. All must fit.

        Raises:
            ValidationException: an attribute that there is not.
            StoreError
        """
        wanted = AuditFilter.of(event_name=event_name, **attributes)
        query = replace(between(since, until), event_name=wanted.event_name, limit=limit)
        found = self._find(scope, query, wanted).records
        return [copy.deepcopy(dict(record.document)) for record in found]  # parts are shared

    def lookup_events(self, scope: Scope | None = None, **request: Any) -> dict[str, Any]:
        """CloudTrail's LookupEvents: ``LookupAttributes``, ``StartTime``, ``EndTime``,
        ``MaxResults`` (50 at most) and ``NextToken``, answered in boto3's shape.

        Raises:
            ValidationException: an attribute, a number or a time that CloudTrail would not take.
        """
        read = read_request(request)
        return lookup_answer(self._find(scope, read.query, read.wanted), read.asked)

    def newest_first(
        self,
        scope: Scope | None = None,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> Iterator[AuditRecord]:
        """All records of a scope, read in pages as they are asked for."""
        self.flush()
        query = replace(between(since, until), limit=_PAGE)
        more = True
        while more:
            with self._store.transaction(write=False) as tx:
                page = tx.audit_page(scope or self._home, query)
            yield from page.records
            more = page.more
            query = replace(query, after=page.positions[-1] if more else None)

    def scopes(self) -> Sequence[Scope]:
        """Every scope of which there is something in the store."""
        with self._store.transaction(write=False) as tx:
            return tx.scopes()

    # --- inside -----------------------------------------------------------------------------------

    def _find(self, scope: Scope | None, query: AuditQuery, wanted: AuditFilter) -> Found:
        self.flush()
        with self._store.transaction(write=False) as tx:
            return find(tx, scope or self._home, query, wanted)

    def _on_time(self) -> None:
        with self._lock:
            self._alarm = None
        try:
            self.flush()
        except StoreError as error:
            logger.error("the audit trail cannot be written, and is tried again: %s", error)
            self._set_timer()

    def _set_timer(self) -> None:
        with self._lock:
            if not self._closed and self._alarm is None and self._set_alarm is not None:
                self._alarm = self._set_alarm(HELD_SECONDS, self._on_time)

    def _write(self, calls: Sequence[Sequence[AuditRecord]]) -> None:
        with self._store.transaction(write=True) as tx:
            tx.append_audit(list(chain.from_iterable(calls)))
