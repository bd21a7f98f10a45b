"""Every store: a transaction is whole or was not there, and many may run at once."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from smclient_embedded.store import SecretQuery, Store, Transaction
from tests.backends.embedded.store.helpers_contract import (
    ABROAD,
    HOME,
    LATER,
    NOW,
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
    everything,
    names,
    put,
)


class Broken(Exception):
    """Raised by tests in the middle of a transaction."""


class TransactionsContract(StoreContract):
    """What a transaction promises, alone and among others."""

    def test_an_empty_store_has_nothing(self, store: Store) -> None:
        arn = arn_of("db")
        with store.transaction(write=False) as tx:
            assert tx.secret(arn) is None
            assert tx.secret_named(HOME, "db") is None
            assert list(tx.secrets_with_stem(arn[:-7])) == []
            assert tx.page(HOME, SecretQuery()) == tx.page(ABROAD, SecretQuery(sort_by="name"))
            assert tx.page(HOME, SecretQuery()).secrets == ()
            assert not tx.page(HOME, SecretQuery()).more
            assert tx.version(arn, "v1") is None
            assert list(tx.versions(arn)) == []
            assert dict(tx.labels(arn)) == {}
            assert tx.rotation_job(arn) is None
            assert list(tx.rotations_due(NOW, 9)) == []
            assert list(tx.secrets_to_delete(NOW, 9)) == []
            assert tx.key("key") is None
            assert list(tx.keys(HOME)) == []
            assert list(tx.audit(HOME)) == []
            assert tx.setting("name") is None

    def test_removing_what_is_not_there_is_no_error(self, store: Store) -> None:
        arn = arn_of("db")
        with store.transaction(write=True) as tx:
            tx.remove_secret(arn)
            tx.remove_version(arn, "v1")
            tx.remove_label(arn, "AWSCURRENT")
            tx.remove_rotation_job(arn)
            assert list(tx.claim_rotation_jobs(NOW, owner="a", leased_until=NOW, limit=9)) == []

    def test_a_transaction_sees_what_it_wrote(self, store: Store) -> None:
        secret = a_secret()
        with store.transaction(write=True) as tx:
            tx.put_secret(secret)
            assert tx.secret(secret.arn) == secret
            assert names(tx, SecretQuery()) == ["db"]

    def test_all_or_nothing(self, store: Store) -> None:
        kept, other = a_secret("kept"), a_secret("other")
        put(store, kept, a_version(kept.arn, "v1"), a_version(kept.arn, "v2"), a_job(kept.arn))
        with store.transaction(write=True) as tx:
            tx.put_label(kept.arn, "AWSCURRENT", "v1")
            tx.put_setting("name", b"before")
            tx.append_audit([an_event(1)])
        before = everything(store)

        def change(tx: Transaction) -> None:
            tx.put_secret(other)
            tx.put_version(a_version(other.arn))
            tx.put_label(other.arn, "AWSCURRENT", "v1")
            tx.put_secret(replace(kept, description="changed"))
            tx.put_label(kept.arn, "AWSCURRENT", "v2")
            tx.put_label(kept.arn, "NEW", "v2")
            tx.remove_version(kept.arn, "v1")
            tx.claim_rotation_jobs(NOW, owner="a", leased_until=LATER, limit=9)
            tx.remove_rotation_job(kept.arn)
            tx.put_setting("name", b"after")
            tx.put_setting("another", b"after")
            tx.put_key(a_key())
            tx.append_audit([an_event(2)])
            tx.remove_secret(kept.arn)
            raise Broken

        with pytest.raises(Broken), store.transaction(write=True) as tx:
            change(tx)

        assert everything(store) == before
        put(store, other)  # nothing is locked

    def test_what_ends_well_is_there(self, store: Store) -> None:
        put(store, a_secret())
        with store.transaction(write=False) as tx:
            assert tx.secret(arn_of("db")) == a_secret()

    @pytest.mark.parametrize(
        "write",
        [
            lambda tx: tx.put_secret(a_secret("other")),
            lambda tx: tx.put_secret(a_secret(description="changed")),
            lambda tx: tx.remove_secret(arn_of("db")),
            lambda tx: tx.put_version(a_version(arn_of("db"), "v2")),
            lambda tx: tx.remove_version(arn_of("db"), "v1"),
            lambda tx: tx.put_label(arn_of("db"), "OTHER", "v1"),
            lambda tx: tx.remove_label(arn_of("db"), "AWSCURRENT"),
            lambda tx: tx.put_rotation_job(a_job(arn_of("db"), attempts=1)),
            lambda tx: tx.remove_rotation_job(arn_of("db")),
            lambda tx: tx.claim_rotation_jobs(NOW, owner="a", leased_until=LATER, limit=9),
            lambda tx: tx.put_key(a_key()),
            lambda tx: tx.remove_key(a_key().arn),
            lambda tx: tx.append_audit([an_event(1)]),
            lambda tx: tx.put_setting("name", b"value"),
        ],
    )
    def test_a_reading_transaction_refuses_writes(
        self, store: Store, write: Callable[[Transaction], object]
    ) -> None:
        arn = arn_of("db")
        put(store, a_secret(), a_version(arn), a_job(arn))
        with store.transaction(write=True) as tx:
            tx.put_label(arn, "AWSCURRENT", "v1")
        before = everything(store)
        with pytest.raises(RuntimeError), store.transaction(write=False) as tx:
            write(tx)
        assert everything(store) == before

    # --- many at once -----------------------------------------------------------------------------

    def test_writers_from_eight_threads_lose_nothing(self, store: Store) -> None:
        with store.transaction(write=True) as tx:
            tx.put_setting("count", b"0")
        barrier = threading.Barrier(8)

        def work(worker: int) -> None:
            barrier.wait()
            for turn in range(10):
                with store.transaction(write=True) as tx:
                    tx.put_setting("count", b"%d" % (int(tx.setting("count") or b"") + 1))
                    secret = a_secret(f"{worker}/{turn}")
                    tx.put_secret(secret)
                    tx.put_version(a_version(secret.arn))
                    tx.put_label(secret.arn, "AWSCURRENT", "v1")
                    tx.append_audit([an_event(worker * 100 + turn)])
                with store.transaction(write=False) as tx:
                    assert dict(tx.labels(secret.arn)) == {"AWSCURRENT": "v1"}

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(work, range(8)))
        with store.transaction(write=False) as tx:
            assert tx.setting("count") == b"80"
            assert len(set(names(tx, SecretQuery()))) == 80
            assert len({record.event_id for record in tx.audit(HOME, limit=100)}) == 80

    def test_readers_see_no_half_of_a_transaction(self, store: Store) -> None:
        arn = arn_of("db")
        put(store, a_secret(), a_version(arn, "v0"), a_version(arn, "v1"))
        stop = threading.Event()

        def write() -> None:
            try:
                for turn in range(60):
                    with store.transaction(write=True) as tx:
                        tx.put_label(arn, "AWSCURRENT", f"v{turn % 2}")
                        tx.put_label(arn, "AWSPREVIOUS", f"v{1 - turn % 2}")
                        tx.put_secret(a_secret(description=f"v{turn % 2}"))
            finally:
                stop.set()

        def read() -> None:
            while not stop.is_set():
                with store.transaction(write=False) as tx:
                    labels = dict(tx.labels(arn))
                    secret = tx.secret(arn)
                if labels:
                    assert secret is not None
                    assert labels["AWSCURRENT"] == secret.description
                    assert labels["AWSCURRENT"] != labels["AWSPREVIOUS"]

        with ThreadPoolExecutor(3) as pool:
            for future in [pool.submit(write), pool.submit(read), pool.submit(read)]:
                future.result()


class TestMemoryStore(InMemory, TransactionsContract):
    pass


class TestSqliteStore(InSqlite, TransactionsContract):
    pass


class TestPostgresStore(InPostgres, TransactionsContract):
    pass
