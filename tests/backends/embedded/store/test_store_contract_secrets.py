"""Every store: secrets come back as they were put, are found by each name, and go whole."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from smclient_embedded.store import (
    CrossAccountPrimary,
    Replica,
    RotationSettings,
    Scope,
    SecretQuery,
    SecretRecord,
    Store,
    StoreConflict,
)
from tests.backends.embedded.store.helpers_contract import (
    ABROAD,
    ELSEWHERE,
    HOME,
    LATER,
    LONG_AGO,
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
    names,
    put,
)


class SecretsContract(StoreContract):
    """What is promised of secrets, one by one and in number."""

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


class TestMemoryStore(InMemory, SecretsContract):
    pass


class TestSqliteStore(InSqlite, SecretsContract):
    pass


class TestPostgresStore(InPostgres, SecretsContract):
    pass
