"""Commands of the embedded service."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, TextIO

import click

from smclient_embedded.rotation.schedule import windows as windows_of


@click.group()
def rotation() -> None:
    """Rotation schedules."""


@rotation.command()
@click.argument("file", type=click.File())
def windows(file: TextIO) -> None:
    """Print the next rotation window of each case in FILE (``-``: standard input).

    FILE is a JSON array of cases, or an object whose ``cases`` is one: id, expression, duration,
    days, now, anchor. Printed is a JSON array of {"start","end"} or {"error"}, in the same order.
    """
    try:
        content = json.load(file)
        found = list(windows_of(_cases(content)))
    except ValueError as error:
        raise click.UsageError(f"{file.name}: {error}") from error
    except RecursionError as error:
        raise click.UsageError(f"{file.name}: it is nested too deeply") from error
    click.echo(json.dumps(found, indent=1))


def _cases(content: Any) -> Iterator[dict[str, Any]]:
    cases = content.get("cases") if isinstance(content, dict) else content
    if not isinstance(cases, list):
        raise ValueError("expected an array of cases, or an object with 'cases'")
    for index, case in enumerate(cases):
        if not isinstance(case, dict):
            raise ValueError(f"case {index} is not an object")
        yield case
