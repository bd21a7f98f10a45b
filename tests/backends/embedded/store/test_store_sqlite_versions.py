"""The version of an SQLite file's schema: newer is refused, older is migrated, wholly or never."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import Connection, text

from smclient_embedded.store import StoreError, sql_schema
from smclient_embedded.store.sql import SqlStore
from tests.backends.embedded.store.helpers_sqlite import a_secret, names, put

MIGRATIONS = tuple(sql_schema.MIGRATIONS)
CURRENT = sql_schema.schema_version()


def version_of(path: Path) -> bytes:
    with closing(sqlite3.connect(path)) as file:
        found = file.execute("SELECT value FROM settings WHERE name = 'smclient.schema'")
        return bytes(found.fetchone()[0])


def test_a_newer_version_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as newer:
        newer.setattr(sql_schema, "MIGRATIONS", (*MIGRATIONS, lambda connection: None))
        SqlStore.sqlite(str(path)).close()
    assert version_of(path) == b"%d" % (CURRENT + 1)
    said = rf"newer smclient: its schema is {CURRENT + 1}, .* up to {CURRENT}. Upgrade"
    with pytest.raises(StoreError, match=said):
        SqlStore.sqlite(str(path))


def test_an_older_version_is_migrated_step_by_step(
    store: SqlStore, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(store, a_secret())
    store.close()
    steps: list[int] = []

    def first(connection: Connection) -> None:
        steps.append(1)
        connection.execute(text("ALTER TABLE secrets ADD COLUMN extra TEXT"))

    def second(connection: Connection) -> None:
        steps.append(2)
        connection.execute(text("UPDATE secrets SET extra = name"))

    monkeypatch.setattr(sql_schema, "MIGRATIONS", (*MIGRATIONS, first, second))
    for _ in range(2):  # the second time there is nothing left to do
        with closing(SqlStore.sqlite(str(path))) as again:
            assert names(again) == ["db"]
    assert steps == [1, 2]
    assert version_of(path) == b"%d" % (CURRENT + 2)
    with closing(sqlite3.connect(path)) as file:
        assert file.execute("SELECT extra FROM secrets").fetchall() == [("db",)]


def test_a_migration_that_fails_changes_nothing(
    store: SqlStore, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(store, a_secret())
    store.close()

    def first(connection: Connection) -> None:
        connection.execute(text("ALTER TABLE secrets ADD COLUMN extra TEXT"))
        connection.execute(text("DELETE FROM secrets"))

    def second(connection: Connection) -> None:
        connection.execute(text("SELECT nothing FROM nowhere"))

    with monkeypatch.context() as newer:
        newer.setattr(sql_schema, "MIGRATIONS", (*MIGRATIONS, first, second))
        with pytest.raises(StoreError):
            SqlStore.sqlite(str(path))
    assert version_of(path) == b"%d" % CURRENT
    with closing(SqlStore.sqlite(str(path))) as again:
        assert names(again) == ["db"]


def test_the_schemas_own_settings_are_not_to_be_changed(store: SqlStore) -> None:
    with (
        pytest.raises(ValueError, match="belong to the store"),
        store.transaction(write=True) as tx,
    ):
        tx.put_setting("smclient.schema", b"9")
