"""Where the service keeps what it knows: the ports, the records, and the stores shipped here."""

from __future__ import annotations

from typing import cast

from smclient.backend import BackendUrl, load_plugin, missing_extra
from smclient.clock import Clock
from smclient_embedded.store.memory import MemoryStore
from smclient_embedded.store.ports import Keyring, Store, StoreConflict, StoreError, Transaction
from smclient_embedded.store.records import (
    AuditPage,
    AuditQuery,
    AuditRecord,
    CrossAccountPrimary,
    KeyRecord,
    Replica,
    ReplicationStatus,
    RotationJob,
    RotationSettings,
    Scope,
    Sealed,
    SecretPage,
    SecretQuery,
    SecretRecord,
    VersionRecord,
    stem_of,
)

STORES = "smclient.stores"
"""Entry-point group: URL scheme to a callable ``(BackendUrl, clock=…) -> Store``."""

OPTIONS = ("master_key_file", "account", "region", "principal")
"""What an ``embedded:`` URL may say beside the path; all but the path is read by the service."""


def open_store(url: BackendUrl, *, clock: Clock) -> Store:
    """Entry point of ``embedded:``: memory without a path, else an SQLite file.

    Raises:
        UnknownSettingError: an option that nobody reads.
        MissingExtraError: a file is named and SQLAlchemy is not installed.
        StoreError: the file cannot be opened, or is of another version.
    """
    url.take(*OPTIONS)
    if not url.path:
        return MemoryStore()
    try:  # SQLAlchemy takes 0.5 s to load, so only where a file is used
        from smclient_embedded.store.sql import SqlStore
    except ImportError as error:
        raise missing_extra(f"{url.scheme}:", error) from error
    return SqlStore.sqlite(url.path)


def open_postgres_store(url: BackendUrl, *, clock: Clock) -> Store:
    """Entry point of ``embedded+postgresql:``: a database that many nodes may share.

    Raises:
        UnknownSettingError: an option that nobody reads.
        MissingExtraError: SQLAlchemy or psycopg is not installed.
        ConfigError, StoreError: see ``sql_postgres.postgres_store``.
    """
    try:
        import psycopg  # noqa: F401  SQLAlchemy would look for it later, and say less

        from smclient_embedded.store import sql_postgres
    except ImportError as error:
        raise missing_extra(f"{url.scheme}:", error) from error
    url.take(*OPTIONS, *sql_postgres.OPTIONS)
    return sql_postgres.postgres_store(url)


def load_store(url: BackendUrl, *, clock: Clock) -> Store:
    """Open the store that a URL names, of whoever provides its scheme.

    Raises:
        UnknownBackendError, MissingExtraError, StoreError
    """
    shipped = {
        "embedded": "smclient_embedded.store:open_store",
        "embedded+postgresql": "smclient_embedded.store:open_postgres_store",
        "file": "smclient_file:open_store",
    }
    opener = load_plugin(STORES, url.scheme, shipped)
    return cast(Store, opener(url, clock=clock))


__all__ = [
    "AuditPage",
    "AuditQuery",
    "AuditRecord",
    "CrossAccountPrimary",
    "KeyRecord",
    "Keyring",
    "MemoryStore",
    "Replica",
    "ReplicationStatus",
    "RotationJob",
    "RotationSettings",
    "Scope",
    "Sealed",
    "SecretPage",
    "SecretQuery",
    "SecretRecord",
    "Store",
    "StoreConflict",
    "StoreError",
    "Transaction",
    "VersionRecord",
    "load_store",
    "open_postgres_store",
    "open_store",
    "stem_of",
]
