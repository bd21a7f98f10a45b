"""Filters by name: the store finds the names, so that a page costs the same at any size."""

from __future__ import annotations

from typing import Any

import pytest

from smclient_embedded.filters import matches
from smclient_embedded.store import Scope, SecretQuery


class TestAFilterByName:
    """A store is asked for the names that begin so, and for no others."""

    FILTERS: tuple[tuple[dict[str, Any], ...], ...] = (
        ({"Key": "name", "Values": ["a"]},),
        ({"Key": "name", "Values": ["a", "b/"]},),
        ({"Key": "name", "Values": ["!a"]},),
        ({"Key": "name", "Values": ["a", "!a"]},),
        ({"Key": "name", "Values": [""]},),
        ({"Key": "all", "Values": ["a"]}, {"Key": "name", "Values": ["b"]}),
        ({"Key": "name", "Values": ["a"]}, {"Key": "name", "Values": ["ab"]}),
    )

    @pytest.mark.parametrize("filters", FILTERS)
    @pytest.mark.parametrize("sort_by", ["created-date", "name"])
    def test_finds_what_it_would_find_among_all(
        self, world: Any, filters: tuple[dict[str, Any], ...], sort_by: str
    ) -> None:
        """In pages, in either order."""
        names = ["a", "ab", "b", "b/a", "b/c", "c", "A"]
        for name in names:
            world.create(name)
        wanted = matches(filters)
        with world.service._store.transaction(write=False) as tx:
            page = tx.page(Scope("123456789012", "us-east-1"), SecretQuery())
            expected = [secret.name for secret in page.secrets if wanted(secret)]
        found: list[str] = []
        more: dict[str, Any] = {}
        while True:
            answer = world(
                "ListSecrets", Filters=list(filters), SortBy=sort_by, MaxResults=2, **more
            )
            found += [secret["Name"] for secret in answer["SecretList"]]
            if "NextToken" not in answer:
                break
            more = {"NextToken": answer["NextToken"]}
        assert found == (sorted(expected) if sort_by == "name" else expected)

    @pytest.mark.parametrize("operation", ["ListSecrets", "BatchGetSecretValue"])
    def test_looks_at_nothing_else(
        self, memory: Any, operation: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The prefixes reach the store."""
        from smclient_embedded.store.memory import _MemoryTransaction

        asked: list[tuple[str, ...]] = []
        page = _MemoryTransaction.page

        def watched(self: Any, scope: Any, query: SecretQuery) -> Any:
            asked.append(query.prefixes)
            return page(self, scope, query)

        monkeypatch.setattr(_MemoryTransaction, "page", watched)
        memory(operation, Filters=[{"Key": "name", "Values": ["a", "b"]}])
        assert asked == [("a", "b")]
