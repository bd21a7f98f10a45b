"""One contract for every store: what ``Transaction`` promises, whoever keeps the records."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from smclient_embedded.store import (
    AuditQuery,
    AuditRecord,
    CrossAccountPrimary,
    KeyRecord,
    MemoryStore,
    Replica,
    RotationJob,
    RotationSettings,
    Scope,
    Sealed,
    SecretQuery,
    SecretRecord,
    Store,
    StoreConflict,
    Transaction,
    VersionRecord,
    memory,
    sql,
    sql_pages,
)
from smclient_embedded.store.sql import SqlStore

HOME = Scope("111122223333", "eu-west-1")
ABROAD = Scope("111122223333", "us-east-1")
ELSEWHERE = Scope("444455556666", "eu-west-1")
NOW = datetime(2026, 3, 4, 5, 6, 7, 890123, tzinfo=UTC)
LATER = NOW + timedelta(microseconds=1)
LONG_AGO = NOW - timedelta(days=400)

ORDERS = ("created", "changed", "accessed", "name")
BOTH_WAYS = [(order, down) for order in ORDERS for down in (False, True)]


def arn_of(name: str, scope: Scope = HOME, suffix: str = "AbCdEf") -> str:
    return f"arn:aws:secretsmanager:{scope.region}:{scope.account}:secret:{name}-{suffix}"


def a_secret(
    name: str = "db", scope: Scope = HOME, suffix: str = "AbCdEf", **fields: Any
) -> SecretRecord:
    fields = {"created_at": NOW, "changed_at": NOW, **fields}
    return SecretRecord(arn=arn_of(name, scope, suffix), scope=scope, name=name, **fields)


def a_version(arn: str, version_id: str = "v1", **fields: Any) -> VersionRecord:
    return VersionRecord(arn=arn, version_id=version_id, **{"created_at": NOW, **fields})


def a_job(arn: str, **fields: Any) -> RotationJob:
    return RotationJob(arn, "token", **{"asked_at": NOW, "due_at": NOW, **fields})


def an_event(number: int, scope: Scope = HOME, name: str = "GetSecretValue") -> AuditRecord:
    return AuditRecord(f"event-{number}", scope, NOW, name, {"number": number, "deep": [{}, None]})


def put(store: Store, *records: SecretRecord | VersionRecord | RotationJob | KeyRecord) -> None:
    with store.transaction(write=True) as tx:
        for record in records:
            match record:
                case SecretRecord():
                    tx.put_secret(record)
                case VersionRecord():
                    tx.put_version(record)
                case RotationJob():
                    tx.put_rotation_job(record)
                case KeyRecord():
                    tx.put_key(record)


def pages(tx: Transaction, query: SecretQuery, scope: Scope = HOME) -> Iterator[list[SecretRecord]]:
    """All pages of a query."""
    for _ in range(1000):
        page = tx.page(scope, query)
        assert len(page.secrets) == len(page.positions) <= query.limit
        yield list(page.secrets)
        if not page.more:
            return
        query = replace(query, after=page.positions[-1])
    pytest.fail("pages without end")


def names(tx: Transaction, query: SecretQuery, scope: Scope = HOME) -> list[str]:
    return [secret.name for page in pages(tx, query, scope) for secret in page]


class Broken(Exception):
    """Raised by tests in the middle of a transaction."""


class StoreContract:
    """What every store does. A subclass brings the fixture ``store``."""

    @pytest.fixture
    def store(self) -> Iterator[Store]:
        raise NotImplementedError

    # --- transactions -----------------------------------------------------------------------------

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

    # --- secrets ----------------------------------------------------------------------------------

    @pytest.mark.parametrize(
        "fields",
        [
            {},
            {"description": "", "kms_key_id": "", "tags": ()},
            {
                "created_at": datetime(1970, 1, 1, tzinfo=UTC),
                "changed_at": datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
                "description": "Größe 🔑 'quoted' \"twice\" % ? :name \\ \n",
                "kms_key_id": "alias/key",
                "accessed_on": date(2026, 3, 4),
                "deleted_at": LONG_AGO,
                "delete_after": LATER,
                "tags": (("b", "2"), ("a", ""), ("ключ", "\ud800")),
                "policies": {"ResourcePolicy": '{"Statement": []}', "": ""},
                "owning_service": "rds",
                "primary_region": "eu-west-1",
            },
            {"secret_type": "Größe"},
            {"replicas": (Replica(arn_of("db", ABROAD)),)},
            {
                "replicas": (
                    Replica(arn_of("db", ABROAD), "alias/key", "Failed", "Größe 'quoted'"),
                    Replica(arn_of("copy", ELSEWHERE), None, "Detached", role_arn="arn:role"),
                )
            },
            {"cross_account_primary": CrossAccountPrimary(arn_of("db", ELSEWHERE))},
            {
                "cross_account_primary": CrossAccountPrimary(
                    arn_of("db", ELSEWHERE), "InSync", "fine"
                )
            },
            {"created_at": datetime(1, 1, 1, 0, 0, 0, 1, tzinfo=UTC)},
            {"accessed_on": date(1, 1, 1)},
            {"rotation": RotationSettings(enabled=False)},
            {
                "rotation": RotationSettings(
                    enabled=True,
                    function_arn="arn:aws:lambda:eu-west-1:111122223333:function:rotate",
                    automatically_after_days=30,
                    duration="3h",
                    schedule_expression="rate(30 days)",
                    last_rotated_at=LONG_AGO,
                    next_rotation_at=NOW,
                    window_ends_at=LATER,
                )
            },
        ],
    )
    def test_a_secret_comes_back_as_it_was_put(self, store: Store, fields: dict[str, Any]) -> None:
        secret = a_secret(**fields)
        put(store, a_secret(), secret)
        with store.transaction(write=False) as tx:
            found = tx.secret(secret.arn)
            assert found == secret
            assert found is not None
            assert found.created_at.tzinfo is UTC
            assert tx.secret_named(HOME, "db") == secret
            assert list(tx.secrets_with_stem(secret.arn[:-7])) == [secret]
            assert tx.page(HOME, SecretQuery(include_deleted=True)).secrets == (secret,)

    def test_a_name_is_there_once_in_a_scope(self, store: Store) -> None:
        first, second = a_secret(), a_secret(suffix="ZyXwVu")
        put(store, first)
        with pytest.raises(StoreConflict, match="db"), store.transaction(write=True) as tx:
            tx.put_secret(second)
        put(store, a_secret(scope=ABROAD), a_secret(scope=Scope("444455556666", HOME.region)))
        with store.transaction(write=True) as tx:
            tx.remove_secret(first.arn)
            tx.put_secret(second)
        with store.transaction(write=False) as tx:
            assert tx.secret_named(HOME, "db") == second
            assert tx.secret(first.arn) is None

    def test_a_secret_marked_for_deletion_keeps_its_name(self, store: Store) -> None:
        put(store, a_secret(deleted_at=NOW, delete_after=LATER))
        with store.transaction(write=False) as tx:
            assert tx.secret_named(HOME, "db") is not None
        with pytest.raises(StoreConflict):
            put(store, a_secret(suffix="ZyXwVu"))

    def test_a_secret_can_take_another_name(self, store: Store) -> None:
        secret = a_secret()
        put(store, secret, replace(secret, name="new"))
        with store.transaction(write=False) as tx:
            assert tx.secret_named(HOME, "db") is None
            found = tx.secret_named(HOME, "new")
            assert found is not None
            assert found.arn == secret.arn
        put(store, a_secret(suffix="ZyXwVu"))  # the old name is free

    def test_names_are_told_apart_by_case_and_accent(self, store: Store) -> None:
        texts = ["db", "DB", "Db", "db ", "dé", "de\u0301"]
        put(store, *(a_secret(text) for text in texts))
        with store.transaction(write=False) as tx:
            for text in texts:
                found = tx.secret_named(HOME, text)
                assert found is not None
                assert found.name == text

    def test_secrets_are_found_by_the_stem_of_their_arn(self, store: Store) -> None:
        first, second = a_secret(), a_secret("db2", suffix="ZyXwVu")
        twin = replace(a_secret(suffix="ZyXwVu"), name="another name")
        put(store, first, second, twin, a_secret("db-AbCdEf"), a_secret("db-prod"))
        with store.transaction(write=False) as tx:
            assert list(tx.secrets_with_stem(arn_of("db")[:-7])) == [first, twin]
            assert [s.name for s in tx.secrets_with_stem(arn_of("db"))] == ["db-AbCdEf"]
            assert list(tx.secrets_with_stem(arn_of("d")[:-7])) == []
            assert list(tx.secrets_with_stem("")) == []

    def test_text_that_cannot_be_kept_is_looked_for_in_vain(self, store: Store) -> None:
        put(store, a_secret())
        with store.transaction(write=False) as tx:
            for text in ("\ud800", "a\0b", "%", "_", "'", "*"):
                assert tx.secret(text) is None
                assert tx.secret_named(HOME, text) is None
                assert list(tx.secrets_with_stem(text)) == []
                assert tx.version(arn_of("db"), text) is None
                assert names(tx, SecretQuery(prefixes=(text,))) == []
                tx.page(HOME, SecretQuery(after=text, sort_by="name"))

    def test_removing_a_secret_takes_all_that_is_its(self, store: Store) -> None:
        gone, kept = a_secret("gone"), a_secret("kept")
        for secret in (gone, kept):
            put(store, secret, a_version(secret.arn, "v1"), a_job(secret.arn))
            with store.transaction(write=True) as tx:
                tx.put_label(secret.arn, "AWSCURRENT", "v1")
        with store.transaction(write=True) as tx:
            tx.remove_secret(gone.arn)
        put(store, gone)  # comes back bare
        with store.transaction(write=False) as tx:
            assert list(tx.versions(gone.arn)) == []
            assert dict(tx.labels(gone.arn)) == {}
            assert tx.rotation_job(gone.arn) is None
            assert list(tx.versions(kept.arn)) == [a_version(kept.arn, "v1")]
            assert dict(tx.labels(kept.arn)) == {"AWSCURRENT": "v1"}
            assert tx.rotation_job(kept.arn) == a_job(kept.arn)
            assert names(tx, SecretQuery()) == ["kept", "gone"]

    def test_deletions_that_are_due(self, store: Store) -> None:
        def marked(name: str, until: datetime) -> SecretRecord:
            return a_secret(name, deleted_at=LONG_AGO, delete_after=until)

        put(
            store,
            marked("now", NOW),
            marked("later", LATER),
            marked("long ago", LONG_AGO),
            a_secret("live"),
            replace(marked("abroad", NOW - timedelta(days=1)), scope=ABROAD),
        )
        with store.transaction(write=True) as tx:
            due = [secret.name for secret in tx.secrets_to_delete(NOW, 9)]
            assert due == ["long ago", "abroad", "now"]
            assert [secret.name for secret in tx.secrets_to_delete(NOW, 1)] == ["long ago"]
            tx.put_secret(a_secret("now"))  # restored
            assert [secret.name for secret in tx.secrets_to_delete(LATER, 9)][2:] == ["later"]

    # --- pages ------------------------------------------------------------------------------------

    @pytest.mark.parametrize(("order", "down"), BOTH_WAYS)
    @pytest.mark.parametrize("limit", [1, 3, 100])
    def test_pages_have_every_secret_once_in_order(
        self, store: Store, order: Any, down: bool, limit: int
    ) -> None:
        secrets = [  # every date three times, in another order than the names
            a_secret(
                f"name/{number * 7 % 18:02}",
                changed_at=NOW + timedelta(microseconds=number % 6),
                accessed_on=None if number % 6 == 0 else date(2026, 1, number % 6),
            )
            for number in range(18)
        ]
        put(store, *secrets, a_secret("abroad", ABROAD))
        put(store, replace(secrets[3], description="changed, and still the fourth"))
        keys: dict[str, Callable[[SecretRecord], Any]] = {
            "created": lambda secret: 0,
            "changed": lambda secret: secret.changed_at,
            "accessed": lambda secret: secret.accessed_on or date.min,
            "name": lambda secret: secret.name,
        }
        wanted = sorted(secrets, key=keys[order])
        if down:
            wanted.reverse()
        with store.transaction(write=False) as tx:
            query = SecretQuery(sort_by=order, descending=down, limit=limit)
            assert names(tx, query) == [secret.name for secret in wanted]

    @pytest.mark.parametrize(("order", "down"), BOTH_WAYS)
    def test_a_page_continues_after_inserts_and_removals(
        self, store: Store, order: Any, down: bool
    ) -> None:
        put(store, *(a_secret(f"{number:02}") for number in range(0, 20, 2)))
        query = SecretQuery(sort_by=order, descending=down, limit=4)
        with store.transaction(write=False) as tx:
            first = tx.page(HOME, query)
        last = first.secrets[-1]
        with store.transaction(write=True) as tx:
            tx.remove_secret(last.arn)
            for number in range(1, 20, 2):
                tx.put_secret(a_secret(f"{number:02}"))
        seen = {secret.name for secret in first.secrets}
        with store.transaction(write=False) as tx:
            rest = names(tx, replace(query, after=first.positions[-1]))
        assert len(rest) == len(set(rest))
        assert seen.isdisjoint(rest)
        assert seen | set(rest) >= {f"{number:02}" for number in range(0, 20, 2)}
        if order == "name":  # what was put into the part to come is there, the rest is not
            late = [name for name in rest if int(name) % 2]
            assert late == [f"{n:02}" for n in (range(11, 0, -2) if down else range(7, 20, 2))]

    @pytest.mark.parametrize(("order", "down"), BOTH_WAYS)
    @pytest.mark.parametrize("limit", [1, 2, 100])
    @pytest.mark.parametrize("many", [0, 4000])
    def test_prefixes(
        self,
        store: Store,
        order: Any,
        down: bool,
        limit: int,
        many: int,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(sql_pages, "MANY", many)
        texts = [
            "b",
            "a",
            "a/b",
            "a0",
            "A",
            "ab",
            "aB",
            "a%",
            "a_c",
            "z\U0010ffff",
            "z",
            "ü",
            "\ud7ff",
        ]
        for number, name in enumerate(texts):
            deleted = NOW if number % 5 == 4 else None
            put(store, a_secret(name, deleted_at=deleted), a_secret(name, ABROAD))
        for prefixes in (
            ("a",),
            ("a", "ab"),
            ("ab", "b", "a/"),
            ("a%",),
            ("a_",),
            ("z\U0010ffff",),
            ("\U0010ffff",),
            ("\ud7ff", "ü"),
            ("",),
            ("A", "b", "nothing"),
        ):
            for include in (False, True):
                with store.transaction(write=False) as tx:
                    query = SecretQuery(order, down, include, prefixes, None, limit)
                    found = names(tx, query)
                    all_of_them = names(tx, replace(query, prefixes=()))
                assert found == [name for name in all_of_them if name.startswith(prefixes)]
                if include:
                    assert set(all_of_them) == set(texts)

    @pytest.mark.parametrize(("order", "down"), BOTH_WAYS)
    def test_secrets_marked_for_deletion_only_where_asked_for(
        self, store: Store, order: Any, down: bool
    ) -> None:
        put(
            store,
            *(a_secret(f"{n}", deleted_at=NOW if n in (1, 2, 5) else None) for n in range(7)),
        )
        query = SecretQuery(sort_by=order, descending=down, limit=2)
        with store.transaction(write=False) as tx:
            live = names(tx, query)
            every = names(tx, replace(query, include_deleted=True))
        assert live == sorted("0346", reverse=down)
        assert every == sorted("0123456", reverse=down)
        put(store, a_secret("1"))  # restored
        with store.transaction(write=False) as tx:
            assert names(tx, query) == sorted("01346", reverse=down)

    def test_a_page_says_whether_there_is_more(self, store: Store) -> None:
        put(store, *(a_secret(f"{n}") for n in range(4)))
        with store.transaction(write=False) as tx:
            for limit, more in ((3, True), (4, False), (5, False)):
                assert tx.page(HOME, SecretQuery(limit=limit)).more is more

    @pytest.mark.parametrize("order", ORDERS)
    def test_a_position_never_given_out_is_no_error(self, store: Store, order: Any) -> None:
        put(store, *(a_secret(f"{n}") for n in range(4)))
        with store.transaction(write=False) as tx:
            for position in (
                "",
                ".",
                "1",
                "x.y",
                "1.2.3",
                "9" * 40,
                "9" * 5000,
                "-1",
                "\ud800",
                "\0",
            ):
                tx.page(HOME, SecretQuery(sort_by=order, after=position))

    # --- versions and labels ----------------------------------------------------------------------

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

    # --- rotations --------------------------------------------------------------------------------

    @pytest.mark.parametrize(
        "fields",
        [
            {},
            {
                "due_at": LATER,
                "test_only": True,
                "attempts": 3,
                "owner": "node",
                "leased_until": LATER,
                "fence": 7,
                "last_error": "setSecret: KeyError",
            },
        ],
    )
    def test_a_job_comes_back_as_it_was_put(self, store: Store, fields: dict[str, Any]) -> None:
        job = a_job(arn_of("db"), **fields)
        put(store, a_secret(), a_job(arn_of("db"), attempts=99), job)
        with store.transaction(write=True) as tx:
            assert tx.rotation_job(job.arn) == job
            tx.remove_rotation_job(job.arn)
            assert tx.rotation_job(job.arn) is None

    def test_a_claim_takes_what_is_due_and_free(self, store: Store) -> None:
        jobs = {
            "long due": {"due_at": LONG_AGO},
            "due": {"fence": 4, "attempts": 2, "last_error": "why"},
            "not yet": {"due_at": LATER},
            "held": {"owner": "other", "leased_until": LATER, "fence": 1},
            "lost": {
                "owner": "other",
                "leased_until": NOW,
                "fence": 1,
                "due_at": LATER - 2 * (LATER - NOW),
            },
        }
        for name, fields in jobs.items():
            put(store, a_secret(name), a_job(arn_of(name), **fields))
        until = NOW + timedelta(minutes=15)
        with store.transaction(write=True) as tx:
            claimed = tx.claim_rotation_jobs(NOW, owner="me", leased_until=until, limit=9)
        assert list(claimed) == [
            replace(a_job(arn_of(name), **jobs[name]), owner="me", leased_until=until, fence=fence)
            for name, fence in (("long due", 1), ("lost", 2), ("due", 5))
        ]
        with store.transaction(write=True) as tx:
            for job in claimed:
                assert tx.rotation_job(job.arn) == job
            assert not tx.claim_rotation_jobs(NOW, owner="me", leased_until=until, limit=9)
            again = tx.claim_rotation_jobs(until, owner="other", leased_until=until, limit=2)
            assert [job.fence for job in again] == [2, 3]
            assert [job.owner for job in again] == ["other", "other"]

    def test_a_claim_has_a_limit(self, store: Store) -> None:
        for name in "abc":
            put(store, a_secret(name), a_job(arn_of(name)))
        taken: list[str] = []
        for _ in range(3):
            with store.transaction(write=True) as tx:
                claimed = tx.claim_rotation_jobs(NOW, owner="me", leased_until=LATER, limit=2)
            taken += [job.arn for job in claimed]
        assert sorted(taken) == [arn_of(name) for name in "abc"]

    def test_two_owners_never_get_the_same_job(self, store: Store) -> None:
        for number in range(30):
            put(store, a_secret(f"{number}"), a_job(arn_of(f"{number}")))
        barrier = threading.Barrier(4)

        def claim(owner: str) -> list[RotationJob]:
            mine: list[RotationJob] = []
            barrier.wait()
            while True:
                with store.transaction(write=True) as tx:
                    some = tx.claim_rotation_jobs(NOW, owner=owner, leased_until=LATER, limit=2)
                if not some:
                    return mine
                mine += some

        with ThreadPoolExecutor(4) as pool:
            claimed = [job for jobs in pool.map(claim, "abcd") for job in jobs]
        assert len(claimed) == 30
        assert len({job.arn for job in claimed}) == 30
        assert {job.fence for job in claimed} == {1}

    def test_rotations_that_are_due(self, store: Store) -> None:
        def rotated(name: str, at: datetime | None, on: bool = True, **fields: Any) -> SecretRecord:
            settings = RotationSettings(enabled=on, next_rotation_at=at)
            return a_secret(name, rotation=settings, **fields)

        put(
            store,
            rotated("now", NOW),
            rotated("later", LATER),
            rotated("long ago", LONG_AGO),
            rotated("off", NOW, on=False),
            rotated("unplanned", None),
            rotated("deleted", NOW, deleted_at=NOW, delete_after=LATER),
            rotated("running", NOW),
            a_job(arn_of("running")),
            a_secret("never"),
        )
        with store.transaction(write=True) as tx:
            assert [secret.name for secret in tx.rotations_due(NOW, 9)] == ["long ago", "now"]
            assert [secret.name for secret in tx.rotations_due(NOW, 1)] == ["long ago"]
            tx.remove_rotation_job(arn_of("running"))
            tx.put_secret(rotated("long ago", LATER))
            tx.put_secret(rotated("deleted", NOW))
            due = {secret.name for secret in tx.rotations_due(NOW, 9)}
            assert due == {"now", "running", "deleted"}

    # --- keys, audit, settings --------------------------------------------------------------------

    def test_keys(self, store: Store) -> None:
        first = a_key()
        second = a_key("2", managed=True, state="PendingDeletion", alias="alias/aws/secretsmanager")
        abroad = replace(a_key("3"), scope=ABROAD)
        put(store, replace(first, state="Disabled"), second, abroad, first)
        with store.transaction(write=False) as tx:
            assert tx.key(first.arn) == first
            assert tx.key(second.arn) == second
            assert sorted(tx.keys(HOME), key=lambda key: key.arn) == [first, second]
            assert list(tx.keys(ABROAD)) == [abroad]

    def test_a_key_is_removed_for_good(self, store: Store) -> None:
        put(store, a_key(), a_key("2"))
        with store.transaction(write=True) as tx:
            tx.remove_key(a_key().arn)
            tx.remove_key(a_key("9").arn)  # was never there
            assert tx.key(a_key().arn) is None
        with store.transaction(write=False) as tx:
            assert tx.key(a_key().arn) is None
            assert list(tx.keys(HOME)) == [a_key("2")]

    def test_keys_whose_waiting_period_is_over(self, store: Store) -> None:
        due = {"state": "PendingDeletion"}
        put(
            store,
            a_key("never"),
            a_key("now", delete_after=NOW, **due),
            a_key("later", delete_after=LATER, **due),
            a_key("before", delete_after=LONG_AGO, **due),
        )
        with store.transaction(write=False) as tx:
            assert [key.key_id for key in tx.keys_to_delete(NOW, 9)] == ["before", "now"]
            assert [key.key_id for key in tx.keys_to_delete(LATER, 2)] == ["before", "now"]
            assert list(tx.keys_to_delete(LONG_AGO - timedelta(days=1), 9)) == []
            assert tx.key(a_key("later").arn) == a_key("later", delete_after=LATER, **due)

    def test_audit_is_read_newest_first(self, store: Store) -> None:
        with store.transaction(write=True) as tx:
            tx.append_audit([an_event(1), an_event(2, name="PutSecretValue")])
            tx.append_audit([])
            tx.append_audit([an_event(3, ABROAD), an_event(4)])
            assert list(tx.audit(HOME, limit=1)) == [an_event(4)]
        with store.transaction(write=True) as tx:
            tx.append_audit([an_event(5, name="PutSecretValue")])
        with store.transaction(write=False) as tx:
            found = [record.event_id for record in tx.audit(HOME)]
            assert found == ["event-5", "event-4", "event-2", "event-1"]
            assert list(tx.audit(ABROAD)) == [an_event(3, ABROAD)]
            puts = tx.audit(HOME, event_name="PutSecretValue")
            assert list(puts) == [
                an_event(5, name="PutSecretValue"),
                an_event(2, name="PutSecretValue"),
            ]
            assert list(tx.audit(HOME, event_name="PutSecretValue", limit=1)) == puts[:1]
            assert list(tx.audit(HOME, event_name="None")) == []

    @pytest.mark.parametrize("number", [1, 127, 128, 129, 512, 600])
    def test_audit_takes_any_number_of_records_at_once(self, store: Store, number: int) -> None:
        """In their order, none lost and none twice, however many go into one statement."""
        with store.transaction(write=True) as tx:
            tx.append_audit([an_event(each) for each in range(number)])
        with store.transaction(write=False) as tx:
            found = tx.audit(HOME, limit=number + 1)
        assert list(found) == [an_event(each) for each in reversed(range(number))]

    def test_audit_in_pages(self, store: Store) -> None:
        def event(number: int, at: datetime, name: str = "Get") -> AuditRecord:
            return replace(an_event(number, name=name), at=at)

        trail = [
            event(1, LONG_AGO),
            event(2, NOW, "Put"),
            event(3, NOW),
            event(4, NOW, "Put"),
            event(5, LATER),
        ]
        with store.transaction(write=True) as tx:
            tx.append_audit([*trail[:2], an_event(9, ABROAD), *trail[2:]])

        def pages(query: AuditQuery) -> list[list[int]]:
            found: list[list[int]] = []
            while True:
                with store.transaction(write=False) as tx:
                    page = tx.audit_page(HOME, query)
                found.append(
                    [int(record.event_id.removeprefix("event-")) for record in page.records]
                )
                assert len(page.positions) == len(page.records)
                if not page.more:
                    return found
                query = replace(query, after=page.positions[-1])

        assert pages(AuditQuery()) == [[5, 4, 3, 2, 1]]
        assert pages(AuditQuery(limit=2)) == [[5, 4], [3, 2], [1]]
        assert pages(AuditQuery(limit=5)) == [[5, 4, 3, 2, 1]]
        assert pages(AuditQuery(since=NOW, limit=3)) == [[5, 4, 3], [2]]
        assert pages(AuditQuery(until=NOW, limit=2)) == [[4, 3], [2, 1]]
        assert pages(AuditQuery("Put", since=NOW, until=NOW, limit=1)) == [[4], [2]]
        assert pages(AuditQuery(since=NOW + timedelta(microseconds=1), until=LATER)) == [[5]]
        assert pages(AuditQuery(since=LATER, until=LONG_AGO)) == [[]]

    def test_an_audit_position_holds_while_records_come_and_old_ones_go(
        self, store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for module in (memory, sql):
            monkeypatch.setattr(module, "KEPT_AUDIT", 10)
        with store.transaction(write=True) as tx:
            tx.append_audit([an_event(n) for n in range(8)])
            first = tx.audit_page(HOME, AuditQuery(limit=2))
        assert [record.event_id for record in first.records] == ["event-7", "event-6"]
        for n in range(8, 25, 3):
            with store.transaction(write=True) as tx:
                tx.append_audit([an_event(m) for m in range(n, n + 3)])
        with store.transaction(write=False) as tx:
            rest = tx.audit_page(HOME, AuditQuery(after=first.positions[-1], limit=100))
            kept = {record.event_id for record in tx.audit(HOME, limit=100)}
        below = [f"event-{n}" for n in range(5, -1, -1)]
        assert [record.event_id for record in rest.records] == [e for e in below if e in kept]

    @pytest.mark.parametrize("position", ["", "x", "-1", "1.5", "9" * 40, "\u0663"])
    def test_an_audit_position_that_was_never_given_out_is_no_error(
        self, store: Store, position: str
    ) -> None:
        with store.transaction(write=True) as tx:
            tx.append_audit([an_event(1)])
            page = tx.audit_page(HOME, AuditQuery(after=position))
        assert page.more is False

    def test_audit_keeps_a_bounded_number(
        self, store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for module in (memory, sql):
            monkeypatch.setattr(module, "KEPT_AUDIT", 10)
        for first in range(0, 60, 3):
            with store.transaction(write=True) as tx:
                tx.append_audit([an_event(first + n) for n in range(3)])
        with store.transaction(write=False) as tx:
            kept = [record.document["number"] for record in tx.audit(HOME, limit=1000)]
        assert 10 <= len(kept) <= 20
        assert kept == list(range(59, 59 - len(kept), -1))

    def test_settings(self, store: Store) -> None:
        with store.transaction(write=True) as tx:
            tx.put_setting("name", b"first")
            tx.put_setting("name", b"\0\xff")
            tx.put_setting("empty", b"")
        with store.transaction(write=False) as tx:
            assert tx.setting("name") == b"\0\xff"
            assert tx.setting("empty") == b""
            assert tx.setting("other") is None

    def test_settings_are_listed(self, store: Store) -> None:
        with store.transaction(write=True) as tx:
            tx.put_setting("a", b"1")
            tx.put_setting("smclien%", b"2")
        with store.transaction(write=False) as tx:
            assert dict(tx.settings()) == {"a": b"1", "smclien%": b"2"}

    def test_secrets_are_counted(self, store: Store) -> None:
        put(store, a_secret("a"), a_secret("b", deleted_at=NOW), a_secret("c", ABROAD))
        with store.transaction(write=True) as tx:
            assert tx.count_secrets(HOME) == 2
            assert tx.count_secrets(HOME, include_deleted=False) == 1
            assert [tx.has_secrets(HOME, number) for number in (1, 2, 3)] == [True, True, False]
            tx.remove_secret(arn_of("a"))
            assert tx.count_secrets(HOME) == 1
            assert not tx.has_secrets(HOME, 2)

    def test_scopes_are_those_of_secrets_keys_and_audit(self, store: Store) -> None:
        other = Scope("444455556666", "eu-west-1")
        with store.transaction(write=True) as tx:
            assert list(tx.scopes()) == []
            tx.append_audit([an_event(1, other)])
            tx.put_secret(a_secret(scope=ABROAD))
            tx.put_secret(a_secret("another", scope=ABROAD))
            tx.put_key(a_key())
        with store.transaction(write=False) as tx:
            assert list(tx.scopes()) == [HOME, ABROAD, other]

    def test_no_keyring_of_its_own(self, store: Store) -> None:
        assert store.keyring() is None

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


def a_key(number: str = "1", **fields: Any) -> KeyRecord:
    fields = {"managed": False, "created_at": NOW, "wrapped_material": b"\0\1\xff", **fields}
    arn = f"arn:aws:kms:{HOME.region}:{HOME.account}:key/{number}"
    return KeyRecord(arn=arn, scope=HOME, key_id=number, **fields)


def everything(store: Store) -> Sequence[object]:
    """What a store holds of the scopes and settings that tests use."""
    with store.transaction(write=False) as tx:
        secrets = [
            secret
            for scope in (HOME, ABROAD)
            for page in pages(tx, SecretQuery(include_deleted=True), scope)
            for secret in page
        ]
        return [
            secrets,
            [list(tx.versions(secret.arn)) for secret in secrets],
            [dict(tx.labels(secret.arn)) for secret in secrets],
            [tx.rotation_job(secret.arn) for secret in secrets],
            [tx.secret_named(secret.scope, secret.name) for secret in secrets],
            [list(tx.secrets_with_stem(secret.arn[:-7])) for secret in secrets],
            [sorted(tx.keys(scope), key=lambda key: key.arn) for scope in (HOME, ABROAD)],
            [list(tx.audit(scope)) for scope in (HOME, ABROAD)],
            [tx.setting(name) for name in ("name", "another")],
        ]


class TestMemoryStore(StoreContract):
    @pytest.fixture
    def store(self) -> Iterator[Store]:
        store = MemoryStore()
        yield store
        store.close()


class TestSqliteStore(StoreContract):
    @pytest.fixture
    def store(self, tmp_path: Path) -> Iterator[Store]:
        store = SqlStore.sqlite(str(tmp_path / "secrets.db"))
        yield store
        store.close()


class TestPostgresStore(StoreContract):
    @pytest.fixture
    def store(self, postgres_records: Store) -> Store:
        return postgres_records
