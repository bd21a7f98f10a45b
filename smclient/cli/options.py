"""What the verbs share: options, output as JSON or aligned text, a question before a change."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

import click

backend_option = click.option(
    "--backend", metavar="URL", help="Where secrets are. Default: SMCLIENT_BACKEND, else aws://."
)
json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print JSON; docs/cli.md has its shape."
)
yes_option = click.option("--yes", is_flag=True, help="Do it without asking.")
dry_run_option = click.option(
    "--dry-run", is_flag=True, help="Show what would be done; change nothing."
)
tag_option = click.option(
    "--tag", "tags", multiple=True, metavar="KEY[=VALUE]", help="A tag; may be given several times."
)


def print_json(shape: Mapping[str, Any] | Sequence[Any]) -> None:
    """One document on standard output. Times are ISO 8601, money is text."""
    click.echo(json.dumps(shape, default=_plain, ensure_ascii=False))


def print_table(headers: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Aligned columns, as wide as they need to be, on a terminal and in a pipe alike."""
    lines = [[str(h) for h in headers], *([_cell(c) for c in row] for row in rows)]
    widths = [max(len(line[n]) for line in lines) for n in range(len(headers))]
    for line in lines:
        click.echo("  ".join(map(str.ljust, line, widths)).rstrip())


def print_fields(fields: Mapping[str, object]) -> None:
    """One line for each field that has a value."""
    width = max(map(len, fields), default=0)
    for name, value in fields.items():
        if value not in (None, "", {}):
            click.echo(f"{name:<{width}}  {_cell(value)}")


def print_or_save(text: str, output: str | None) -> None:
    """On standard output, or into a file that is made readable to its owner only first."""
    if output is None:
        sys.stdout.write(text)
        return
    try:
        descriptor = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:
            os.chmod(output, 0o600)
            file.write(text)
    except OSError as error:
        raise click.UsageError(f"{output} cannot be written: {error.strerror}") from None


def confirm(question: str, *, yes: bool) -> None:
    """Ask on standard error, unless ``yes``; a no ends the command with 1. Where nobody can be
    asked it ends with 2, and says what to add."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise click.UsageError("there is nobody to ask; add --yes, or --dry-run to only look")
    click.confirm(question, abort=True, err=True)


def parsed_tags(tags: Iterable[str]) -> dict[str, str | None]:
    """``KEY=VALUE`` to a value, ``KEY`` alone to ``None``: any value."""
    found: dict[str, str | None] = {}
    for tag in tags:
        key, equals, value = tag.partition("=")
        if not key:
            raise click.UsageError(f"--tag {tag}: a tag reads KEY or KEY=VALUE")
        found[key] = value if equals else None
    return found


def exact(dollars: Decimal | None) -> str | None:
    """As a plain decimal number, at least to the cent."""
    if dollars is None:
        return None
    rounded = dollars.quantize(Decimal("0.000001"))
    text = f"{rounded:f}".rstrip("0")
    whole, _, cents = text.partition(".")
    return f"{whole}.{cents:0<2}"


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime):
        return value.isoformat(sep=" ", timespec="seconds")
    if isinstance(value, Mapping):
        return ", ".join(f"{key}={item}" for key, item in value.items())
    return str(value)


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Decimal):
        return exact(value)
    raise TypeError(f"a {type(value).__name__} has no place in the output")
