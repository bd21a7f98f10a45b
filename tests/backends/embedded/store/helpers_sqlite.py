"""What the tests of the SQLite file share: records to put, names to read back, its settings."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import Any

import pytest

from smclient_embedded.store import Scope, Sealed, SecretQuery, SecretRecord, VersionRecord
from smclient_embedded.store.sql import SqlStore

HOME = Scope("111122223333", "eu-west-1")
NOW = datetime(2026, 3, 4, 5, 6, 7, 890123, tzinfo=UTC)

posix = pytest.mark.skipif(os.name != "posix", reason="modes are a thing of POSIX")


def a_secret(name: str = "db", suffix: str = "AbCdEf", **fields: Any) -> SecretRecord:
    arn = f"arn:aws:secretsmanager:{HOME.region}:{HOME.account}:secret:{name}-{suffix}"
    return SecretRecord(arn, HOME, name, **{"created_at": NOW, "changed_at": NOW, **fields})


def a_version(secret: SecretRecord, version_id: str, ciphertext: bytes = b"c") -> VersionRecord:
    sealed = Sealed("key", b"w", b"n", ciphertext, {"SecretARN": secret.arn})
    return VersionRecord(secret.arn, version_id, NOW, sealed=sealed)


def put(store: SqlStore, *secrets: SecretRecord) -> None:
    with store.transaction(write=True) as tx:
        for secret in secrets:
            tx.put_secret(secret)


def names(store: SqlStore) -> list[str]:
    with store.transaction(write=False) as tx:
        return [secret.name for secret in tx.page(HOME, SecretQuery(limit=10_000)).secrets]


def pragma(store: SqlStore, words: str) -> Any:
    with store._connection(write=False) as connection:
        result = connection.exec_driver_sql(f"PRAGMA {words}")
        return result.scalar() if result.returns_rows else None
