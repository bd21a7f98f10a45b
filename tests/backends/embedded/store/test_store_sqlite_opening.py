"""Opening an SQLite file: what is on the disk, who may read it, what is refused."""

from __future__ import annotations

import os
import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest

from smclient.backend import BackendUrl
from smclient.clock import SYSTEM_CLOCK
from smclient_embedded.store import SecretQuery, StoreError, open_store
from smclient_embedded.store.sql import SqlStore
from tests.backends.embedded.store.helpers_sqlite import (
    HOME,
    a_secret,
    a_version,
    posix,
    pragma,
    put,
)


def test_what_is_acknowledged_is_on_the_disk(store: SqlStore) -> None:
    assert pragma(store, "journal_mode") == "wal"
    assert pragma(store, "synchronous") == 2  # FULL: the log is flushed with each commit
    assert pragma(store, "foreign_keys") == 1
    assert pragma(store, "busy_timeout") == 5000


def test_every_connection_is_set_up(store: SqlStore) -> None:
    with store._connection(write=False), store._connection(write=False) as second:
        assert second.exec_driver_sql("PRAGMA synchronous").scalar() == 2
        assert second.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1


def test_opening_again_keeps_all(store: SqlStore, path: Path) -> None:
    secret = a_secret(tags=(("a", "b"),))
    put(store, secret)
    with store.transaction(write=True) as tx:
        tx.put_version(a_version(secret, "v1"))
        tx.put_label(secret.arn, "AWSCURRENT", "v1")
    store.close()
    with closing(SqlStore.sqlite(str(path))) as again, again.transaction(write=False) as tx:
        assert tx.secret(secret.arn) == secret
        assert tx.version(secret.arn, "v1") == a_version(secret, "v1")
        assert dict(tx.labels(secret.arn)) == {"AWSCURRENT": "v1"}
    assert sorted(file.name for file in path.parent.iterdir()) == ["secrets.db"]


def test_the_order_of_creation_survives_removals(store: SqlStore, path: Path) -> None:
    put(store, a_secret("a"), a_secret("b"))
    with store.transaction(write=False) as tx:
        last = tx.page(HOME, SecretQuery()).positions[-1]
    with store.transaction(write=True) as tx:
        tx.remove_secret(a_secret("b").arn)
    store.close()
    with closing(SqlStore.sqlite(str(path))) as again:
        put(again, a_secret("c"))  # comes after b though b is gone
        with again.transaction(write=False) as tx:
            assert [s.name for s in tx.page(HOME, SecretQuery(after=last)).secrets] == ["c"]


def test_a_relative_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with closing(SqlStore.sqlite(":memory:")) as store:  # a file like any other
        (tmp_path / "elsewhere").mkdir()
        monkeypatch.chdir(tmp_path / "elsewhere")
        put(store, a_secret())
    assert (tmp_path / ":memory:").stat().st_size > 0


def test_by_url(path: Path) -> None:
    store = open_store(BackendUrl.parse(f"embedded://{path}"), clock=SYSTEM_CLOCK)
    store.close()
    assert path.is_file()


@posix
def test_files_are_the_owners_alone(path: Path) -> None:
    before = os.umask(0)
    try:
        store = SqlStore.sqlite(str(path))
    finally:
        os.umask(before)
    with closing(store):
        put(store, a_secret())
        files = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
        assert files == dict.fromkeys(["secrets.db", "secrets.db-wal", "secrets.db-shm"], 0o600)


@posix
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o666])
def test_a_file_open_to_others_is_refused(path: Path, mode: int) -> None:
    SqlStore.sqlite(str(path)).close()
    path.chmod(mode)
    with pytest.raises(StoreError, match=rf"open to other users: chmod 600 {path}"):
        SqlStore.sqlite(str(path))
    assert stat.S_IMODE(path.stat().st_mode) == mode


def test_an_empty_file_is_filled(path: Path) -> None:
    path.touch(mode=0o600)
    with closing(SqlStore.sqlite(str(path))) as store:
        put(store, a_secret())


def test_a_missing_folder_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="there is no folder"):
        SqlStore.sqlite(str(tmp_path / "none" / "secrets.db"))
    assert list(tmp_path.iterdir()) == []


def test_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="it is a folder"):
        SqlStore.sqlite(str(tmp_path))


@pytest.mark.parametrize("name", ["", "a\0b"])
def test_no_path_at_all_is_refused(name: str) -> None:
    with pytest.raises(StoreError, match="needs the path of a file"):
        SqlStore.sqlite(name)


def test_a_path_through_a_file_is_refused(path: Path) -> None:
    path.touch(mode=0o600)
    with pytest.raises(StoreError, match="cannot be made"):
        SqlStore.sqlite(str(path / "secrets.db"))


@pytest.mark.parametrize("content", [b"x", b"not a database\n" * 1000, b"SQLite format 3\0" * 99])
def test_another_kind_of_file_is_refused(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(StoreError, match=r"is not an SQLite file|is damaged"):
        SqlStore.sqlite(str(path))
    assert path.read_bytes() == content


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE other (a)",
        "CREATE TABLE settings (a)",
        "CREATE TABLE settings (name, value)",
        "CREATE TABLE settings AS SELECT 'smclient.magic' AS name, x'00' AS value",
    ],
)
def test_a_database_of_something_else_is_refused(path: Path, statement: str) -> None:
    with closing(sqlite3.connect(path)) as other:
        other.execute(statement)
        other.commit()
    path.chmod(0o600)
    with pytest.raises(StoreError, match="not a store of smclient"):
        SqlStore.sqlite(str(path))
