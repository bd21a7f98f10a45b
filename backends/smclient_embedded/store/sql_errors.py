"""What databases complain about, as ``StoreError``: which store, what is wrong, what to do.

Only codes are looked at. A driver's own words may repeat values, so none of them get in.
"""

from __future__ import annotations

import sqlite3
from types import TracebackType

from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from smclient_embedded.store.ports import StoreConflict, StoreError

_SQLITE = {
    sqlite3.SQLITE_PERM: "may not be used by this user: check owner and mode of file and folder",
    sqlite3.SQLITE_BUSY: "is locked: another process has been writing to it for too long. Try "
    "again, and look for a process that hangs",
    sqlite3.SQLITE_LOCKED: "is locked by another transaction of this process. Try again",
    sqlite3.SQLITE_NOMEM: "cannot be used: there is not enough memory",
    sqlite3.SQLITE_READONLY: "cannot be written: make file and folder writable for this user",
    sqlite3.SQLITE_IOERR: "cannot be read or written: the disk or file system reports an error. "
    "Check it, and restore a backup if the store does not open",
    sqlite3.SQLITE_CORRUPT: "is damaged: restore a backup. Keep the damaged file for inspection",
    sqlite3.SQLITE_FULL: "is full: nothing was written. Make room on the disk",
    sqlite3.SQLITE_CANTOPEN: "cannot be opened: check that file and folder are there and that "
    "this user may use both",
    sqlite3.SQLITE_TOOBIG: "cannot keep a value that large",
    sqlite3.SQLITE_NOTADB: "is not an SQLite file. Name another one, or restore a backup",
}


_POSTGRES = {
    "08": "cannot be reached: the connection to the server was lost. What had not been "
    "acknowledged may not be there; try again, and look whether the server is up",
    "22": "cannot keep such a value",
    "25": "cannot be written: the server is a read-only standby, or ended a transaction that "
    "took too long. Name the primary, and try again",
    "40": "is in use by others who stood in the way. Nothing was written; try again",
    "42": "may not be used by this user, or its tables are not what they should be: check the "
    "rights of the user on the database and its schema",
    "53": "has too little of something: connections, memory or disk. Nothing was written; make "
    "room on the server",
    "55": "is locked: another node has been writing to it for too long. Try again, and look for "
    "a node that hangs",
    "57": "cannot be used: the server is shutting down, starting up, or cancelled the statement. "
    "Try again",
    "58": "cannot be read or written: the server's disk or file system reports an error",
    "XX": "is damaged, or its server has a fault: look into the server's log, and restore a backup",
}
"""By the class of an SQLSTATE, its first two characters."""


_SHOWN = 300

FAILURES = (SQLAlchemyError, sqlite3.Error, UnicodeEncodeError)
"""What a statement raises for reasons of the store or of the record."""


def store_error(store: str, error: BaseException) -> StoreError:
    """The error for what a driver, or SQLAlchemy itself, raised."""
    if isinstance(error, UnicodeEncodeError):
        return StoreError(f"{store} cannot keep text that is not Unicode (a lone surrogate)")
    if isinstance(error, IntegrityError):
        return StoreConflict(f"{store} refused a record that breaks one of its constraints")
    cause = error.orig if isinstance(error, DBAPIError) else error
    code = getattr(cause, "sqlite_errorcode", None)
    if code is not None and code & 0xFF in _SQLITE:
        return StoreError(f"{store} {_SQLITE[code & 0xFF]}.")
    state = getattr(cause, "sqlstate", None)
    if state is None and isinstance(error, DBAPIError) and error.connection_invalidated:
        state = "08"
    if isinstance(error, OperationalError) and state is None and code is None:
        # no statement was sent yet, so libpq's words are of host, user and database only
        said = " ".join(str(cause).split())[:_SHOWN]
        return StoreError(
            f"{store} cannot be opened ({said}). Look whether the server is up, and check host, "
            "user and database; a password belongs in PGPASSWORD, or in a file named by PGPASSFILE "
            "or ?passfile="
        )
    if state is not None and state[:2] in _POSTGRES:
        return StoreError(f"{store} {_POSTGRES[state[:2]]} ({state}).")
    if isinstance(error, PoolTimeout):
        return StoreError(
            f"{store} has all its connections in use for too long. Try again, or allow more with "
            "?connections="
        )
    name = getattr(cause, "sqlite_errorname", None) or getattr(cause, "sqlstate", None)
    kind = type(cause).__name__
    return StoreError(f"{store} failed with {kind}{f' ({name})' if name else ''}.")


class translated:  # noqa: N801  used like a function
    """Turns what the database raises inside into ``StoreError``. A class, as it is in each path."""

    __slots__ = ("_store",)

    def __init__(self, store: str) -> None:
        self._store = store

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: object, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, FAILURES):
            # from None: the driver's error holds the parameters of its statement
            raise store_error(self._store, error) from None
