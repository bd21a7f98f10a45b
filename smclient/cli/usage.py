"""``smclient usage``: what processes counted, wherever they left it, added up."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import click

from smclient.cli.list_ import listed
from smclient.cli.options import json_option, print_json
from smclient.client import SecretsClient
from smclient.errors import ConfigError
from smclient.pricing import calls_cost
from smclient.report import html, sources, text
from smclient.report.advice import Holdings
from smclient.report.snapshots import Snapshot, latest, total
from smclient.usage import Usage


@click.command()
@click.argument("places", nargs=-1, required=True, metavar="SOURCE…")
@click.option(
    "--html",
    "page",
    type=click.Path(dir_okay=False, writable=True, path_type=Path),
    help="Write one self-contained page with charts to this file instead.",
)
@click.option(
    "--holdings",
    "backend",
    metavar="URL",
    help="With --html: list the secrets of this backend, to tell how many nobody reads.",
)
@click.option("--top", type=click.IntRange(1), default=10, show_default=True, metavar="N")
@json_option
def usage(
    places: tuple[str, ...], page: Path | None, backend: str | None, top: int, as_json: bool
) -> None:
    """Add up the usage of many processes.

    A SOURCE is a folder of snapshots, the http(s) address of a metrics endpoint, a file of either
    kind or of client.usage().to_dict() as JSON, or - for standard input.
    """
    if page is not None and as_json:
        raise click.UsageError("--html and --json exclude each other")
    if page is None and backend is not None:
        raise click.UsageError("--holdings is for the page; add --html FILE")
    now = datetime.now(UTC)
    found = [snapshot for place in places for snapshot in _read(place, now)]
    if page is not None:
        holdings = None if backend is None else _holdings(backend, now)
        page.write_text(html.render(found, holdings=holdings), encoding="utf-8")
        click.echo(f"wrote {page}", err=True)
    elif as_json:
        _print_json(total(found), len(latest(found)))
    else:
        click.echo(text.render(total(found), top=top), nl=False)


def _holdings(backend: str, now: datetime) -> Holdings:
    with SecretsClient(backend) as client:
        return Holdings.of(listed(client), now)


def _read(place: str, now: datetime) -> list[Snapshot]:
    try:
        if place == "-":
            return sources.read_text(sys.stdin.read(), "standard input", taken=now)
        return sources.read(place, now=now)
    except ConfigError as error:
        raise click.UsageError(str(error)) from None


def _print_json(together: Usage, count: int) -> None:
    cost, own = together.cost(), calls_cost(together.read_calls)
    dollars = {"api_calls": cost.api_calls, "kms_calls": cost.kms_calls, "total": cost.total}
    shown: dict[str, Any] = {"snapshots": count, "usage": together.to_dict(), "dollars": dollars}
    print_json({**shown, "instead": _others(together, own)})


def _others(together: Usage, own: Decimal) -> Mapping[str, Mapping[str, Any]]:
    return {
        name: {
            "calls": sum(calls.values()),
            "dollars": calls_cost(calls),
            "saved_dollars": calls_cost(calls) - own,
        }
        for name, calls in together.baselines.items()
    }
