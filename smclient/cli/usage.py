"""``smclient usage``: what processes counted, read from their snapshots and added up."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from typing import Any, TextIO

import click

from smclient.cli.options import json_option, print_fields, print_json, print_table
from smclient.errors import ConfigError
from smclient.metering import Usage
from smclient.pricing import calls_cost


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.File(encoding="utf-8"))
@json_option
def usage(files: tuple[TextIO, ...], as_json: bool) -> None:
    """Add up FILES of client.usage().to_dict() as JSON: one, several in an array, or one a line."""
    snapshots = [snapshot for file in files for snapshot in _read(file)]
    total = added(snapshots)
    cost = total.cost()
    own = calls_cost(total.api_calls)
    others = {
        name: {
            "calls": sum(calls.values()),
            "dollars": calls_cost(calls),
            "saved_dollars": calls_cost(calls) - own,
        }
        for name, calls in total.baselines.items()
    }
    dollars = {"api_calls": cost.api_calls, "kms_calls": cost.kms_calls, "total": cost.total}
    if as_json:
        shown: dict[str, Any] = {"snapshots": len(snapshots), "usage": total.to_dict()}
        print_json({**shown, "dollars": dollars, "instead": others})
        return
    print_fields(
        {
            "snapshots": len(snapshots),
            "reads": f"{total.reads:,}",
            "from memory": _share(total.hits + total.stale_hits, total.reads),
            "API calls": f"{sum(total.api_calls.values()):,}",
            "KMS calls": f"{total.kms_calls:,}",
            "errors": f"{sum(total.errors.values()):,}",
            "dollars": _money(cost.total),
        }
    )
    click.echo()
    print_table(("OPERATION", "CALLS"), [(n, f"{c:,}") for n, c in total.api_calls.items()])
    click.echo()
    print_table(
        ("INSTEAD OF SMCLIENT", "CALLS", "DOLLARS", "SAVED"),
        [
            (name, f"{o['calls']:,}", _money(o["dollars"]), _money(o["saved_dollars"]))
            for name, o in others.items()
        ],
    )


def added(snapshots: Iterable[Mapping[str, Any]]) -> Usage:
    """The usage of all of them together. Raises ``ConfigError`` for what is no snapshot."""
    read = [Usage.from_dict(snapshot) for snapshot in snapshots]
    if not read:
        raise ConfigError("there is no snapshot of Usage.to_dict() in what was given")
    return read[0].merge(read[1:])


def _read(file: TextIO) -> Iterator[Mapping[str, Any]]:
    text = file.read()
    try:
        found = [json.loads(text)]
    except ValueError:
        try:
            found = [json.loads(line) for line in text.splitlines() if line.strip()]
        except ValueError:
            raise click.UsageError(f"{file.name} is no JSON") from None
    for document in found:
        for snapshot in document if isinstance(document, list) else [document]:
            if not isinstance(snapshot, Mapping):
                raise click.UsageError(f"{file.name} holds no snapshot of Usage.to_dict()")
            yield snapshot


def _share(part: int, whole: int) -> str:
    return f"{part:,} ({part / whole:.1%})" if whole else "0"


def _money(dollars: Any) -> str:
    return f"${Decimal(dollars):,.4f}".replace("$-", "-$")
