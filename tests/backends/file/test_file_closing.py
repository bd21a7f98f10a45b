"""Closing a store while others use it: nothing is ever written or read under keys that are gone."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from smclient_file import FileStore
from smclient_file.crypto import Place, StoreKeys
from smclient_file.errors import FileStoreError
from tests.backends.file.helpers_file import CANARY, arn, fork, put, value, wait

Make = Callable[..., Path]
Open = Callable[..., FileStore]


def test_closing_waits_for_the_write_under_way(path: Path, open_file: Open) -> None:
    """What was begun before ends well, and the file opens with its key afterwards."""
    store = open_file(path)
    with ThreadPoolExecutor(1) as pool:
        with store.transaction(write=True) as tx:
            tx.put_setting("name", b"before")
            closing = pool.submit(store.close)
            with pytest.raises(TimeoutError):
                closing.result(timeout=0.1)
            tx.put_setting("name", b"after")
        closing.result()
    with open_file(path).transaction(write=False) as tx:
        assert tx.setting("name") == b"after"
    assert value(open_file(path), "app/key") == CANARY.encode()
    with pytest.raises(FileStoreError, match="closed"):
        put(store, "app/db", "later", "v9")


def test_a_write_in_which_the_store_is_closed_is_refused(path: Path, open_file: Open) -> None:
    """By the writer itself, for which nobody can wait; and by whoever waited long enough."""
    before = path.read_bytes()

    def by_itself(store: FileStore) -> None:
        store.close()

    def by_another(store: FileStore) -> None:
        with ThreadPoolExecutor(1) as pool:
            pool.submit(store.close).result()

    def write(store: FileStore, close: Callable[[FileStore], None]) -> None:
        with store.transaction(write=True) as tx:
            tx.remove_secret(arn("app/db"))
            close(store)

    for close in (by_itself, by_another):
        with pytest.raises(FileStoreError, match="the store was closed"):
            write(open_file(path, lock_timeout=0.05), close)
        assert path.read_bytes() == before
        assert value(open_file(path), "app/key") == CANARY.encode()


def test_a_change_of_keys_in_which_the_store_is_closed_is_refused(
    path: Path, open_file: Open
) -> None:
    store, before = open_file(path), path.read_bytes()
    with pytest.raises(FileStoreError, match="the store was closed"):
        store.rewrite(lambda base: (store.close(), (base.header, base.keys, base.tables))[1])
    assert path.read_bytes() == before


def test_a_store_that_was_closed_takes_up_no_keys_again(path: Path, open_file: Open) -> None:
    """Though a transaction for reading was begun before."""
    store = open_file(path)
    with store.transaction(write=False) as tx:
        store.close()
        with pytest.raises(FileStoreError, match="closed"):
            tx.secret(arn("app/db"))
    assert store._generation is None


def test_wiped_keys_refuse_all_work() -> None:
    """They are zeros then, which everybody has: a file under them would be nobody's secret."""
    keys, place = StoreKeys(b"k" * 32, store_id="one"), Place("a", "v", "string")
    sealed = keys.seal(b"value", place, 1)
    keys.wipe()
    for work in (
        lambda: keys.mac(b"data", 1),
        lambda: keys.seal(b"value", place, 1),
        lambda: keys.open(sealed, place, 1),
        lambda: keys.rewrap(sealed, place, 1, keys, 2),
    ):
        with pytest.raises(FileStoreError, match="wiped"):
            work()


def test_a_forked_child_does_not_go_on_with_the_keys_of_a_write(
    path: Path, open_file: Open
) -> None:
    store = open_file(path)
    with store.transaction(write=True) as tx:
        tx.put_setting("name", b"of the parent")

        def work() -> None:
            with pytest.raises(FileStoreError):
                tx.put_setting("name", b"of the child")

        assert wait(fork(work)) == 0
    with open_file(path).transaction(write=False) as tx:
        assert tx.setting("name") == b"of the parent"
