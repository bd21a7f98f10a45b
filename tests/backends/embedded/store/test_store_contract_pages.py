"""Every store: pages of secrets, in each order, with every secret once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest

from smclient_embedded.store import SecretQuery, SecretRecord, Store, sql_pages
from tests.backends.embedded.store.helpers_contract import (
    ABROAD,
    HOME,
    NOW,
    InMemory,
    InPostgres,
    InSqlite,
    StoreContract,
    a_secret,
    names,
    put,
)

ORDERS = ("created", "changed", "accessed", "name")
BOTH_WAYS = [(order, down) for order in ORDERS for down in (False, True)]


class PagesContract(StoreContract):
    """What is promised of pages."""

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

    def test_who_is_removed_and_made_anew_is_the_last(self, store: Store) -> None:
        """Also if both happen in one transaction; who comes next is behind."""
        first, second, third = a_secret("z"), a_secret("y"), a_secret("x")
        put(store, first, second)
        with store.transaction(write=True) as tx:
            tx.remove_secret(first.arn)
            tx.put_secret(first)
        put(store, third)
        with store.transaction(write=False) as tx:
            assert names(tx, SecretQuery(limit=10)) == ["y", "z", "x"]

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


class TestMemoryStore(InMemory, PagesContract):
    pass


class TestSqliteStore(InSqlite, PagesContract):
    pass


class TestPostgresStore(InPostgres, PagesContract):
    pass
