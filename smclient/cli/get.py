"""``smclient get``: print one secret, or one key of it."""

from __future__ import annotations

import json
import sys
from typing import Any

import click

from smclient.client import SecretsClient
from smclient.references import is_reference


@click.command()
@click.argument("secret")
@click.option("--backend", metavar="URL", help="Default: SMCLIENT_BACKEND, else aws://.")
@click.option("--stage", metavar="LABEL", help="A staging label other than AWSCURRENT.")
@click.option("--json", "as_json", is_flag=True, help='{"name","arn","version_id","value"}.')
def get(secret: str, backend: str | None, stage: str | None, as_json: bool) -> None:
    """Print the value of SECRET: a name, an ARN, or a reference such as secret://prod/db#password."""
    by_reference = is_reference(secret) or _is_long_arn(secret)
    if by_reference and stage is not None:
        raise click.UsageError("--stage is for a name or an ARN; a reference says ?stage=LABEL")
    with SecretsClient(backend) as client:
        if by_reference:
            value: Any = client.resolve(secret)
            shown: dict[str, Any] = {"reference": secret}
        else:
            found = client.get(secret, version_stage=stage)
            value = found.binary if found.is_binary else found.text
            shown = {"name": found.name, "arn": found.arn, "version_id": found.version_id}
        if as_json:
            click.echo(json.dumps({**shown, "value": _printable(value)}))
        elif isinstance(value, bytes):
            sys.stdout.buffer.write(value)
        else:
            click.echo(value if isinstance(value, str) else json.dumps(value))


def _is_long_arn(text: str) -> bool:
    """ECS's form, arn:…:secret:NAME:key:stage:version."""
    return text.startswith("arn:") and text.count(":") > 6


def _printable(value: Any) -> Any:
    import base64

    return {"base64": base64.b64encode(value).decode()} if isinstance(value, bytes) else value
