"""The table at the end, and the same as plain data."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from rich.console import Console
from rich.table import Table

from smclient.metering import Usage
from smclient.pricing import calls_cost, per_month
from smclient_demo.run import Part, Result

_STEPS = ("cached", "AWSCURRENT", "AWSPENDING", "AWSPREVIOUS", "remembered")


def show(result: Result, console: Console) -> None:
    """Print the table."""
    table = Table(
        title="smclient demo",
        caption="Dollars: the calls of this run, as if it went on for a month with a rotation "
        "every few seconds.\nOther clients call less and fail as the control does.",
    )
    table.add_column("", no_wrap=True)
    table.add_column("ladder on", justify="right", no_wrap=True)
    table.add_column("control: off", justify="right", no_wrap=True)
    for label, one, other in _rows(result):
        table.add_row(label, one, other)
    console.print(table)


def _rows(result: Result) -> list[tuple[str, str, str]]:
    parts = (result.main, result.control)

    def row(label: str, values: list[str]) -> tuple[str, str, str]:
        return label, values[0], values[1]

    rows = [
        row("requests", [f"{p.requests:,}" for p in parts]),
        row("failed requests", [f"{p.failed:,}" for p in parts]),
        row("slowest request", [f"{p.slowest:.2f} s" for p in parts]),
        row("rotations", [f"{p.rotations_done} of {p.rotations_asked}" for p in parts]),
        row("shortest window held open", [f"{p.shortest_window:.2f} s" for p in parts]),
    ]
    for step in _STEPS:
        rows.append(row(f"logins by {step}", [f"{p.usage.logins.get(step, 0):,}" for p in parts]))
    rows += [
        row("logins refused on the way", [f"{p.usage.failed_logins:,}" for p in parts]),
        row("cache hits", [f"{p.usage.hits:,}" for p in parts]),
        row("API calls made", [f"{sum(p.usage.api_calls.values()):,}" for p in parts]),
    ]
    for name in result.main.usage.baselines:
        values = [f"{sum(p.usage.baselines[name].values()):,}" for p in parts]
        rows.append(row(f"API calls with {name}", values))
    rows.append(row("API dollars a month at this rate", [_dollars(_own(p.usage)) for p in parts]))
    for name in result.main.usage.baselines:
        values = [_dollars(_baseline(p.usage, name)) for p in parts]
        rows.append(row(f"  with {name}", values))
    return rows


def to_dict(result: Result) -> dict[str, Any]:
    """The same as plain data, fit for JSON."""
    return {
        "ok": not result.broken(),
        "broken": result.broken(),
        "main": _part_dict(result.main),
        "control": _part_dict(result.control),
    }


def _part_dict(part: Part) -> dict[str, Any]:
    return {
        "requests": part.requests,
        "failed": part.failed,
        "slowest_seconds": part.slowest,
        "rotations": part.rotations_done,
        "rotations_asked": part.rotations_asked,
        "shortest_window_seconds": part.shortest_window,
        "usage": part.usage.to_dict(),
        "dollars_a_month": float(_own(part.usage)),
        "baseline_dollars_a_month": {
            name: float(_baseline(part.usage, name)) for name in part.usage.baselines
        },
    }


def _own(usage: Usage) -> Decimal:
    return per_month(usage.cost().total, usage.seconds)


def _baseline(usage: Usage, name: str) -> Decimal:
    return per_month(calls_cost(usage.baselines[name]), usage.seconds)


def _dollars(amount: Decimal) -> str:
    return f"${amount:,.2f}"
