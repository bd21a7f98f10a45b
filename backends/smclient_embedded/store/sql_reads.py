"""Point reads that are answered from memory while nothing changed.

SQLAlchemy takes 40 µs for a statement (and PostgreSQL a trip over the network), and GetSecretValue
needs six. So records are kept between transactions, under the generation that the store was at.
Every transaction that changes anything but the audit trail sets a new generation, in itself; a
reader begins with the generation in its snapshot, and takes what was kept under that one only. So
it sees its snapshot, whoever wrote, in whichever process or on whichever node. Values are kept
sealed, as they are in the store.
"""

from __future__ import annotations

import os
import sqlite3
from collections import deque
from collections.abc import Callable, Hashable
from types import TracebackType
from typing import Any, Protocol

from sqlalchemy import Connection, Engine, select
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from smclient_embedded.store.ports import Transaction
from smclient_embedded.store.sql_errors import FAILURES, store_error
from smclient_embedded.store.sql_schema import RESERVED, settings

GENERATION = RESERVED + "generation"

MOST_KEPT = 2048
LARGEST_KEPT = 4096
"""How many records and findings are kept, and how long the ciphertext of one may be: 8 MiB at the
worst, and as much for the bodies that findings are known by (``known_reads.LARGEST_KEPT``)."""

_IDLE_READERS = 8
FIND_GENERATION = str(
    select(settings.c.value)
    .where(settings.c.name == GENERATION)
    .compile(compile_kwargs={"literal_binds": True})
)

Kept = dict[Hashable, Any]


def new_generation() -> bytes:
    """A generation that never was."""
    return os.urandom(12)


class Reader(Protocol):
    """A connection that is kept open, and used by one transaction at a time."""

    @property
    def connection(self) -> Connection:
        """What statements run on."""
        ...

    def begin(self) -> bytes | None:
        """Begin a snapshot; the generation that the store is at in it."""
        ...

    def end(self) -> None:
        """End the snapshot."""
        ...

    def glance(self) -> bytes | None:
        """The generation that the store is at, without a snapshot."""
        ...


class SqliteReader:
    """Asks the driver itself, as this is in the path of every read."""

    __slots__ = ("_driver", "connection")

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        driver = connection.connection.driver_connection
        assert isinstance(driver, sqlite3.Connection)
        self._driver = driver

    def begin(self) -> bytes | None:
        """See ``Reader``."""
        self._driver.execute("BEGIN")
        row = self._driver.execute(FIND_GENERATION).fetchone()
        return None if row is None else row[0]

    def end(self) -> None:
        """See ``Reader``."""
        if self.connection.in_transaction():
            self.connection.rollback()
        else:
            self._driver.execute("ROLLBACK")

    def glance(self) -> bytes | None:
        """See ``Reader``."""
        row = self._driver.execute(FIND_GENERATION).fetchone()
        return None if row is None else row[0]


class PointReads:
    """The readers of one store, and what they keep.

    Args:
        make: makes a reader of a connection.
    """

    def __init__(
        self,
        engine: Engine,
        where: str,
        make: Callable[[Connection], Reader] = SqliteReader,
    ) -> None:
        self._engine = engine
        self._where = where
        self._make = make
        self._idle: deque[Reader] = deque()
        self._kept: tuple[bytes | None, Kept] = (None, {})
        self._is_closed = False

    def begin(self) -> tuple[Reader, Kept]:
        """A reader that sees one state of the store, and the records kept of that state. To be
        given to ``end`` or to ``discard``."""
        try:
            reader, generation = self._begun()
        except FAILURES as error:
            raise store_error(self._where, error) from None
        return reader, self._kept_at(generation)

    def end(self, reader: Reader) -> None:
        """End its snapshot."""
        try:
            reader.end()
        except FAILURES as error:
            discard(reader)
            raise store_error(self._where, error) from None
        except BaseException:
            discard(reader)
            raise
        self._give_back(reader)

    def recall(self, key: Hashable) -> object | None:
        """See ``Store.recall``. Whatever keeps the generation from being seen is left for the read
        that follows to meet, and to tell."""
        generation, kept = self._kept
        finding: object | None = kept.get(key)
        if finding is None or generation is None:
            return None
        try:
            reader = self._take()
        except FAILURES:
            return None
        try:
            is_same = reader.glance() == generation
        except FAILURES:
            discard(reader)
            return None
        except BaseException:
            discard(reader)
            raise
        self._give_back(reader)
        return finding if is_same else None

    def close(self) -> None:
        """Let go of the readers. Those in use end well."""
        self._is_closed = True
        self._forget_idle()

    # --- inside -----------------------------------------------------------------------------------

    def _forget_idle(self) -> None:
        while (reader := self._idle_one()) is not None:
            discard(reader)

    def _begun(self) -> tuple[Reader, bytes | None]:
        """A reader with its snapshot begun. One whose connection was lost while it was idle is
        replaced, as are the others that were idle with it."""
        reader = self._take()
        try:
            return reader, reader.begin()
        except DBAPIError as error:
            discard(reader)
            if not error.connection_invalidated:
                raise
        except BaseException:
            discard(reader)
            raise
        self._forget_idle()
        reader = self._make(self._engine.connect())
        try:
            return reader, reader.begin()
        except BaseException:
            discard(reader)
            raise

    def _kept_at(self, generation: bytes | None) -> Kept:
        """What was kept of a generation. Another one's is forgotten: it hardly comes back."""
        known, kept = self._kept
        if generation is None:
            return {}
        if known != generation or len(kept) >= MOST_KEPT:
            kept = {}
            self._kept = generation, kept
        return kept

    def _take(self) -> Reader:
        return self._idle_one() or self._make(self._engine.connect())

    def _idle_one(self) -> Reader | None:
        try:
            return self._idle.pop()  # one of the threads that ask gets it: no lock
        except IndexError:
            return None

    def _give_back(self, reader: Reader) -> None:
        if len(self._idle) >= _IDLE_READERS:
            discard(reader)
            return
        self._idle.append(reader)
        if self._is_closed:  # perhaps after those that were idle were let go
            self._forget_idle()


def discard(reader: Reader) -> None:
    """Close its connection, whatever state it is in."""
    try:
        reader.connection.invalidate()
    except SQLAlchemyError:  # it is gone already
        pass
    finally:
        reader.connection.close()


class Reading:
    """A reading transaction. A class, as it is in the path of every read."""

    __slots__ = ("_make", "_reader", "_reads")

    def __init__(self, reads: PointReads, make: Callable[[Connection, Kept], Transaction]) -> None:
        self._reads = reads
        self._make = make
        self._reader: Reader | None = None

    def __enter__(self) -> Transaction:
        reader, kept = self._reads.begin()
        self._reader = reader
        return self._make(reader.connection, kept)

    def __exit__(
        self, kind: object, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        reader, self._reader = self._reader, None
        assert reader is not None
        if error is None:
            self._reads.end(reader)
        else:
            discard(reader)
