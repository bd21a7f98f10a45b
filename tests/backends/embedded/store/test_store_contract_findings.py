"""Every store: what was found out from one state of it is recalled in that state only."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from smclient_embedded.store import Store, Transaction
from smclient_embedded.store.sql import SqlStore
from tests.backends.embedded.conftest import opened
from tests.backends.embedded.store.helpers_contract import (
    InMemory,
    InPostgres,
    InSqlite,
    StoreContract,
    a_job,
    a_key,
    a_secret,
    a_version,
    an_event,
    arn_of,
    put,
)

ARN = arn_of("db")


def full(store: Store) -> None:
    put(store, a_secret(), a_version(ARN), a_version(ARN, "v2"), a_job(ARN), a_key())
    with store.transaction(write=True) as tx:
        tx.put_label(ARN, "AWSCURRENT", "v1")
        tx.put_setting("name", b"value")


def kept(store: Store, finding: str = "found") -> None:
    with store.transaction(write=False) as tx:
        tx.keep(("place", 1), finding)


class GivenUp(Exception):
    """Raised by tests in the middle of a transaction."""


def given_up(store: Store, work: Callable[[Transaction], object]) -> None:
    with suppress(GivenUp), store.transaction(write=True) as tx:
        work(tx)
        raise GivenUp


CHANGES: dict[str, Callable[[Transaction], object]] = {
    "a secret": lambda tx: tx.put_secret(a_secret(description="other")),
    "a removed secret": lambda tx: tx.remove_secret(ARN),
    "a version": lambda tx: tx.put_version(a_version(ARN, kind="binary")),
    "a removed version": lambda tx: tx.remove_version(ARN, "v2"),
    "a label": lambda tx: tx.put_label(ARN, "AWSCURRENT", "v2"),
    "a removed label": lambda tx: tx.remove_label(ARN, "AWSCURRENT"),
    "a rotation": lambda tx: tx.put_rotation_job(replace(a_job(ARN), attempts=1)),
    "a removed rotation": lambda tx: tx.remove_rotation_job(ARN),
    "a key": lambda tx: tx.put_key(a_key(state="Disabled")),
    "a removed key": lambda tx: tx.remove_key(a_key().arn),
    "a setting": lambda tx: tx.put_setting("name", b"other"),
}


class FindingsContract(StoreContract):
    """What ``keep`` and ``recall`` promise."""

    def test_a_finding_is_recalled_under_its_key(self, store: Store) -> None:
        full(store)
        kept(store)
        assert store.recall(("place", 1)) == "found"
        assert store.recall(("place", 2)) is None

    def test_what_is_recorded_in_the_trail_ends_no_finding(self, store: Store) -> None:
        full(store)
        kept(store)
        with store.transaction(write=True) as tx:
            tx.append_audit([an_event(1)])
        assert store.recall(("place", 1)) == "found"

    @pytest.mark.parametrize("change", CHANGES)
    def test_every_change_ends_it(self, store: Store, change: str) -> None:
        full(store)
        kept(store)
        with store.transaction(write=True) as tx:
            CHANGES[change](tx)
        assert store.recall(("place", 1)) is None

    def test_it_holds_until_a_change_is_committed_or_is_forgotten(self, store: Store) -> None:
        full(store)
        kept(store)
        given_up(store, lambda tx: tx.put_setting("name", b"never"))
        assert store.recall(("place", 1)) in ("found", None)
        kept(store, "found again")
        assert store.recall(("place", 1)) == "found again"

    def test_a_transaction_that_writes_keeps_nothing(self, store: Store) -> None:
        """What it found out is of a state that may never be."""
        full(store)
        with store.transaction(write=True) as tx:
            tx.keep(("place", 1), "found")
            tx.put_setting("name", b"other")
            tx.keep(("place", 1), "found")
        assert store.recall(("place", 1)) is None

    def test_findings_are_bounded(self, store: Store) -> None:
        full(store)
        for number in range(5000):
            with store.transaction(write=False) as tx:
                tx.keep(number, "found")
        recalled = [n for n in range(5000) if store.recall(n) is not None]
        assert 0 < len(recalled) <= 2049


class TestMemoryStore(InMemory, FindingsContract):
    def test_what_is_read_inside_a_change_is_not_kept(self, store: Store) -> None:
        given_up(store, lambda tx: (tx.put_setting("name", b"never"), kept(store)))
        assert store.recall(("place", 1)) is None


class TestSqliteStore(InSqlite, FindingsContract):
    def test_another_process_ends_it_too(self, store: SqlStore, tmp_path: Path) -> None:
        full(store)
        kept(store)
        other = SqlStore.sqlite(str(tmp_path / "secrets.db"))
        with other.transaction(write=True) as tx:
            tx.put_setting("name", b"other")
        other.close()
        assert store.recall(("place", 1)) is None

    def test_a_reader_that_began_before_a_change_keeps_for_its_own_state(
        self, store: SqlStore
    ) -> None:
        full(store)
        with store.transaction(write=False) as tx:
            assert tx.setting("name") == b"value"
            with store.transaction(write=True) as writing:
                writing.put_setting("name", b"other")
            tx.keep(("place", 1), "value")
        assert store.recall(("place", 1)) is None

    def test_looking_leaves_no_transaction_open(self, store: SqlStore, tmp_path: Path) -> None:
        """One would keep the write-ahead log from being cut."""
        full(store)
        kept(store)
        assert store.recall(("place", 1)) == "found"
        assert all(not reader._driver.in_transaction for reader in store._reads._idle)


class TestPostgresStore(InPostgres, FindingsContract):
    def test_another_node_ends_it_too(self, store: SqlStore, postgres_url: str) -> None:
        full(store)
        kept(store)
        other = opened(postgres_url)
        with other.transaction(write=True) as tx:
            tx.put_setting("name", b"other")
        other.close()
        assert store.recall(("place", 1)) is None
