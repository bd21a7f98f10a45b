"""Readers, writers and closing in one process, or with another one, on one SQLite file."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from smclient_embedded.store import SecretQuery, StoreError, sql
from smclient_embedded.store.sql import SqlStore
from tests.backends.embedded.store.helpers_sqlite import HOME, a_secret, a_version, names, put


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
