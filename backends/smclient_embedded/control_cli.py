"""``smclient control``: what the administrator does to a running service beside AWS's API."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import click

from smclient_embedded.asking import ask

PREFIX = "/_smclient/"
_JSON = {"Content-Type": "application/json"}

_Command = TypeVar("_Command", bound=Callable[..., Any])


def _where(command: _Command) -> _Command:
    """The options that say which server is meant. Every answer is JSON."""
    for option in (
        click.option("--region", default="us-east-1", show_default=True, help="To sign for."),
        click.option(
            "--endpoint", default="http://127.0.0.1:4584", show_default=True, metavar="URL"
        ),
    ):
        command = option(command)
    return command


@click.group()
def control() -> None:
    """Control a service that was started with `serve --control`: faults, clock, counts, reset.

    Requests are signed with the AWS credentials of this environment, if there are any. Answers are
    JSON, as docs/serve.md has them.
    """


@control.command()
@_where
def reset(endpoint: str, region: str) -> None:
    """Empty the store; sow again what the server was started with."""
    _do("POST", "reset", {}, endpoint, region)


@control.command()
@click.option("--advance", type=float, metavar="SECONDS", help="Move it on by so much.")
@click.option("--to", metavar="TIME", help="Move it on to 2030-01-01T00:00:00Z or the like.")
@_where
def clock(advance: float | None, to: str | None, endpoint: str, region: str) -> None:
    """Show the service's clock, or move it on."""
    given = {name: value for name, value in (("advance", advance), ("to", to)) if value is not None}
    _do("POST" if given else "GET", "clock", given or None, endpoint, region)


@control.command("run-due")
@_where
def run_due(endpoint: str, region: str) -> None:
    """Run the rotations and deletions that are due."""
    _do("POST", "run-due", {}, endpoint, region)


@control.command()
@_where
def metrics(endpoint: str, region: str) -> None:
    """Show the counts in CloudWatch's shapes."""
    _do("GET", "metrics", None, endpoint, region)


@control.command()
@_where
def usage(endpoint: str, region: str) -> None:
    """Show this month's counts and what they cost."""
    _do("GET", "usage", None, endpoint, region)


@control.group()
def faults() -> None:
    """Faults on purpose: throttling, errors, latency, outages."""


@faults.command("list")
@_where
def list_faults(endpoint: str, region: str) -> None:
    """List the faults, and how often each struck."""
    _do("GET", "faults", None, endpoint, region)


@faults.command("add")
@click.argument("kind", type=click.Choice(["throttling", "error", "latency", "outage"]))
@click.option("--operation", metavar="GLOB", help="Only these operations.")
@click.option("--secret", metavar="GLOB", help="Only these secrets.")
@click.option("--principal", metavar="GLOB", help="Only these callers.")
@click.option("--count", type=click.IntRange(1), help="So often, and no more.")
@click.option("--probability", type=click.FloatRange(0, 1), help="Each time with this chance.")
@click.option("--duration", type=click.FloatRange(0), metavar="SECONDS", help="For so long.")
@click.option("--seconds", type=click.FloatRange(0), help="Of a latency.")
@click.option("--code", help="Of an error.")
@click.option("--message", help="Of an error.")
@click.option("--status", type=int, help="Of an error.")
@_where
def add_fault(kind: str, endpoint: str, region: str, **given: Any) -> None:
    """Add a fault of a KIND and print its number."""
    said = {name: value for name, value in given.items() if value is not None}
    _do("POST", "faults", {"kind": kind, **said}, endpoint, region)


@faults.command("clear")
@click.argument("number", type=click.IntRange(0), required=False)
@_where
def clear_faults(number: int | None, endpoint: str, region: str) -> None:
    """End the fault of a NUMBER, or all."""
    path = "faults" if number is None else f"faults/{number}"
    _do("DELETE", path, None, endpoint, region)


def _do(
    method: str, path: str, given: Mapping[str, Any] | None, endpoint: str, region: str
) -> None:
    headers = {} if given is None else _JSON
    answer = ask(
        endpoint, method, PREFIX + path, given, region=region, headers=headers, must_sign=False
    )
    click.echo(json.dumps(answer))
