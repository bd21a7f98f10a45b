"""``smclient rollback``: AWSCURRENT back to the version before, shown before it is done."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from smclient.cli.options import (
    backend_option,
    confirm,
    dry_run_option,
    json_option,
    print_json,
    yes_option,
)
from smclient.client import SecretsClient
from smclient.errors import ResourceNotFoundError
from smclient.secret import AWSCURRENT, AWSPENDING, AWSPREVIOUS

LABELS = (AWSCURRENT, AWSPREVIOUS)


@click.command()
@click.argument("name")
@click.option("--to", "version_id", metavar="VERSION", help="Another version than AWSPREVIOUS.")
@dry_run_option
@yes_option
@backend_option
@json_option
def rollback(
    name: str,
    version_id: str | None,
    dry_run: bool,
    yes: bool,
    backend: str | None,
    as_json: bool,
) -> None:
    """Make the version before the current one of the secret NAME. Values stay as they are.

    The version that was current becomes AWSPREVIOUS, so a second rollback undoes the first. What
    uses the secret, a database for example, is not told.
    """
    with SecretsClient(backend) as client:
        shape = client.call("DescribeSecret", SecretId=name)
        versions = shape.get("VersionIdsToStages", {})
        before = {label: _carrier(versions, label) for label in LABELS}
        target = version_id or before[AWSPREVIOUS]
        if target is None or target not in versions:
            raise ResourceNotFoundError(
                f"secret {shape['Name']!r} has no version {version_id or AWSPREVIOUS} to go back to"
            )
        if target == before[AWSCURRENT]:
            raise click.UsageError(f"version {target} is AWSCURRENT already")
        after = {AWSCURRENT: target, AWSPREVIOUS: before[AWSCURRENT]}
        if not as_json or not (yes or dry_run):
            _show(shape["Name"], before, after)
        pending = _carrier(versions, AWSPENDING)
        if pending not in (None, before[AWSCURRENT]):
            click.echo(f"note: a rotation is under way (AWSPENDING is {pending})", err=True)
        if not dry_run:
            confirm("Move the labels?", yes=yes)
            change: dict[str, Any] = {"SecretId": shape["ARN"], "VersionStage": AWSCURRENT}
            if before[AWSCURRENT] is not None:
                change["RemoveFromVersionId"] = before[AWSCURRENT]
            client.call("UpdateSecretVersionStage", **change, MoveToVersionId=target)
            now = client.call("DescribeSecret", SecretId=shape["ARN"])["VersionIdsToStages"]
            after = {label: _carrier(now, label) for label in LABELS}
    if as_json:
        shown = {"name": shape["Name"], "arn": shape["ARN"], "before": before, "after": after}
        print_json({**shown, "done": not dry_run})
    elif not dry_run:
        click.echo("done")


def _carrier(versions: Mapping[str, Any], label: str) -> str | None:
    return next((v for v, labels in versions.items() if label in labels), None)


def _show(name: str, before: Mapping[str, str | None], after: Mapping[str, str | None]) -> None:
    click.echo(name, err=True)
    for label in LABELS:
        click.echo(f"  {label:<11}  {before[label] or '-'}  ->  {after[label] or '-'}", err=True)
