"""Every store: keys and settings, which belong to no secret."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from smclient_embedded.store import Store
from tests.backends.embedded.store.helpers_contract import (
    ABROAD,
    HOME,
    LATER,
    LONG_AGO,
    NOW,
    InMemory,
    InPostgres,
    InSqlite,
    StoreContract,
    a_key,
    put,
)


class KeysAndSettingsContract(StoreContract):
    """What is promised of keys and settings."""

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

    def test_no_keyring_of_its_own(self, store: Store) -> None:
        assert store.keyring() is None


class TestMemoryStore(InMemory, KeysAndSettingsContract):
    pass


class TestSqliteStore(InSqlite, KeysAndSettingsContract):
    pass


class TestPostgresStore(InPostgres, KeysAndSettingsContract):
    pass
