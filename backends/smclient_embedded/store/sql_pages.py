"""Pages of secrets in SQL: keyset paging over indexes, so that no page costs more than another.

A page is put together from streams: the live secrets or those marked for deletion, all of them or
the names behind one prefix. Each stream is one range of an index, with a limit. Where prefixes fit
many secrets and another order than by name is asked for, the order's index is walked instead and
the names are compared on the way.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Select,
    bindparam,
    func,
    literal_column,
    or_,
    select,
    tuple_,
    type_coerce,
)

from smclient_embedded.store.records import Scope, SecretQuery
from smclient_embedded.store.sql_rows import SECRET, SqlRow
from smclient_embedded.store.sql_schema import Ordered, secrets, to_micros

Run = Callable[[Select[Any], Mapping[str, Any]], Sequence[SqlRow]]
"""Runs a statement with parameters and gives all rows."""

MANY = 4000
"""So many secrets behind prefixes are fetched and sorted; of more, the order's index is walked."""

_ORDERS = {
    "created": ("sequence",),
    "changed": ("changed_at", "sequence"),
    "accessed": ("accessed_on", "sequence"),
    "name": ("name",),
}
_LARGEST = 2**63 - 1


@dataclass(frozen=True, slots=True)
class FoundPage:
    """Rows of ``SECRET`` in order, each with its position."""

    rows: Sequence[SqlRow]
    positions: Sequence[str]
    more: bool


def find_page(run: Run, scope: Scope, query: SecretQuery) -> FoundPage:
    """The secrets of a page. A position that was never given out gives an empty one."""
    after = _read_position(query)
    if after is None and query.after is not None:
        return FoundPage((), (), more=False)
    found: list[SqlRow] = []
    for stream in _streams(run, scope, query, after):
        found += run(
            _page_statement(query.sort_by, query.descending, stream.shape),
            {**stream.parameters, "limit": query.limit + 1},
        )
    found.sort(key=lambda row: _key(row, query.sort_by), reverse=query.descending)
    rows = found[: query.limit]
    positions = [".".join(map(str, _key(row, query.sort_by))) for row in rows]
    return FoundPage(rows, positions, more=len(found) > len(rows))


def _key(row: SqlRow, sort_by: str) -> tuple[Any, ...]:
    """What a row is sorted by, as it is stored."""
    if sort_by == "name":
        return (row.name,)
    if sort_by == "changed":
        return (to_micros(row.changed_at), row.sequence)
    if sort_by == "accessed":
        return (row.accessed_on.toordinal() if row.accessed_on else 0, row.sequence)
    return (row.sequence,)


def _read_position(query: SecretQuery) -> tuple[Any, ...] | None:
    """The key in a position, ``None`` where there is none or it cannot be one."""
    if query.after is None or query.sort_by == "name":
        return None if query.after is None else (query.after,)
    parts = query.after.split(".")
    if len(parts) != len(_ORDERS[query.sort_by]):
        return None
    try:
        key = tuple(int(part) for part in parts)
    except ValueError:
        return None
    return key if all(abs(part) <= _LARGEST for part in key) else None


# --- streams --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Shape:
    """Which conditions a statement has.

    Attributes:
        low, high: how the name is compared with the ends of a range.
        filters: so many prefixes, one of which the name must have, are compared row by row.
        after: whether the page begins after a key; by name, ``low`` and ``high`` say it.
    """

    low: Literal["", ">", ">="] = ""
    high: Literal["", "<"] = ""
    filters: int = 0
    after: bool = False


@dataclass(frozen=True, slots=True)
class _Stream:
    shape: _Shape
    parameters: Mapping[str, Any]


def _streams(
    run: Run, scope: Scope, query: SecretQuery, after: tuple[Any, ...] | None
) -> list[_Stream]:
    prefixes = _disjoint(query.prefixes)
    states = (0, 1) if query.include_deleted else (0,)
    of_state = [
        {"account": scope.account, "region": scope.region, "is_deleted": state} for state in states
    ]
    if query.sort_by == "name":
        name = None if after is None else after[0]
        ranges = [_names(prefix, name, query.descending) for prefix in prefixes or [""]]
        return [_Stream(shape, {**of, **ends}) for of in of_state for shape, ends in ranges]
    key = {} if after is None else {f"key{n}": part for n, part in enumerate(after)}
    continued = after is not None
    if not prefixes:
        return [_Stream(_Shape(after=continued), {**of, **key}) for of in of_state]
    ranges = [_names(prefix) for prefix in prefixes]
    counted = [(shape, {**of, **ends}) for of in of_state for shape, ends in ranges]
    if _are_many(run, counted):
        shape = _Shape(filters=len(prefixes), after=continued)
        compared = {f"prefix{n}": prefix for n, prefix in enumerate(prefixes)}
        lengths = {f"length{n}": len(prefix) for n, prefix in enumerate(prefixes)}
        return [_Stream(shape, {**of, **compared, **lengths, **key}) for of in of_state]
    return [
        _Stream(_Shape(shape.low, shape.high, after=continued), {**parameters, **key})
        for shape, parameters in counted
    ]


def _disjoint(prefixes: Sequence[str]) -> list[str]:
    """The prefixes in order, without those that begin with another one."""
    kept: list[str] = []
    for prefix in sorted(set(prefixes)):
        if not kept or not prefix.startswith(kept[-1]):
            kept.append(prefix)
    return kept


def _names(
    prefix: str, after: str | None = None, descending: bool = False
) -> tuple[_Shape, dict[str, str]]:
    """The range of the names that begin with ``prefix`` and come after a name.

    There is one condition for each end, since an index can use no second one.
    """
    low, high = (">=", prefix), _end(prefix)
    if after is not None and descending:
        high = after if high is None else min(high, after)
    elif after is not None and after >= prefix:
        low = (">", after)
    ends = {"low": low[1]} if high is None else {"low": low[1], "high": high}
    return _Shape(low=">" if low[0] == ">" else ">=", high="" if high is None else "<"), ends


def _end(prefix: str) -> str | None:
    """The first text after all that begin with ``prefix``, ``None`` if there is no such."""
    stem = prefix.rstrip("\U0010ffff")
    if not stem:
        return None
    follower = ord(stem[-1]) + 1
    return stem[:-1] + chr(0xE000 if 0xD800 <= follower < 0xE000 else follower)


def _are_many(run: Run, streams: Sequence[tuple[_Shape, Mapping[str, Any]]]) -> bool:
    left = MANY
    for shape, parameters in streams:
        for row in run(_count_statement(shape), {**parameters, "limit": left + 1}):
            left -= row[0]
        if left < 0:
            return True
    return False


# --- statements -----------------------------------------------------------------------------------


@lru_cache(maxsize=256)
def _page_statement(sort_by: str, descending: bool, shape: _Shape) -> Select[Any]:
    columns: list[ColumnElement[Any]] = [secrets.c[name] for name in _ORDERS[sort_by]]
    if shape.low and sort_by != "name":  # the range of names is the index to use, so hide others
        columns = [type_coerce(column, BigInteger) + literal_column("0") for column in columns]
    conditions = _of_stream(shape)
    if shape.filters:
        conditions.append(
            or_(
                *(
                    func.substr(secrets.c.name, 1, bindparam(f"length{n}"))
                    == bindparam(f"prefix{n}", type_=Ordered)
                    for n in range(shape.filters)
                )
            )
        )
    if shape.after:
        here = tuple_(*columns)
        key = tuple_(*(bindparam(f"key{n}", type_=BigInteger) for n in range(len(columns))))
        conditions.append(here < key if descending else here > key)
    order = [column.desc() if descending else column for column in columns]
    return select(*SECRET).where(*conditions).order_by(*order).limit(bindparam("limit"))


@lru_cache(maxsize=16)
def _count_statement(shape: _Shape) -> Select[Any]:
    some: Select[Any] = select(literal_column("1")).select_from(secrets).where(*_of_stream(shape))
    return select(func.count()).select_from(some.limit(bindparam("limit")).subquery())


def _of_stream(shape: _Shape) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = [
        secrets.c.account == bindparam("account"),
        secrets.c.region == bindparam("region"),
        secrets.c.is_deleted == bindparam("is_deleted"),
    ]
    if shape.low == ">":
        conditions.append(secrets.c.name > bindparam("low"))
    elif shape.low:
        conditions.append(secrets.c.name >= bindparam("low"))
    if shape.high:
        conditions.append(secrets.c.name < bindparam("high"))
    return conditions
