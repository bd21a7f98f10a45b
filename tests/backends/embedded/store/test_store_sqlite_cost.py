"""An SQLite file costs the same at any size: ranges of indexes, and few runs of the driver."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import event

from smclient_embedded.store import AuditRecord, RotationJob, RotationSettings, SecretQuery
from smclient_embedded.store.sql import SqlStore
from tests.backends.embedded.store.helpers_sqlite import HOME, NOW, a_secret, put


def plans(store: SqlStore, ask: Callable[[Any], object]) -> list[str]:
    """How SQLite goes about each statement that ``ask`` causes."""
    seen: list[tuple[str, Any]] = []

    def note(_c: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        seen.append((statement, parameters))

    event.listen(store._engine, "before_cursor_execute", note)
    try:
        with store.transaction(write=True) as tx:
            ask(tx)
    finally:
        event.remove(store._engine, "before_cursor_execute", note)
    steps: list[str] = []
    with store._connection(write=False) as connection:
        for statement, parameters in seen:
            one = parameters[0] if isinstance(parameters, list) else parameters
            rows = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", tuple(one))
            steps += [row.detail for row in rows]
    assert steps
    return steps


@pytest.mark.parametrize("down", [False, True])
@pytest.mark.parametrize("include_deleted", [False, True])
@pytest.mark.parametrize("order", ["created", "changed", "accessed", "name"])
def test_a_page_is_a_range_of_one_index(
    store: SqlStore, order: Any, include_deleted: bool, down: bool
) -> None:
    put(store, a_secret("a"), a_secret("b"), a_secret("c"))
    query = SecretQuery(order, down, include_deleted, limit=1)
    with store.transaction(write=False) as tx:
        after = tx.page(HOME, query).positions[-1]
    for page in (query, replace(query, after=after)):
        for step in plans(store, lambda tx, page=page: tx.page(HOME, page)):
            assert step.startswith(f"SEARCH secrets USING INDEX page_{order} (account=? AND")
    if order == "name":  # both ends of the range, with one condition each
        (step, *_) = plans(store, lambda tx: tx.page(HOME, replace(page, prefixes=("",))))
        assert "name>" in step
        (step, *_) = plans(store, lambda tx: tx.page(HOME, replace(page, prefixes=("a",))))
        assert "name>? AND name<?" in step


@pytest.mark.parametrize("order", ["created", "changed", "accessed"])
def test_a_prefix_in_another_order_is_a_range_of_names(store: SqlStore, order: Any) -> None:
    put(store, a_secret("a"))
    query = SecretQuery(order, prefixes=("a",), after="1" if order == "created" else "1.1")
    count, search, sort = plans(store, lambda tx: tx.page(HOME, query))[-3:]
    assert "page_name (account=? AND region=? AND is_deleted=? AND name>? AND name<?)" in search
    assert sort == "USE TEMP B-TREE FOR ORDER BY"  # of few, which were counted
    assert "SCAN" in count  # of the rows counted


@pytest.mark.parametrize("order", ["created", "changed", "accessed"])
def test_a_prefix_of_very_many_walks_the_order(
    store: SqlStore, order: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("smclient_embedded.store.sql_pages.MANY", 0)
    put(store, a_secret("a"))
    query = SecretQuery(order, prefixes=("a", "b"))
    *_, step = plans(store, lambda tx: tx.page(HOME, query))
    assert step.startswith(f"SEARCH secrets USING INDEX page_{order} (account=? AND")


@pytest.mark.parametrize(
    ("ask", "index"),
    [
        (lambda tx: tx.secret("arn"), "(arn=?)"),
        (lambda tx: tx.secret_named(HOME, "db"), "(account=? AND region=? AND name=?)"),
        (lambda tx: tx.secrets_with_stem("stem"), "ix_secrets_stem (stem=?)"),
        (lambda tx: tx.version("arn", "v1"), "(arn=? AND version_id=?)"),
        (lambda tx: tx.labels("arn"), "(arn=?)"),
        (lambda tx: tx.secrets_to_delete(NOW, 9), "due_delete_after (delete_after<?)"),
        (lambda tx: tx.rotations_due(NOW, 9), "due_rotation_due_at (rotation_due_at<?)"),
        (
            lambda tx: tx.claim_rotation_jobs(NOW, owner="a", leased_until=NOW, limit=9),
            "due_jobs (due_at<?)",
        ),
        (lambda tx: tx.keys(HOME), "keys_of_scope (account=? AND region=?)"),
        (lambda tx: tx.audit(HOME), "audit_of_scope (account=? AND region=?)"),
        (
            lambda tx: tx.audit(HOME, event_name="Put"),
            "audit_of_event (account=? AND region=? AND event_name=?)",
        ),
    ],
)
def test_lookups_use_an_index(store: SqlStore, ask: Callable[[Any], object], index: str) -> None:
    secret = a_secret(rotation=RotationSettings(True, next_rotation_at=NOW), delete_after=NOW)
    put(store, secret)
    with store.transaction(write=True) as tx:
        tx.put_rotation_job(RotationJob(secret.arn, "token", NOW, NOW + timedelta(1)))
        tx.append_audit([AuditRecord("event", HOME, NOW, "Put", {})])
    steps = plans(store, ask)
    assert index in steps[0]
    assert not [step for step in steps if step.startswith("SCAN")]


def test_the_trail_of_many_reads_is_few_runs_of_the_driver(store: SqlStore) -> None:
    """Each run, and each row of ``executemany``, lets other threads have the interpreter, which
    may take 5 ms to come back."""
    rows_of_many: list[int] = []
    runs = 0

    def note(_conn: Any, _cursor: Any, statement: str, given: Any, _ctx: Any, many: bool) -> None:
        nonlocal runs
        if statement.startswith("INSERT INTO audit"):
            runs += 1
            if many:
                rows_of_many.append(len(given))

    event.listen(store._engine, "before_cursor_execute", note)
    reads = [AuditRecord(f"e{n}", HOME, NOW, "GetSecretValue", {}) for n in range(512)]
    with store.transaction(write=True) as tx:
        tx.append_audit(reads)
    assert rows_of_many == []
    assert 0 < runs <= 8
