"""Faults of an SQLite file: each is named with what to do, and shows no value."""

from __future__ import annotations

import traceback
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from smclient_embedded.store import Sealed, SecretRecord, StoreConflict, StoreError, VersionRecord
from smclient_embedded.store.sql import SqlStore
from tests.backends.embedded.store.helpers_sqlite import (
    NOW,
    a_secret,
    a_version,
    names,
    pragma,
    put,
)

CANARY = "canary-3f9a"


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
