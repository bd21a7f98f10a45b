"""``smclient put``: store a new value. It comes from a file, standard input or the environment."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import click

from smclient.cli.options import backend_option, json_option, parsed_tags, print_json, tag_option
from smclient.client import SecretsClient
from smclient.errors import ResourceNotFoundError
from smclient.secret import RedactedStr


@click.command()
@click.argument("name")
@click.argument("source", required=False, metavar="[@FILE|-]")
@click.option("--from-env", metavar="VARIABLE", help="Take the value from this variable.")
@click.option("--create", is_flag=True, help="Make the secret if it is not there.")
@click.option("--binary", is_flag=True, help="Store bytes as they are, not text.")
@click.option("--stage", "stages", multiple=True, metavar="LABEL", help="Instead of AWSCURRENT.")
@click.option("--description", help="Of a secret that is made.")
@click.option("--kms-key-id", metavar="KEY", help="Of a secret that is made.")
@tag_option
@backend_option
@json_option
def put(
    name: str,
    source: str | None,
    from_env: str | None,
    create: bool,
    binary: bool,
    stages: tuple[str, ...],
    description: str | None,
    kms_key_id: str | None,
    tags: tuple[str, ...],
    backend: str | None,
    as_json: bool,
) -> None:
    """Store a new value of the secret NAME, from @FILE or from standard input (-).

    A value is never an argument: arguments are seen by every user of the machine. One line break
    at the end of a text is taken off, as ``get`` puts one there; with --binary nothing is.
    """
    value = _value(_read(source, from_env), binary)
    more: dict[str, Any] = {"VersionStages": list(stages)} if stages else {}
    with SecretsClient(backend) as client:
        try:
            answer = client.call("PutSecretValue", SecretId=name, **value, **more)
            created = False
        except ResourceNotFoundError:
            if not create:
                raise
            if stages:
                raise click.UsageError("--stage is for secrets that are there") from None
            answer = client.call(
                "CreateSecret", Name=name, **value, **_new(description, kms_key_id, tags)
            )
            created = True
    if as_json:
        shown = {"name": answer["Name"], "arn": answer["ARN"], "version_id": answer["VersionId"]}
        print_json({**shown, "created": created})
    else:
        done = "created" if created else "stored"
        click.echo(f"{answer['Name']}: {done}, version {answer['VersionId']}")


def _new(description: str | None, kms_key_id: str | None, tags: tuple[str, ...]) -> dict[str, Any]:
    made: dict[str, Any] = {}
    if description is not None:
        made["Description"] = description
    if kms_key_id is not None:
        made["KmsKeyId"] = kms_key_id
    if tags:
        made["Tags"] = [{"Key": k, "Value": v or ""} for k, v in parsed_tags(tags).items()]
    return made


def _read(source: str | None, from_env: str | None) -> bytes:
    if (source is None) == (from_env is None):
        raise click.UsageError("say where the value comes from: @FILE, - or --from-env VARIABLE")
    if from_env is not None:
        if from_env not in os.environ:
            raise click.UsageError(f"there is no variable {from_env}")
        return (
            os.environb[from_env.encode()]
            if os.supports_bytes_environ
            else os.environ[from_env].encode()
        )
    assert source is not None
    if source == "-":
        if sys.stdin.isatty():
            prompted: str = click.prompt("Value", hide_input=True, err=True)
            return prompted.encode()
        return sys.stdin.buffer.read()
    if not source.startswith("@"):  # not repeated: it may well be the value
        raise click.UsageError("a value is never an argument; give @FILE, - or --from-env VARIABLE")
    try:
        return Path(source[1:]).read_bytes()
    except OSError as error:
        raise click.UsageError(f"{source[1:]} cannot be read: {error.strerror}") from None


def _value(content: bytes, binary: bool) -> dict[str, Any]:
    if binary:
        return {"SecretBinary": content}
    try:
        text = content.decode()
    except UnicodeDecodeError:
        text = None
    del content
    if text is None:
        raise click.UsageError("the value is no UTF-8 text; --binary stores it as bytes")
    text = text.removesuffix("\n").removesuffix("\r")
    if not text:
        raise click.UsageError("the value is empty")
    return {"SecretString": RedactedStr(text)}
