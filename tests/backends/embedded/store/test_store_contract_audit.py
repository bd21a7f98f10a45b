"""Every store: the audit trail, newest first, in pages, and bounded."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from smclient_embedded.store import AuditQuery, AuditRecord, Store, memory, sql
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
    an_event,
)


class AuditContract(StoreContract):
    """What is promised of the audit trail."""

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

    @pytest.mark.parametrize("number", [1, 127, 128, 129, 512, 639, 640, 641, 1409])
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


class TestMemoryStore(InMemory, AuditContract):
    pass


class TestSqliteStore(InSqlite, AuditContract):
    pass


class TestPostgresStore(InPostgres, AuditContract):
    pass
