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
            return AuditPage((), (), more=False)
        end = min(end, int(query.after) - forgotten)
    found: list[int] = []
    more = False
    for at in range(end - 1, -1, -1):
        if trail[at].scope == scope and is_wanted(trail[at], query):
            if len(found) == query.limit:
                more = True
                break
            found.append(at)
    records = tuple(trail[at] for at in found)
    return AuditPage(records, tuple(str(at + forgotten) for at in found), more)


def is_wanted(record: AuditRecord, query: AuditQuery) -> bool:
    """Whether a record has the name and the time that a query asks for."""
    return (
        query.event_name in (None, record.event_name)
        and (query.since is None or record.at >= query.since)
        and (query.until is None or record.at <= query.until)
    )
