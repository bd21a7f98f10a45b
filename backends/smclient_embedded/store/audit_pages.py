"""Pages of an audit trail that is a list in memory, oldest first."""

from __future__ import annotations

from collections.abc import Sequence

from smclient_embedded.store.records import AuditPage, AuditQuery, AuditRecord, Scope


def page_of_trail(
    trail: Sequence[AuditRecord], forgotten: int, scope: Scope, query: AuditQuery
) -> AuditPage:
    """The records of a page. ``forgotten`` is how many were cut off the front of the trail so far:
    positions count those too, so they stay what they are."""
    end = len(trail)
    if query.after is not None:
        if not (query.after.isascii() and query.after.isdigit()) or len(query.after) > 18:
            return AuditPage((), None)
        end = min(end, int(query.after) - forgotten)
    found: list[AuditRecord] = []
    last = 0
    for at in range(end - 1, -1, -1):
        record = trail[at]
        if record.scope != scope or not is_wanted(record, query):
            continue
        if len(found) == query.limit:
            return AuditPage(tuple(found), str(last + forgotten))
        found.append(record)
        last = at
    return AuditPage(tuple(found), None)


def is_wanted(record: AuditRecord, query: AuditQuery) -> bool:
    """Whether a record has the name and the time that a query asks for."""
    return (
        query.event_name in (None, record.event_name)
        and (query.since is None or record.at >= query.since)
        and (query.until is None or record.at <= query.until)
    )
