"""Pages of the audit trail in SQL: one range of an index, newest first, with a limit."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import Select, bindparam, select

from smclient_embedded.store.records import AuditPage, AuditQuery, Scope
from smclient_embedded.store.sql_rows import AUDIT, SqlRow, audit_from
from smclient_embedded.store.sql_schema import audit

Run = Callable[[Select[Any], Mapping[str, Any]], Sequence[SqlRow]]
"""Runs a statement with parameters and gives all rows."""

_CONDITIONS: Mapping[str, Any] = {
    "event_name": audit.c.event_name == bindparam("event_name"),
    "since": audit.c.at >= bindparam("since", type_=audit.c.at.type),
    "until": audit.c.at <= bindparam("until", type_=audit.c.at.type),
    "after": audit.c.sequence < bindparam("after", type_=audit.c.sequence.type),
}


def find_audit(run: Run, scope: Scope, query: AuditQuery) -> AuditPage:
    """The records of a page. A position that was never given out gives an empty one."""
    after = query.after
    if after is not None and not (after.isascii() and after.isdigit() and len(after) <= 18):
        return AuditPage((), (), more=False)
    asked = {
        "event_name": query.event_name,
        "since": query.since,
        "until": query.until,
        "after": None if after is None else int(after),
    }
    given = {name: value for name, value in asked.items() if value is not None}
    named = {"account": scope.account, "region": scope.region, "limit": query.limit + 1}
    rows = run(_statement(tuple(given)), {**named, **given})
    page = rows[: query.limit]
    records = tuple(audit_from(row[1:]) for row in page)
    return AuditPage(records, tuple(str(row[0]) for row in page), more=len(rows) > len(page))


@lru_cache(maxsize=16)
def _statement(given: tuple[str, ...]) -> Select[Any]:
    statement = select(audit.c.sequence, *AUDIT).filter_by(
        account=bindparam("account"), region=bindparam("region")
    )
    for name in given:
        statement = statement.where(_CONDITIONS[name])
    return statement.order_by(audit.c.sequence.desc()).limit(bindparam("limit"))
