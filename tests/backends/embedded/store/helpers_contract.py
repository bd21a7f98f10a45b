"""One contract for every store: what ``Transaction`` promises, whoever keeps the records.

This is what its parts share: records to put, ways to read them back, and the stores that each part
is run on.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from smclient_embedded.store import (
    AuditRecord,
    KeyRecord,
    MemoryStore,
    RotationJob,
    Scope,
    SecretQuery,
    SecretRecord,
    Store,
    Transaction,
    VersionRecord,
)
from smclient_embedded.store.sql import SqlStore

HOME = Scope("111122223333", "eu-west-1")
ABROAD = Scope("111122223333", "us-east-1")
ELSEWHERE = Scope("444455556666", "eu-west-1")
NOW = datetime(2026, 3, 4, 5, 6, 7, 890123, tzinfo=UTC)
LATER = NOW + timedelta(microseconds=1)
LONG_AGO = NOW - timedelta(days=400)


def arn_of(name: str, scope: Scope = HOME, suffix: str = "AbCdEf") -> str:
    return f"arn:aws:secretsmanager:{scope.region}:{scope.account}:secret:{name}-{suffix}"


def a_secret(
    name: str = "db", scope: Scope = HOME, suffix: str = "AbCdEf", **fields: Any
) -> SecretRecord:
    fields = {"created_at": NOW, "changed_at": NOW, **fields}
    return SecretRecord(arn=arn_of(name, scope, suffix), scope=scope, name=name, **fields)


def a_version(arn: str, version_id: str = "v1", **fields: Any) -> VersionRecord:
    return VersionRecord(arn=arn, version_id=version_id, **{"created_at": NOW, **fields})


def a_job(arn: str, **fields: Any) -> RotationJob:
    return RotationJob(arn, "token", **{"asked_at": NOW, "due_at": NOW, **fields})


def an_event(number: int, scope: Scope = HOME, name: str = "GetSecretValue") -> AuditRecord:
    return AuditRecord(f"event-{number}", scope, NOW, name, {"number": number, "deep": [{}, None]})


def put(store: Store, *records: SecretRecord | VersionRecord | RotationJob | KeyRecord) -> None:
    with store.transaction(write=True) as tx:
        for record in records:
            match record:
                case SecretRecord():
                    tx.put_secret(record)
                case VersionRecord():
                    tx.put_version(record)
                case RotationJob():
                    tx.put_rotation_job(record)
                case KeyRecord():
                    tx.put_key(record)


def pages(tx: Transaction, query: SecretQuery, scope: Scope = HOME) -> Iterator[list[SecretRecord]]:
    """All pages of a query."""
    for _ in range(1000):
        page = tx.page(scope, query)
        assert len(page.secrets) == len(page.positions) <= query.limit
        yield list(page.secrets)
        if not page.more:
            return
        query = replace(query, after=page.positions[-1])
    pytest.fail("pages without end")


def names(tx: Transaction, query: SecretQuery, scope: Scope = HOME) -> list[str]:
    return [secret.name for page in pages(tx, query, scope) for secret in page]


def a_key(number: str = "1", **fields: Any) -> KeyRecord:
    fields = {"managed": False, "created_at": NOW, "wrapped_material": b"\0\1\xff", **fields}
    arn = f"arn:aws:kms:{HOME.region}:{HOME.account}:key/{number}"
    return KeyRecord(arn=arn, scope=HOME, key_id=number, **fields)


def everything(store: Store) -> Sequence[object]:
    """What a store holds of the scopes and settings that tests use."""
    with store.transaction(write=False) as tx:
        secrets = [
            secret
            for scope in (HOME, ABROAD)
            for page in pages(tx, SecretQuery(include_deleted=True), scope)
            for secret in page
        ]
        return [
            secrets,
            [list(tx.versions(secret.arn)) for secret in secrets],
            [dict(tx.labels(secret.arn)) for secret in secrets],
            [tx.rotation_job(secret.arn) for secret in secrets],
            [tx.secret_named(secret.scope, secret.name) for secret in secrets],
            [list(tx.secrets_with_stem(secret.arn[:-7])) for secret in secrets],
            [sorted(tx.keys(scope), key=lambda key: key.arn) for scope in (HOME, ABROAD)],
            [list(tx.audit(scope)) for scope in (HOME, ABROAD)],
            [tx.setting(name) for name in ("name", "another")],
        ]


class StoreContract:
    """What every store does. A subclass brings the fixture ``store``."""

    @pytest.fixture
    def store(self) -> Iterator[Store]:
        raise NotImplementedError


class InMemory:
    """Runs a part of the contract in memory."""

    @pytest.fixture
    def store(self) -> Iterator[Store]:
        store = MemoryStore()
        yield store
        store.close()


class InSqlite:
    """Runs a part of the contract on an SQLite file."""

    @pytest.fixture
    def store(self, tmp_path: Path) -> Iterator[Store]:
        store = SqlStore.sqlite(str(tmp_path / "secrets.db"))
        yield store
        store.close()


class InPostgres:
    """Runs a part of the contract on PostgreSQL."""

    @pytest.fixture
    def store(self, postgres_records: Store) -> Store:
        return postgres_records
