"""What a store in PostgreSQL does beyond the contract: opening, versions, NULs, lost servers."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import Connection, event, text

from smclient.backend import BackendUrl
from smclient.clock import SYSTEM_CLOCK
from smclient.errors import ConfigError, UnknownSettingError
from smclient_demo.postgres_server import PostgresServer
from smclient_embedded.store import SecretQuery, Store, StoreError, load_store, sql_schema
from smclient_embedded.store.sql import SqlStore
from tests.backends.embedded.conftest import DATABASE, opened
from tests.backends.embedded.store.helpers_contract import (
    HOME,
    a_job,
    a_secret,
    a_version,
    an_event,
    arn_of,
    names,
    put,
)


@pytest.fixture
def store(postgres_records: SqlStore) -> SqlStore:
    return postgres_records


@pytest.fixture
def database(store: SqlStore, stores_database: PostgresServer) -> Iterator[psycopg.Connection[Any]]:
    """A connection past the store."""
    with stores_database.connect(dbname=DATABASE) as connection:
        yield connection


def names_in(store: Store) -> list[str]:
    with store.transaction(write=False) as tx:
        return names(tx, SecretQuery())


# --- opening --------------------------------------------------------------------------------------


def test_opening_again_keeps_all(store: SqlStore, postgres_url: str) -> None:
    put(store, a_secret())
    with closing(load_store(BackendUrl.parse(postgres_url), clock=SYSTEM_CLOCK)) as again:
        assert names_in(again) == ["db"]


def test_many_open_an_empty_database_at_once(postgres_url: str) -> None:
    barrier = threading.Barrier(6)

    def open_it(number: int) -> None:
        barrier.wait()
        with closing(opened(postgres_url)) as store:
            put(store, a_secret(f"{number}"))

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(open_it, range(6)))
    with closing(opened(postgres_url)) as store:
        assert sorted(names_in(store)) == list("012345")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda url: url.replace("postgres@", "postgres:hunter2@"), "a password in it"),
        (lambda url: url.replace("/stores", "/stores/more"), "user@host:port/database"),
        (lambda url: url + "&connections=1", "between 2 and 1000"),
        (lambda url: url + "&connections=many", "between 2 and 1000"),
    ],
)
def test_a_url_that_cannot_be(postgres_url: str, change: Callable[[str], str], said: str) -> None:
    with pytest.raises(ConfigError, match=said) as caught:
        opened(change(postgres_url))
    assert "hunter2" not in str(caught.value)


def test_an_option_that_nobody_reads_is_refused(postgres_url: str) -> None:
    with pytest.raises(UnknownSettingError, match="sslmodus"):
        load_store(BackendUrl.parse(postgres_url + "&sslmodus=require"), clock=SYSTEM_CLOCK)


def test_a_database_that_is_not_there(postgres_url: str) -> None:
    with pytest.raises(StoreError, match=r"cannot be opened \(.*nowhere"):
        opened(postgres_url.replace(DATABASE, "nowhere"))


def test_a_login_that_is_refused(
    stores_database: PostgresServer, postgres_url: str, tmp_path: Path
) -> None:
    passfile = tmp_path / "passfile"
    passfile.touch(mode=0o600)
    passfile.write_text("*:*:*:*:canary-wrong-password\n")
    base = postgres_url.partition("?")[0]
    with pytest.raises(StoreError, match="cannot be opened .*PGPASSFILE") as caught:
        opened(f"{base}?passfile={passfile}")
    assert "canary" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_server_that_is_not_there(passfile: Path) -> None:
    with pytest.raises(StoreError, match="cannot be opened .*server is up"):
        opened(f"embedded+postgresql://postgres@127.0.0.1:1/{DATABASE}?passfile={passfile}")


def test_a_database_of_something_else_is_refused(
    postgres_url: str, stores_database: PostgresServer
) -> None:
    with stores_database.connect(dbname=DATABASE) as database:
        database.execute("CREATE TABLE settings (key TEXT)")
    with pytest.raises(StoreError, match="not a store of smclient"):
        opened(postgres_url)


# --- versions of the schema -----------------------------------------------------------------------


def schema_of(database: psycopg.Connection[Any]) -> int:
    found = database.execute("SELECT value FROM settings WHERE name = 'smclient.schema'").fetchone()
    assert found is not None
    return int(found[0])


def test_a_newer_version_is_refused(
    store: SqlStore, database: psycopg.Connection[Any], postgres_url: str
) -> None:
    newer = b"%d" % (sql_schema.schema_version() + 1)
    database.execute("UPDATE settings SET value = %s WHERE name = 'smclient.schema'", [newer])
    with pytest.raises(StoreError, match="newer smclient: its schema is .* Upgrade"):
        opened(postgres_url)


def test_of_many_nodes_one_migrates(
    store: SqlStore,
    database: psycopg.Connection[Any],
    postgres_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    put(store, a_secret())
    runs: list[int] = []

    def migrate(connection: Connection) -> None:
        runs.append(1)
        connection.execute(text("ALTER TABLE secrets ADD COLUMN extra TEXT"))
        connection.execute(text("UPDATE secrets SET extra = name"))

    before = sql_schema.schema_version()
    monkeypatch.setattr(sql_schema, "MIGRATIONS", (*sql_schema.MIGRATIONS, migrate))
    with ThreadPoolExecutor(4) as pool:
        for again in pool.map(opened, [postgres_url] * 4):
            assert names_in(again) == ["db"]
            again.close()
    assert runs == [1]
    assert schema_of(database) == before + 1
    assert database.execute("SELECT extra FROM secrets").fetchall() == [("db",)]


def test_a_migration_that_fails_changes_nothing(
    store: SqlStore,
    database: psycopg.Connection[Any],
    postgres_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    put(store, a_secret())

    def fail(connection: Connection) -> None:
        connection.execute(text("DELETE FROM secrets"))
        connection.execute(text("SELECT nothing FROM nowhere"))

    before = schema_of(database)
    with monkeypatch.context() as newer:
        newer.setattr(sql_schema, "MIGRATIONS", (*sql_schema.MIGRATIONS, fail))
        with pytest.raises(StoreError):
            opened(postgres_url)
    assert schema_of(database) == before
    assert names_in(store) == ["db"]


# --- text -----------------------------------------------------------------------------------------


def test_text_may_hold_the_sign_that_postgresql_refuses(store: SqlStore) -> None:
    arn = arn_of("db")
    texts = ["\0", "\1", "a\0b\1c", "\1\1\2\0\0", "\1\2\0\1"]
    for written in texts:
        secret = a_secret(description=written, kms_key_id=written, tags=((written, written),))
        job = replace(a_job(arn), token=written, last_error=written)
        put(store, secret, a_version(arn, written), job)
        with store.transaction(write=True) as tx:
            tx.put_label(arn, written, written)
            assert tx.secret(arn) == secret
            assert tx.rotation_job(arn) == job
    with store.transaction(write=False) as tx:
        assert [version.version_id for version in tx.versions(arn)] == texts
        assert dict(tx.labels(arn)) == {written: written for written in texts}
        assert list(tx.labels(arn)) == sorted(texts)


def test_names_sort_by_code_point_whatever_the_locale(store: SqlStore) -> None:
    texts = ["a", "B", "Z", "é", "\x01", "a\0", "a\x01", "a\x02", "-", "_"]
    put(store, *(a_secret(name) for name in texts))
    with store.transaction(write=False) as tx:
        assert names(tx, SecretQuery(sort_by="name")) == sorted(texts)
        assert names(tx, SecretQuery(sort_by="name", prefixes=("a",))) == [
            "a", "a\0", "a\x01", "a\x02"
        ]  # fmt: skip


# --- many at once ---------------------------------------------------------------------------------


def test_a_reader_sees_one_state_and_waits_for_nobody(store: SqlStore, postgres_url: str) -> None:
    put(store, a_secret())
    with closing(opened(postgres_url)) as other:
        with store.transaction(write=False) as reading, other.transaction(write=True) as writing:
            writing.put_secret(a_secret(description="new"))
            writing.put_secret(a_secret("second"))
            assert reading.secret(arn_of("db")) == a_secret()
            assert names(reading, SecretQuery()) == ["db"]
        assert names_in(store) == ["db", "second"]


def test_what_another_node_wrote_is_seen_at_once(store: SqlStore, postgres_url: str) -> None:
    with closing(opened(postgres_url)) as other:
        for turn in range(5):
            put(other, a_secret(description=f"{turn}"))
            with store.transaction(write=False) as tx:
                assert tx.secret(arn_of("db")) == a_secret(description=f"{turn}")


def test_a_read_is_asked_once_while_nothing_changes(store: SqlStore) -> None:
    put(store, a_secret())
    asked: list[str] = []

    @event.listens_for(store._engine, "before_cursor_execute")
    def note(conn: Any, cursor: Any, statement: str, *_: Any) -> None:
        asked.append(statement)

    for _ in range(3):
        with store.transaction(write=False) as tx:
            assert tx.secret(arn_of("db")) == a_secret()
    assert sum("FROM secrets" in statement for statement in asked) == 1


def test_writers_of_two_nodes_take_turns(store: SqlStore, postgres_url: str) -> None:
    with store.transaction(write=True) as tx:
        tx.put_setting("count", b"0")
    with closing(opened(postgres_url)) as other:

        def work(node: Store) -> None:
            for _ in range(25):
                with node.transaction(write=True) as tx:
                    tx.put_setting("count", b"%d" % (int(tx.setting("count") or b"") + 1))

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(work, [store, other, store, other]))
    with store.transaction(write=False) as tx:
        assert tx.setting("count") == b"100"


def test_a_writer_does_not_wait_for_ever(store: SqlStore, postgres_url: str) -> None:
    with closing(opened(postgres_url, wait=0.05)) as other, store.transaction(write=True) as tx:
        tx.put_secret(a_secret())
        with pytest.raises(StoreError, match="is locked: another node"):
            put(other, a_secret("other"))


def test_the_audit_trail_waits_for_no_writer(store: SqlStore, postgres_url: str) -> None:
    with closing(opened(postgres_url, wait=0.05)) as other:
        with other.transaction(write=True) as tx:  # its first record trims, which needs the turn
            tx.append_audit([an_event(0)])
        with store.transaction(write=True) as writing:
            writing.put_secret(a_secret())
            with other.transaction(write=True) as tx:
                tx.append_audit([an_event(1)])
    with store.transaction(write=False) as tx:
        assert [record.event_id for record in tx.audit(HOME)] == ["event-1", "event-0"]


def test_a_writer_within_a_writer_is_told(store: SqlStore) -> None:
    with (
        store.transaction(write=True),
        pytest.raises(RuntimeError),
        store.transaction(write=True),
    ):
        pass


# --- a server that goes away ----------------------------------------------------------------------


def cut(database: psycopg.Connection[Any]) -> None:
    """End every other connection to the database."""
    database.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )


def test_connections_lost_while_idle_are_replaced(
    store: SqlStore, database: psycopg.Connection[Any]
) -> None:
    put(store, a_secret())
    assert names_in(store) == ["db"]
    for _ in range(2):
        cut(database)
        assert names_in(store) == ["db"]
        cut(database)
        put(store, a_secret(description="changed"))


def test_a_connection_lost_under_way_is_told_and_the_next_is_fine(
    store: SqlStore, database: psycopg.Connection[Any]
) -> None:
    put(store, a_secret())

    def write() -> None:
        with store.transaction(write=True) as tx:
            tx.put_secret(a_secret(description="lost"))
            cut(database)
            tx.put_secret(a_secret("other"))

    def read() -> None:
        with store.transaction(write=False) as tx:
            cut(database)
            tx.page(HOME, SecretQuery())

    for use in (write, read):
        with pytest.raises(StoreError, match="connection to the server was lost|shutting down"):
            use()
    put(store, a_secret("next"))
    with store.transaction(write=False) as tx:
        assert tx.secret(arn_of("db")) == a_secret()
        assert names(tx, SecretQuery()) == ["db", "next"]


def test_after_closing(store: SqlStore) -> None:
    store.close()
    store.close()
    for write in (False, True):
        with pytest.raises(StoreError, match="is closed"), store.transaction(write=write):
            pass


def test_no_parameter_in_errors(store: SqlStore) -> None:
    with pytest.raises(StoreError) as caught, store.transaction(write=True) as tx:
        tx.put_secret(a_secret(description="canary \ud800"))
    assert "canary" not in str(caught.value)
    assert caught.value.__cause__ is None
