"""Usage as tables for a terminal: with rich if it is installed, else plain."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from smclient.pricing import PRICE_BOOK, PriceBook, calls_cost
from smclient.report.money import DASH, money, printable, secret_name, share, span
from smclient.usage import SecretUsage, Usage, added

TOP = 10
"""Secrets and tags that are listed; the rest is counted in a last line."""


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under headers; the first column is text, the others are numbers."""

    title: str
    headers: Sequence[str]
    rows: Sequence[Sequence[str]]


def render(
    usage: Usage,
    *,
    price_book: PriceBook = PRICE_BOOK,
    width: int = 100,
    plain: bool | None = None,
    top: int = TOP,
) -> str:
    """Everything a usage says, as text without colours.

    Args:
        plain: without rich's frames; by default where rich is not installed.
    """
    shown = [table for table in tables(usage, price_book, top) if table.rows]
    if plain is None:
        plain = not _has_rich()
    return "\n".join(map(_plain, shown)) if plain else _rich(shown, width)


def tables(usage: Usage, price_book: PriceBook = PRICE_BOOK, top: int = TOP) -> list[Table]:
    """The tables, some of them perhaps without rows."""
    cost, own = usage.cost(price_book), calls_cost(usage.read_calls, price_book)
    from_memory = usage.hits + usage.stale_hits
    facts = [
        ("reads", f"{usage.reads:,}"),
        ("from memory", f"{from_memory:,} ({share(from_memory, usage.reads)})"),
        ("  of these past their time", f"{usage.stale_hits:,}"),
        ("waited for a backend", f"{usage.misses:,}"),
        ("  sharing a call", f"{usage.coalesced:,}"),
        ("  told a remembered refusal", f"{usage.negative:,}"),
        ("preloaded", f"{usage.preloaded:,}"),
        ("looked at in the background", f"{usage.refreshes:,}"),
        ("  mean time", f"{usage.refresh_latency.mean * 1000:,.1f} ms"),
        ("rotations seen", f"{usage.rotations:,}"),
        ("secrets held, evicted", f"{usage.secrets:,}, {usage.evicted:,}"),
        ("API calls", f"{usage.calls:,}"),
        ("KMS calls", f"{usage.kms_calls:,}"),
        ("  customer keys, unknown keys", f"{usage.kms_billed:,}, {usage.kms_unknown:,}"),
        ("dollars for calls", money(cost.total)),
        ("processes, lifetime", f"{usage.processes:,}, {span(usage.seconds)}"),
    ]
    instead = [
        (
            name,
            f"{sum(calls.values()):,}",
            money(calls_cost(calls, price_book)),
            money(calls_cost(calls, price_book) - own),
        )
        for name, calls in usage.baselines.items()
    ]
    operations = [
        (name, f"{n:,}", _milliseconds(usage, name)) for name, n in _most(usage.api_calls)
    ]
    return [
        Table("Usage", ("", "count"), facts),
        Table("Instead of smclient", ("client", "calls", "dollars", "saved"), instead),
        Table("API calls", ("operation", "calls", "mean time"), operations),
        Table("By region", ("region", "calls"), _regions(usage)),
        Table("Errors", ("code", "count"), _counted(usage.errors)),
        Table("Logins", ("step", "won"), _counted(usage.logins)),
        Table("By secret", SECRET_HEADERS, _secrets(usage.per_secret, top)),
        Table("By tag", SECRET_HEADERS, _secrets(usage.per_tag, top)),
    ]


SECRET_HEADERS = ("name", "reads", "from memory", "fetched", "refreshes", "bytes")


def _most(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


def _counted(counts: Mapping[str, int]) -> list[tuple[str, str]]:
    return [(printable(name), f"{n:,}") for name, n in _most(counts)]


def _regions(usage: Usage) -> list[tuple[str, str]]:
    return _counted({name: sum(calls.values()) for name, calls in usage.per_region.items()})


def _milliseconds(usage: Usage, operation: str) -> str:
    found = usage.latency.get(operation)
    return f"{found.mean * 1000:,.1f} ms" if found is not None and found.count else DASH


def _secrets(per: Mapping[str, SecretUsage], top: int) -> list[tuple[str, ...]]:
    ordered = sorted(per.items(), key=lambda item: (-item[1].reads, item[0]))
    rows = [_secret(secret_name(printable(name)), usage) for name, usage in ordered[:top]]
    if ordered[top:]:
        rest = added([usage for _, usage in ordered[top:]])
        rows.append(_secret(f"{len(ordered) - top:,} more", rest))
    return rows


def _secret(name: str, usage: SecretUsage) -> tuple[str, ...]:
    from_memory = share(usage.hits + usage.stale_hits, usage.reads)
    numbers = (usage.fetched, usage.refreshes, usage.bytes)
    return (name, f"{usage.reads:,}", from_memory, *(f"{n:,}" for n in numbers))


def _has_rich() -> bool:
    try:
        import rich.table  # noqa: F401
    except ImportError:
        return False
    return True


def _plain(table: Table) -> str:
    lines = [tuple(table.headers), *table.rows]
    widths = [max(len(line[n]) for line in lines) for n in range(len(table.headers))]
    text = f"{table.title}\n"
    for line in lines:
        cells = [
            cell.rjust(width) if n else cell.ljust(width)
            for n, (cell, width) in enumerate(zip(line, widths, strict=True))
        ]
        text += "  " + "  ".join(cells).rstrip() + "\n"
    return text


def _rich(shown: Sequence[Table], width: int) -> str:
    from rich.console import Console
    from rich.table import Table as RichTable
    from rich.text import Text

    out = io.StringIO()
    console = Console(file=out, width=width, color_system=None, force_terminal=False)
    for table in shown:
        framed = RichTable(title=table.title, title_justify="left")
        for n, header in enumerate(table.headers):
            framed.add_column(header, justify="right" if n else "left", overflow="fold")
        for row in table.rows:
            framed.add_row(*map(Text, row))
        console.print(framed)
    return out.getvalue()
