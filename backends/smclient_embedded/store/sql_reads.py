"""Point reads of an SQLite store that are answered from memory while nothing changed.

SQLAlchemy takes 40 µs for a statement, and GetSecretValue needs six. So records are kept between
transactions, under the generation that the store was at. Every transaction that changes anything
but the audit trail sets a new generation, in itself; a reader begins with the generation in its
snapshot, and takes what was kept under that one only. So it sees its snapshot, whoever wrote,
in whichever process. Values are kept sealed, as they are in the store.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Engine, select
from sqlalchemy.exc import SQLAlchemyError

from smclient_embedded.store.sql_errors import translated
from smclient_embedded.store.sql_schema import RESERVED, settings

GENERATION = RESERVED + "generation"

MOST_KEPT = 2048
LARGEST_KEPT = 4096
"""How many records are kept, and how long the ciphertext of one may be: 8 MiB at the worst."""

_IDLE_READERS = 8
_FIND_GENERATION = str(
    select(settings.c.value)
    .where(settings.c.name == GENERATION)
    .compile(compile_kwargs={"literal_binds": True})
)

Kept = dict[Hashable, Any]


def new_generation() -> bytes:
    """A generation that never was."""
    return os.urandom(12)


class _Reader:
    """A connection that is kept open, and used by one transaction at a time."""

    __slots__ = ("connection", "driver")

    def __init__(self, engine: Engine) -> None:
        self.connection = engine.connect()
        driver = self.connection.connection.driver_connection
        assert isinstance(driver, sqlite3.Connection)
        self.driver = driver

    def end(self) -> None:
        """End the snapshot."""
        if self.connection.in_transaction():
            self.connection.rollback()
        else:
            self.driver.execute("ROLLBACK")

    def discard(self) -> None:
        """Close, whatever state it is in."""
        try:
            self.connection.invalidate()
        except SQLAlchemyError:  # it is gone already
            pass
        finally:
            self.connection.close()


class PointReads:
    """The readers of one SQLite store, and what they keep."""

    def __init__(self, engine: Engine, where: str, is_closed: Callable[[], bool]) -> None:
        self._engine = engine
        self._where = where
        self._is_closed = is_closed
        self._idle: deque[_Reader] = deque()
        self._lock = threading.Lock()
        self._kept: tuple[bytes | None, Kept] = (None, {})

    @contextmanager
    def snapshot(self) -> Iterator[tuple[Connection, Kept]]:
        """A connection that sees one state of the store, and the records kept of that state."""
        with translated(self._where):
            reader = self._take()
            try:
                reader.driver.execute("BEGIN")
                row = reader.driver.execute(_FIND_GENERATION).fetchone()
            except BaseException:
                reader.discard()
                raise
        try:
            yield reader.connection, self._kept_at(None if row is None else row[0])
            with translated(self._where):
                reader.end()
        except BaseException:
            reader.discard()
            raise
        self._give_back(reader)

    def close(self) -> None:
        """Let go of the idle readers. Those in use end well."""
        with self._lock:
            idle, self._idle = self._idle, deque()
        for reader in idle:
            reader.discard()

    # --- inside -----------------------------------------------------------------------------------

    def _kept_at(self, generation: bytes | None) -> Kept:
        """What was kept of a generation. Another one's is forgotten: it hardly comes back."""
        known, kept = self._kept
        if generation is None:
            return {}
        if known != generation or len(kept) >= MOST_KEPT:
            kept = {}
            self._kept = generation, kept
        return kept

    def _take(self) -> _Reader:
        with self._lock:
            if self._idle:
                return self._idle.pop()
        return _Reader(self._engine)

    def _give_back(self, reader: _Reader) -> None:
        with self._lock:
            if len(self._idle) < _IDLE_READERS and not self._is_closed():
                self._idle.append(reader)
                return
        reader.discard()
