"""What is particular to the SQLite file: durability, who may read it, versions, faults, speed."""

from __future__ import annotations

import os
import sqlite3
import stat
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, event, text

from smclient.backend import BackendUrl
from smclient.clock import SYSTEM_CLOCK
from smclient_embedded.store import (
    AuditRecord,
    RotationJob,
    RotationSettings,
    Scope,
    Sealed,
    SecretQuery,
    SecretRecord,
    StoreConflict,
    StoreError,
    VersionRecord,
    open_store,
    sql,
    sql_schema,
)
from smclient_embedded.store.sql import SqlStore

HOME = Scope("111122223333", "eu-west-1")
NOW = datetime(2026, 3, 4, 5, 6, 7, 890123, tzinfo=UTC)
CANARY = "canary-3f9a"
MIGRATIONS = tuple(sql_schema.MIGRATIONS)
CURRENT = sql_schema.schema_version()

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


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "secrets.db"


@pytest.fixture
def store(path: Path) -> Iterator[SqlStore]:
    store = SqlStore.sqlite(str(path), wait=5.0)
    yield store
    store.close()


# --- opening --------------------------------------------------------------------------------------


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


# --- versions of the schema -----------------------------------------------------------------------


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


# --- many at once ---------------------------------------------------------------------------------


def test_a_reader_does_not_wait_for_a_writer(store: SqlStore) -> None:
    put(store, a_secret("before"))
    with store.transaction(write=True) as tx:
        tx.put_secret(a_secret("under way"))
        with ThreadPoolExecutor(1) as pool:  # would wait for as long as this block lasts
            assert pool.submit(names, store).result(timeout=4.0) == ["before"]
    assert names(store) == ["before", "under way"]


def test_a_reader_sees_one_snapshot(store: SqlStore) -> None:
    put(store, a_secret("before"))
    with store.transaction(write=False) as tx:
        assert tx.secret_named(HOME, "before") is not None
        put(store, a_secret("after"))  # and the writer does not wait for the reader
        with store.transaction(write=True) as other:
            other.remove_secret(a_secret("before").arn)
        assert [secret.name for secret in tx.page(HOME, SecretQuery()).secrets] == ["before"]
        assert tx.secret_named(HOME, "after") is None
    assert names(store) == ["after"]


def looked_up(store: SqlStore) -> tuple[object, ...]:
    """All that is read by a key."""
    arn = a_secret().arn
    with store.transaction(write=False) as tx:
        return (
            tx.secret(arn),
            tx.secret_named(HOME, "db"),
            tx.version(arn, "v1"),
            dict(tx.labels(arn)),
            tx.setting("name"),
        )


def test_what_another_process_writes_is_seen_at_once(store: SqlStore, path: Path) -> None:
    secret = a_secret()
    changes: list[Callable[[Any], object]] = [
        lambda tx: tx.put_secret(secret),
        lambda tx: tx.put_version(a_version(secret, "v1")),
        lambda tx: tx.put_label(secret.arn, "AWSCURRENT", "v1"),
        lambda tx: tx.put_setting("name", b"value"),
        lambda tx: tx.put_secret(replace(secret, description="changed")),
        lambda tx: tx.put_version(a_version(secret, "v1", b"changed")),
        lambda tx: tx.remove_label(secret.arn, "AWSCURRENT"),
        lambda tx: tx.remove_version(secret.arn, "v1"),
        lambda tx: tx.remove_secret(secret.arn),
    ]
    with closing(SqlStore.sqlite(str(path))) as other:  # knows nothing of the first one
        seen = [looked_up(store)]
        for change in changes:
            with other.transaction(write=True) as tx:
                change(tx)
            assert looked_up(store) == looked_up(store) == looked_up(other)
            assert looked_up(store) != seen[-1]
            seen.append(looked_up(store))


def test_an_old_snapshot_leaves_nothing_to_later_readers(store: SqlStore) -> None:
    secret = a_secret()
    put(store, secret)
    with store.transaction(write=False) as old:
        assert old.secret_named(HOME, "other") is None
        put(store, replace(secret, description="changed"))
        assert looked_up(store)[0] == replace(secret, description="changed")
        assert old.secret(secret.arn) == secret
    assert looked_up(store)[0] == replace(secret, description="changed")


def test_what_was_undone_is_not_remembered(store: SqlStore) -> None:
    put(store, a_secret())
    before = looked_up(store)

    def change(tx: Any) -> None:
        tx.put_secret(a_secret(description="changed"))
        assert tx.secret(a_secret().arn) == a_secret(description="changed")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), store.transaction(write=True) as tx:
        change(tx)
    assert looked_up(store) == before


def test_no_number_of_readers_is_too_many(store: SqlStore) -> None:
    put(store, a_secret())
    together = threading.Barrier(24)

    def read() -> None:
        with store.transaction(write=False) as tx:
            together.wait(timeout=5.0)
            assert tx.secret(a_secret().arn) is not None

    with ThreadPoolExecutor(24) as pool:
        for future in [pool.submit(read) for _ in range(24)]:
            future.result()


def test_a_writer_within_a_writer_is_told(store: SqlStore) -> None:
    with store.transaction(write=True) as tx:
        tx.put_secret(a_secret())
        with pytest.raises(RuntimeError, match="inside another one"):
            put(store, a_secret("other"))
    assert names(store) == ["db"]


def test_a_thread_does_not_wait_for_ever(path: Path) -> None:
    with closing(SqlStore.sqlite(str(path), wait=0.02)) as store:
        with store.transaction(write=True), ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(put, store, a_secret())
            with pytest.raises(StoreError, match=r"locked: another thread .* Try again"):
                waiting.result()
        put(store, a_secret())


def test_a_process_does_not_wait_for_ever(store: SqlStore, path: Path) -> None:
    with closing(SqlStore.sqlite(str(path), wait=0.02)) as other:  # as another process would
        with (
            store.transaction(write=True),
            pytest.raises(StoreError, match=r"is locked: another process .* Try again"),
        ):
            put(other, a_secret())
        put(other, a_secret())


def test_after_closing(store: SqlStore) -> None:
    store.close()
    store.close()
    for write in (False, True):
        with (
            pytest.raises(StoreError, match="is closed"),
            store.transaction(write=write),
        ):
            pass


def test_a_transaction_under_way_outlives_closing(store: SqlStore, path: Path) -> None:
    with store.transaction(write=True) as tx:
        store.close()
        tx.put_secret(a_secret())
    with closing(SqlStore.sqlite(str(path))) as again:
        assert names(again) == ["db"]


def test_a_forked_process_is_told(store: SqlStore, monkeypatch: pytest.MonkeyPatch) -> None:
    put(store, a_secret())
    with monkeypatch.context() as child:
        child.setattr(sql.os, "getpid", lambda: -1)
        with (
            pytest.raises(StoreError, match=r"forked off.* Open it in each process"),
            store.transaction(write=False),
        ):
            pass
    assert names(store) == ["db"]


# --- several processes, one of which dies ---------------------------------------------------------

WRITER = """
import sys
from datetime import UTC, datetime
from smclient_embedded.store.records import Scope, Sealed, SecretRecord, VersionRecord
from smclient_embedded.store.sql import SqlStore

path, name, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
now = datetime(2026, 1, 1, tzinfo=UTC)
arn = f"arn:aws:secretsmanager:eu-west-1:111122223333:secret:{name}-AbCdEf"
store = SqlStore.sqlite(path)
with store.transaction(write=True) as tx:
    tx.put_secret(SecretRecord(arn, Scope("111122223333", "eu-west-1"), name, now, now))
for number in range(count):
    sealed = Sealed("key", b"w", b"n", b"%d" % number * 1000, {})
    with store.transaction(write=True) as tx:
        current = tx.labels(arn).get("AWSCURRENT")
        tx.put_version(VersionRecord(arn, str(number), now, sealed=sealed))
        tx.put_label(arn, "AWSCURRENT", str(number))
        if current is not None:
            tx.put_label(arn, "AWSPREVIOUS", current)
        total = int(tx.setting("total") or b"0") + 1
        tx.put_setting("total", b"%d" % total)
    print(number, flush=True)
store.close()
"""


def writer(path: Path, name: str, count: int) -> subprocess.Popen[str]:
    """Another process that adds versions and prints each number once it is acknowledged."""
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path), name, str(count)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )


def current_of(store: SqlStore, name: str) -> int:
    """The number of the current version, having seen that all before it are there."""
    with store.transaction(write=False) as tx:
        secret = tx.secret_named(HOME, name)
        assert secret is not None
        labels = tx.labels(secret.arn)
        versions = tx.versions(secret.arn)
    current = int(labels["AWSCURRENT"])
    assert [int(version.version_id) for version in versions] == list(range(current + 1))
    for number, version in enumerate(versions):
        assert version.sealed is not None
        assert version.sealed.ciphertext == b"%d" % number * 1000
    if current:
        assert labels["AWSPREVIOUS"] == str(current - 1)
    return current


def test_two_processes_make_and_write_one_store(path: Path) -> None:
    processes = [writer(path, name, 40) for name in ("one", "two")]
    for process in processes:
        output, _ = process.communicate(timeout=60)
        assert process.returncode == 0
        assert output.split() == [str(number) for number in range(40)]
    with closing(SqlStore.sqlite(str(path))) as store:
        assert {current_of(store, name) for name in ("one", "two")} == {39}
        with store.transaction(write=False) as tx:
            assert tx.setting("total") == b"80"


@posix
def test_kill_9_loses_nothing_that_was_acknowledged(path: Path) -> None:
    for turn, acknowledgements in enumerate((1, 17, 40)):
        with writer(path, f"s{turn}", 100_000) as process:
            assert process.stdout is not None
            for _ in range(acknowledgements):
                acknowledged = int(process.stdout.readline())
            process.kill()  # in the middle of whatever it does next
            rest, _ = process.communicate()
            acknowledged = max([acknowledged, *map(int, rest.split("\n")[:-1])])
        with closing(SqlStore.sqlite(str(path))) as store:
            assert current_of(store, f"s{turn}") in (acknowledged, acknowledged + 1)
            assert pragma(store, "integrity_check") == "ok"
            assert pragma(store, "foreign_key_check") is None


# --- faults ---------------------------------------------------------------------------------------


def test_a_full_disk(store: SqlStore, path: Path) -> None:
    secret = a_secret()
    put(store, secret)
    pragma(store, f"max_page_count={pragma(store, 'page_count') + 2}")

    def fill() -> None:
        with store.transaction(write=True) as tx:
            tx.put_secret(a_secret("other"))
            tx.put_version(a_version(secret, "v1", CANARY.encode() * 10_000))

    with pytest.raises(StoreError, match=r"secrets.db is full: .* Make room") as caught:
        fill()
    assert CANARY not in "".join(traceback.format_exception(caught.value))
    assert names(store) == ["db"]  # still to be read, nothing of it written
    pragma(store, "max_page_count=1000000")
    put(store, a_secret("other"))
    assert names(store) == ["db", "other"]


def test_a_file_that_cannot_be_written(store: SqlStore) -> None:
    pragma(store, "query_only=ON")
    with pytest.raises(StoreError, match=r"cannot be written: make file and folder writable"):
        put(store, a_secret())


def test_a_damaged_file(store: SqlStore, path: Path) -> None:
    put(store, *(a_secret(f"{number}") for number in range(200)))
    store.close()
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(size // 8 // 4096 * 4096)
        file.write(b"\xa5" * (size // 2))

    def use() -> None:
        with closing(SqlStore.sqlite(str(path))) as again:
            put(again, *(a_secret(f"{number}", suffix="ZyXwVu") for number in range(200)))

    with pytest.raises(StoreError, match="is damaged: restore a backup"):
        use()


def test_a_file_that_is_gone(store: SqlStore, path: Path) -> None:
    put(store, a_secret())
    store._engine.dispose()
    path.unlink()
    path.mkdir()
    with pytest.raises(StoreError, match=r"cannot be opened: check that file and folder are there"):
        names(store)


@pytest.mark.parametrize(
    "record",
    [
        a_secret(suffix="ZyXwVu", description=CANARY, tags=((CANARY, CANARY),)),
        a_secret("other", description=f"{CANARY}\ud800"),
        VersionRecord("arn:none", "v1", NOW, sealed=Sealed(CANARY, b"", b"", CANARY.encode(), {})),
    ],
)
def test_no_parameter_in_errors(path: Path, record: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "sqlalchemy.engine")
    with closing(SqlStore.sqlite(str(path))) as store:
        put(store, a_secret())
        with pytest.raises(StoreError) as caught, store.transaction(write=True) as tx:
            (tx.put_secret if isinstance(record, SecretRecord) else tx.put_version)(record)
    told = "".join(traceback.format_exception(caught.value))
    assert CANARY not in told
    assert "INSERT" not in told
    assert "INSERT" in caplog.text
    assert CANARY not in caplog.text


def test_text_that_is_not_unicode_is_refused(store: SqlStore) -> None:
    with pytest.raises(StoreError, match="not Unicode"):
        put(store, a_secret(description="\ud800"))
    put(store, a_secret())


def test_a_conflict_is_named(store: SqlStore) -> None:
    put(store, a_secret())
    with pytest.raises(StoreConflict, match="db is the name of another secret already"):
        put(store, a_secret(suffix="ZyXwVu"))


def test_naive_times_are_refused(store: SqlStore) -> None:
    with pytest.raises(StoreError, match="StatementError"):
        put(store, a_secret(changed_at=datetime(2026, 1, 1)))
    assert names(store) == []


# --- the same cost at any size --------------------------------------------------------------------


def plans(store: SqlStore, ask: Callable[[Any], object]) -> list[str]:
    """How SQLite goes about each statement that ``ask`` causes."""
    seen: list[tuple[str, Any]] = []

    def note(_c: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        seen.append((statement, parameters))

    event.listen(store._engine, "before_cursor_execute", note)
    try:
        with store.transaction(write=True) as tx:
            ask(tx)
    finally:
        event.remove(store._engine, "before_cursor_execute", note)
    steps: list[str] = []
    with store._connection(write=False) as connection:
        for statement, parameters in seen:
            one = parameters[0] if isinstance(parameters, list) else parameters
            rows = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", tuple(one))
            steps += [row.detail for row in rows]
    assert steps
    return steps


@pytest.mark.parametrize("down", [False, True])
@pytest.mark.parametrize("include_deleted", [False, True])
@pytest.mark.parametrize("order", ["created", "changed", "accessed", "name"])
def test_a_page_is_a_range_of_one_index(
    store: SqlStore, order: Any, include_deleted: bool, down: bool
) -> None:
    put(store, a_secret("a"), a_secret("b"), a_secret("c"))
    query = SecretQuery(order, down, include_deleted, limit=1)
    with store.transaction(write=False) as tx:
        after = tx.page(HOME, query).positions[-1]
    for page in (query, replace(query, after=after)):
        for step in plans(store, lambda tx, page=page: tx.page(HOME, page)):
            assert step.startswith(f"SEARCH secrets USING INDEX page_{order} (account=? AND")
    if order == "name":  # both ends of the range, with one condition each
        (step, *_) = plans(store, lambda tx: tx.page(HOME, replace(page, prefixes=("",))))
        assert "name>" in step
        (step, *_) = plans(store, lambda tx: tx.page(HOME, replace(page, prefixes=("a",))))
        assert "name>? AND name<?" in step


@pytest.mark.parametrize("order", ["created", "changed", "accessed"])
def test_a_prefix_in_another_order_is_a_range_of_names(store: SqlStore, order: Any) -> None:
    put(store, a_secret("a"))
    query = SecretQuery(order, prefixes=("a",), after="1" if order == "created" else "1.1")
    count, search, sort = plans(store, lambda tx: tx.page(HOME, query))[-3:]
    assert "page_name (account=? AND region=? AND is_deleted=? AND name>? AND name<?)" in search
    assert sort == "USE TEMP B-TREE FOR ORDER BY"  # of few, which were counted
    assert "SCAN" in count  # of the rows counted


@pytest.mark.parametrize("order", ["created", "changed", "accessed"])
def test_a_prefix_of_very_many_walks_the_order(
    store: SqlStore, order: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("smclient_embedded.store.sql_pages.MANY", 0)
    put(store, a_secret("a"))
    query = SecretQuery(order, prefixes=("a", "b"))
    *_, step = plans(store, lambda tx: tx.page(HOME, query))
    assert step.startswith(f"SEARCH secrets USING INDEX page_{order} (account=? AND")


@pytest.mark.parametrize(
    ("ask", "index"),
    [
        (lambda tx: tx.secret("arn"), "(arn=?)"),
        (lambda tx: tx.secret_named(HOME, "db"), "(account=? AND region=? AND name=?)"),
        (lambda tx: tx.secrets_with_stem("stem"), "ix_secrets_stem (stem=?)"),
        (lambda tx: tx.version("arn", "v1"), "(arn=? AND version_id=?)"),
        (lambda tx: tx.labels("arn"), "(arn=?)"),
        (lambda tx: tx.secrets_to_delete(NOW, 9), "due_delete_after (delete_after<?)"),
        (lambda tx: tx.rotations_due(NOW, 9), "due_rotation_due_at (rotation_due_at<?)"),
        (
            lambda tx: tx.claim_rotation_jobs(NOW, owner="a", leased_until=NOW, limit=9),
            "due_jobs (due_at<?)",
        ),
        (lambda tx: tx.keys(HOME), "keys_of_scope (account=? AND region=?)"),
        (lambda tx: tx.audit(HOME), "audit_of_scope (account=? AND region=?)"),
        (
            lambda tx: tx.audit(HOME, event_name="Put"),
            "audit_of_event (account=? AND region=? AND event_name=?)",
        ),
    ],
)
def test_lookups_use_an_index(store: SqlStore, ask: Callable[[Any], object], index: str) -> None:
    secret = a_secret(rotation=RotationSettings(True, next_rotation_at=NOW), delete_after=NOW)
    put(store, secret)
    with store.transaction(write=True) as tx:
        tx.put_rotation_job(RotationJob(secret.arn, "token", NOW, NOW + timedelta(1)))
        tx.append_audit([AuditRecord("event", HOME, NOW, "Put", {})])
    steps = plans(store, ask)
    assert index in steps[0]
    assert not [step for step in steps if step.startswith("SCAN")]


def test_the_trail_of_many_reads_is_few_runs_of_the_driver(store: SqlStore) -> None:
    """Each run, and each row of ``executemany``, lets other threads have the interpreter, which
    may take 5 ms to come back."""
    rows_of_many: list[int] = []
    runs = 0

    def note(_conn: Any, _cursor: Any, statement: str, given: Any, _ctx: Any, many: bool) -> None:
        nonlocal runs
        if statement.startswith("INSERT INTO audit"):
            runs += 1
            if many:
                rows_of_many.append(len(given))

    event.listen(store._engine, "before_cursor_execute", note)
    reads = [AuditRecord(f"e{n}", HOME, NOW, "GetSecretValue", {}) for n in range(512)]
    with store.transaction(write=True) as tx:
        tx.append_audit(reads)
    assert rows_of_many == []
    assert 0 < runs <= 8
