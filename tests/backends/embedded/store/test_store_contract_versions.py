"""Every store: the versions of a secret and the labels on them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Any

import pytest

from smclient_embedded.store import Sealed, Store, StoreConflict, Transaction
from tests.backends.embedded.store.helpers_contract import (
    LATER,
    InMemory,
    InPostgres,
    InSqlite,
    StoreContract,
    a_job,
    a_secret,
    a_version,
    arn_of,
    put,
)


class VersionsContract(StoreContract):
    """What is promised of versions and labels."""

    @pytest.mark.parametrize(
        "fields",
        [
            {},
            {"kind": "binary", "accessed_on": date(2026, 3, 4), "created_at": LATER},
            {"sealed": Sealed("", b"", b"", b"", {})},
            {
                "sealed": Sealed(
                    "arn:aws:kms:eu-west-1:111122223333:key/1",
                    bytes(range(256)),
                    b"\0" * 12,
                    b"'\0\xff" * 30_000,
                    {"SecretARN": arn_of("dé"), "SecretVersionId": "v1"},
                )
            },
            {
                "sealed": Sealed(
                    "arn:aws:kms:eu-west-1:111122223333:key/1",
                    b"w",
                    b"n",
                    b"c",
                    {},
                    also=(
                        ("arn:aws:kms:eu-west-1:111122223333:key/2", bytes(range(256))),
                        ("arn:aws:kms:eu-west-1:111122223333:key/3", b""),
                    ),
                )
            },
        ],
    )
    def test_a_version_comes_back_as_it_was_put(self, store: Store, fields: dict[str, Any]) -> None:
        arn = arn_of("db")
        version = a_version(arn, **fields)
        put(store, a_secret(), a_version(arn), version)
        with store.transaction(write=False) as tx:
            assert tx.version(arn, "v1") == version
            assert list(tx.versions(arn)) == [version]

    def test_versions_come_in_the_order_they_were_put(self, store: Store) -> None:
        arn, other = arn_of("db"), arn_of("other")
        put(store, a_secret(), a_secret("other"))
        ids = ["c", "a", "d", "b"]
        for version_id in ids:
            put(store, a_version(arn, version_id), a_version(other, version_id))
        put(store, a_version(arn, "c", kind="binary", created_at=LATER))  # keeps its place
        with store.transaction(write=True) as tx:
            tx.remove_version(arn, "a")
            assert [version.version_id for version in tx.versions(arn)] == ["c", "d", "b"]
            tx.put_version(a_version(arn, "a"))
            assert [version.version_id for version in tx.versions(arn)] == ["c", "d", "b", "a"]
            assert [version.version_id for version in tx.versions(other)] == ids

    def test_a_label_is_on_one_version(self, store: Store) -> None:
        arn, other = arn_of("db"), arn_of("other")
        put(store, a_secret(), a_secret("other"))
        put(store, *(a_version(a, v) for a in (arn, other) for v in ("v1", "v2")))
        with store.transaction(write=True) as tx:
            tx.put_label(arn, "AWSCURRENT", "v1")
            tx.put_label(arn, "blue", "v1")
            tx.put_label(other, "AWSCURRENT", "v1")
            tx.put_label(arn, "AWSCURRENT", "v2")
            tx.put_label(arn, "AWSCURRENT", "v2")
        with store.transaction(write=False) as tx:
            assert dict(tx.labels(arn)) == {"AWSCURRENT": "v2", "blue": "v1"}
            assert dict(tx.labels(other)) == {"AWSCURRENT": "v1"}
        with store.transaction(write=True) as tx:
            tx.remove_label(arn, "AWSCURRENT")
            assert dict(tx.labels(arn)) == {"blue": "v1"}

    def test_labels_given_out_do_not_change_afterwards(self, store: Store) -> None:
        arn = arn_of("db")
        put(store, a_secret(), a_version(arn, "v1"), a_version(arn, "v2"))
        with store.transaction(write=True) as tx:
            tx.put_label(arn, "AWSCURRENT", "v1")
            before = tx.labels(arn)
            tx.put_label(arn, "AWSCURRENT", "v2")
            assert dict(before) == {"AWSCURRENT": "v1"}

    def test_removing_a_version_takes_its_labels(self, store: Store) -> None:
        arn = arn_of("db")
        put(store, a_secret(), a_version(arn, "v1"), a_version(arn, "v2"))
        with store.transaction(write=True) as tx:
            for label, version_id in (("a", "v1"), ("b", "v1"), ("c", "v2")):
                tx.put_label(arn, label, version_id)
            tx.remove_version(arn, "v1")
        with store.transaction(write=False) as tx:
            assert dict(tx.labels(arn)) == {"c": "v2"}
            assert tx.version(arn, "v1") is None

    def test_changing_a_secret_or_version_keeps_what_hangs_on_it(self, store: Store) -> None:
        arn = arn_of("db")
        put(store, a_secret(), a_version(arn), a_job(arn))
        with store.transaction(write=True) as tx:
            tx.put_label(arn, "AWSCURRENT", "v1")
        put(store, a_secret(description="changed"), a_version(arn, kind="binary"))
        with store.transaction(write=False) as tx:
            assert dict(tx.labels(arn)) == {"AWSCURRENT": "v1"}
            assert tx.rotation_job(arn) == a_job(arn)

    @pytest.mark.parametrize(
        "write",
        [
            lambda tx: tx.put_version(a_version(arn_of("none"))),
            lambda tx: tx.put_label(arn_of("db"), "AWSCURRENT", "v2"),
            lambda tx: tx.put_label(arn_of("none"), "AWSCURRENT", "v1"),
            lambda tx: tx.put_rotation_job(a_job(arn_of("none"))),
        ],
    )
    def test_what_hangs_on_nothing_is_refused(
        self, store: Store, write: Callable[[Transaction], object]
    ) -> None:
        put(store, a_secret(), a_version(arn_of("db")))
        with pytest.raises(StoreConflict), store.transaction(write=True) as tx:
            write(tx)


class TestMemoryStore(InMemory, VersionsContract):
    pass


class TestSqliteStore(InSqlite, VersionsContract):
    pass


class TestPostgresStore(InPostgres, VersionsContract):
    pass
