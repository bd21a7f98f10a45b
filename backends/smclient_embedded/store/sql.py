"""``SqlStore``: records in a database, through SQLAlchemy Core: an SQLite file, or PostgreSQL (see
``sql_postgres``).

SQLite runs with a write-ahead log, so that readers see one snapshot and wait for nobody, and with
``synchronous=FULL``: what was acknowledged is on the disk. One writer is let in at a time: threads
queue at a lock, processes at SQLite's own.
"""

from __future__ import annotations

import os
import sqlite3
import stat
import threading
import time
from collections.abc import Callable, Hashable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Self

from sqlalchemy import URL, Connection, Engine, Executable, create_engine, event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.pool import ConnectionPoolEntry

from smclient_embedded.disk import flush_folder
from smclient_embedded.store.memory import KEPT_AUDIT
from smclient_embedded.store.ports import Keyring, StoreError, Transaction
from smclient_embedded.store.sql_errors import translated
from smclient_embedded.store.sql_reads import Kept, PointReads, Reader, Reading, SqliteReader
from smclient_embedded.store.sql_schema import bring_up, is_current
from smclient_embedded.store.sql_transaction import SqlTransaction

WAIT_SECONDS = 30.0
"""How long a writer waits for another one."""

_KEPT_CONNECTIONS = 8
_SMALLEST = 512  # bytes of an SQLite file
_opening = threading.Lock()


class SqlStore:
    """A store in a database. Made by ``sqlite`` and by ``sql_postgres.postgres_store``.

    Args:
        engine: where the tables are.
        where: what messages call the store.
        begin: begins a transaction on a connection, to write or to read.
        reader: makes a reader of a connection; point reads are kept in memory while nothing
            changes.
        let_in: waits in the database until no other writer is in it; ``None`` if ``begin`` does.
        wait: how many seconds the writers of this process wait for each other.
    """

    def __init__(
        self,
        engine: Engine,
        where: str,
        begin: Callable[[Connection, bool], None],
        *,
        reader: Callable[[Connection], Reader],
        let_in: Executable | None = None,
        wait: float = WAIT_SECONDS,
    ) -> None:
        self._engine = engine
        self._where = where
        self._begin = begin
        self._let_in = let_in
        self._turn = threading.Lock()
        self._wait = wait
        self._writer: int | None = None
        self._process = os.getpid()
        self._is_closed = False
        self._reads = PointReads(engine, where, reader)
        self._untrimmed = KEPT_AUDIT  # trim with the first record, whatever was left behind

    @classmethod
    def sqlite(cls, path: str, *, wait: float = WAIT_SECONDS) -> Self:
        """Open an SQLite file, or make it, mode 0600, in a folder that is there.

        Raises:
            StoreError: the file cannot be used, is open to other users, is something else, or is of
                a newer schema.
        """
        if not path or "\0" in path:
            raise StoreError("an SQLite store needs the path of a file")
        file = Path(path).absolute()
        where = f"the SQLite store {file}"
        with _opening:
            _make_or_check(file, where)
            store = cls(
                _sqlite_engine(file, wait), where, _sqlite_begin, reader=SqliteReader, wait=wait
            )
            try:
                with translated(where):
                    _use_write_ahead_log(store._engine, where, wait)
                    store.bring_up()
            except BaseException:
                store.close()
                raise
        return store

    def transaction(self, *, write: bool) -> AbstractContextManager[Transaction]:
        """See ``Store.transaction``.

        Raises:
            StoreError: closed, locked for too long, full, damaged, or opened before a fork.
            RuntimeError: a write transaction of this thread is open already.
        """
        return self._writing() if write else self._reading()

    def bring_up(self) -> None:
        """Make the tables, or migrate older ones. Of several who open a store, one does it.

        Raises:
            StoreError: it is something else, or of a newer schema.
        """
        with self._connection(write=False) as connection:
            if is_current(connection, self._where):
                return
        with self._connection(write=True) as connection:
            if self._let_in is not None:
                connection.execute(self._let_in)
            bring_up(connection, self._where)

    def recall(self, key: Hashable) -> object | None:
        """See ``Store.recall``."""
        self._check_usable()
        return self._reads.recall(key)

    def keyring(self) -> Keyring | None:
        """None of its own."""
        return None

    def close(self) -> None:
        """Let go of the database. Transactions under way end well."""
        self._is_closed = True
        if self._process == os.getpid():
            self._reads.close()
        self._engine.dispose(close=self._process == os.getpid())

    # --- inside -----------------------------------------------------------------------------------

    def _reading(self) -> AbstractContextManager[Transaction]:
        self._check_usable()
        return Reading(self._reads, self._transaction_on)

    def _transaction_on(self, connection: Connection, kept: Kept) -> Transaction:
        return SqlTransaction(
            connection, self._where, write=False, trim_audit=self._kept_if_many, kept=kept
        )

    @contextmanager
    def _writing(self) -> Iterator[Transaction]:
        self._check_usable()
        with self._own_turn(), self._connection(write=True) as connection:
            transaction = SqlTransaction(
                connection,
                self._where,
                write=True,
                trim_audit=self._kept_if_many,
                let_in=self._let_in,
            )
            yield transaction
            transaction.begin_generation()

    @contextmanager
    def _connection(self, *, write: bool) -> Iterator[Connection]:
        """A connection with its transaction begun; committed after a good end."""
        self._check_usable()
        with translated(self._where):
            connection = self._begun(write)
        try:
            yield connection
            with translated(self._where):
                connection.commit()
        except BaseException:
            try:
                connection.rollback()
            except SQLAlchemyError:  # the error under way is the one to tell
                connection.invalidate()
            raise
        finally:
            if self._is_closed:  # its pool is gone
                connection.invalidate()
            connection.close()

    def _begun(self, write: bool) -> Connection:
        """A connection with its transaction begun. Nothing was done on it yet, so one that was lost
        while it was idle is replaced."""
        for is_last in (False, True):
            connection = self._engine.connect()
            try:
                self._begin(connection, write)
                return connection
            except DBAPIError as error:
                connection.close()
                if is_last or not error.connection_invalidated:
                    raise
            except BaseException:
                connection.close()
                raise
        raise AssertionError

    def _check_usable(self) -> None:
        if self._is_closed:
            raise StoreError(f"{self._where} is closed")
        if self._process != os.getpid():
            raise StoreError(
                f"{self._where} was opened before this process was forked off; connections do not "
                "survive that. Open it in each process"
            )

    @contextmanager
    def _own_turn(self) -> Iterator[None]:
        me = threading.get_ident()
        if self._writer == me:
            raise RuntimeError("a write transaction was begun inside another one")
        if not self._turn.acquire(timeout=self._wait):
            raise StoreError(
                f"{self._where} is locked: another thread has been writing to it for "
                f"{self._wait:g} s. Try again"
            )
        self._writer = me
        try:
            yield
        finally:
            self._writer = None
            self._turn.release()

    def _kept_if_many(self, appended: int) -> int:
        """How much of the audit trail to keep if it is time to cut it, else 0."""
        self._untrimmed += appended
        if self._untrimmed < max(KEPT_AUDIT // 100, 1):
            return 0
        self._untrimmed = 0
        return KEPT_AUDIT


def _make_or_check(file: Path, where: str) -> None:
    """Make the file as nobody else's, or see that it is.

    An existing file is not opened: closing it would take SQLite's locks from this whole process.
    """
    try:
        os.close(os.open(file, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
        flush_folder(file.parent)  # before anything in it is acknowledged
    except FileExistsError:
        pass
    except FileNotFoundError:
        raise StoreError(f"{where} cannot be made: there is no folder {file.parent}") from None
    except OSError as error:
        raise StoreError(f"{where} cannot be made: {error.strerror}") from error
    try:
        found = file.stat()
    except OSError as error:
        raise StoreError(f"{where} cannot be used: {error.strerror}") from error
    mode = found.st_mode
    if not stat.S_ISREG(mode):
        kind = "a folder" if stat.S_ISDIR(mode) else "no regular file"
        raise StoreError(f"{where} cannot be opened: it is {kind}")
    if os.name == "posix" and mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise StoreError(f"{where} is open to other users: chmod 600 {file}")
    if 0 < found.st_size < _SMALLEST:  # SQLite would take it for an empty one, and write over it
        raise StoreError(f"{where} is not an SQLite file. Name another one")


def _sqlite_engine(file: Path, wait: float) -> Engine:
    engine = create_engine(
        URL.create("sqlite", database=str(file)),
        # no transactions of the driver's own: the engine says BEGIN, as below
        connect_args={"isolation_level": None, "timeout": wait, "check_same_thread": False},
        hide_parameters=True,
        pool_size=_KEPT_CONNECTIONS,
        max_overflow=-1,  # nobody waits for a connection
        pool_use_lifo=True,
    )

    @event.listens_for(engine, "connect")
    def configure(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
        cursor = connection.cursor()
        cursor.execute("PRAGMA synchronous=FULL")
        cursor.execute("PRAGMA foreign_keys=ON")
        cursor.close()

    return engine


def _sqlite_begin(connection: Connection, write: bool) -> None:
    """Begin for SQLAlchemy, to whom it does nothing, and for SQLite, whose driver would not.

    This could be a listener for the engine's ``begin``, but having one costs each statement 10 µs.
    """
    connection.begin()
    driver: sqlite3.Connection = connection.connection.driver_connection  # type: ignore[assignment]
    driver.execute("BEGIN IMMEDIATE" if write else "BEGIN")


def _use_write_ahead_log(engine: Engine, where: str, wait: float) -> None:
    """Turn the file's write-ahead log on, which stays so.

    Where two processes do this to a new file at once, SQLite does not wait by itself.
    """
    deadline = time.monotonic() + wait
    connection = engine.raw_connection()
    try:
        cursor = connection.cursor()
        while True:
            try:
                cursor.execute("PRAGMA journal_mode=WAL")
                break
            except sqlite3.OperationalError as error:
                is_busy = error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY
                if not is_busy or time.monotonic() > deadline:
                    raise
                time.sleep(0.005)
        (mode,) = cursor.fetchone() or ("none",)
        cursor.close()
    finally:
        connection.close()
    if mode != "wal":
        raise StoreError(
            f"{where} cannot have a write-ahead log ({mode} instead): use a local file system"
        )
