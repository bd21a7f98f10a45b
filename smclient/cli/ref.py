"""``smclient ref``: how a reference is read. Asks nobody."""

from __future__ import annotations

from typing import Any

import click

from smclient import references
from smclient.cli.options import json_option, print_fields, print_json


@click.group()
def ref() -> None:
    """References: text that names a secret."""


@ref.command()
@click.argument("text")
@json_option
def explain(text: str, as_json: bool) -> None:
    """Show how the reference TEXT is read, or which segment of it is wrong (exit code 2)."""
    parsed = references.parse(text)
    form = type(parsed).__name__.lower()
    whole = parsed.parts if not isinstance(parsed, references.Reference) else (parsed,)
    parts = [_part(part) for part in whole]
    scanned = references.is_reference(text)
    if as_json:
        shown = {"form": form, "canonical": str(parsed), "in_configuration": scanned}
        print_json({**shown, "parts": parts})
        return
    print_fields({"form": form, "canonical": str(parsed), "in configuration": scanned})
    for part in parts:
        click.echo()
        print_fields(part)


def _part(part: str | references.Reference) -> dict[str, Any]:
    if isinstance(part, str):
        return {"text": part}
    return {
        "secret": part.ref.secret_id,
        "stage": part.ref.version_stage,
        "version": part.ref.version_id,
        "key": part.key,
        "optional": part.optional,
    }
