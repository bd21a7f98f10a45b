"""``smclient function``: Lambda code in a store, or at a running server that allows it."""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from smclient.errors import ConfigError
from smclient_embedded.functions import DEFAULT_HANDLER, DEFAULT_MEMORY, DEFAULT_TIMEOUT
from smclient_embedded.functions.package import package_of

_Command = TypeVar("_Command", bound=Callable[..., Any])
_DEFAULT_REGION = "us-east-1"


def _where(command: _Command) -> _Command:
    """The options that say whose functions are meant."""
    for option in (
        click.option("--region", help="Of the functions; us-east-1 unless the store says."),
        click.option("--account", metavar="ID", help="Of the functions, for --store."),
        click.option("--endpoint", metavar="URL", help="A server with --allow-function-upload."),
        click.option("--store", metavar="URL", help="A store that keeps functions."),
    ):
        command = option(command)
    return command


_as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group()
def function() -> None:
    """Rotation functions: AWS Lambda code as it is, run in processes of their own."""


@function.command()
@click.argument("name")
@click.option(
    "--file",
    "path",
    required=True,
    type=click.Path(path_type=Path, exists=True),
    help="A Python file, a folder or a zip.",
)
@click.option("--handler", default=DEFAULT_HANDLER, show_default=True, metavar="MODULE.FUNCTION")
@click.option("--python", metavar="PATH", help="The interpreter; its packages can be imported.")
@click.option("--env", "variables", multiple=True, metavar="K=V|K=@FILE", help="A variable of it.")
@click.option("--role", metavar="ARN", help="Act as this role instead of one of its own.")
@click.option(
    "--role-policy",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="What its own role may do instead: an IAM policy.",
)
@click.option("--timeout", default=DEFAULT_TIMEOUT, show_default=True, help="Seconds.")
@click.option("--memory", default=DEFAULT_MEMORY, show_default=True, help="Megabytes.")
@_where
@_as_json
def add(
    name: str,
    path: Path,
    handler: str,
    python: str | None,
    variables: tuple[str, ...],
    role: str | None,
    role_policy: Path | None,
    timeout: float,
    memory: int,
    store: str | None,
    endpoint: str | None,
    account: str | None,
    region: str | None,
    as_json: bool,
) -> None:
    """Register the Lambda function NAME, or replace it, and print its ARN.

    Its role may do what a rotation needs, on the secrets that name the function, and read the
    secret that such a secret names as its masterarn.
    """
    given = {
        "name": name,
        "package": package_of(path),
        "handler": handler,
        "python": python,
        "environment": dict(_variable(text) for text in variables),
        "role": role,
        "role_policy": None if role_policy is None else role_policy.read_text(encoding="utf-8"),
        "timeout": timeout,
        "memory_mb": memory,
    }
    arn = _ask("Add", given, store, endpoint, account, region)["arn"]
    click.echo(json.dumps({"name": name, "arn": arn}) if as_json else arn)


@function.command("list")
@_where
@_as_json
def list_functions(
    store: str | None,
    endpoint: str | None,
    account: str | None,
    region: str | None,
    as_json: bool,
) -> None:
    """List the functions: name, handler, interpreter, limits; never code or values."""
    found = _ask("List", {}, store, endpoint, account, region)["functions"]
    if as_json:
        click.echo(json.dumps(found, indent=1))
        return
    for shown in found:
        click.echo(
            f"{shown['name']}  {shown['handler']}  {shown['python']}  "
            f"{shown['timeout_seconds']:g} s  {shown['memory_mb']} MB"
        )


@function.command()
@click.argument("name")
@_where
def remove(
    name: str, store: str | None, endpoint: str | None, account: str | None, region: str | None
) -> None:
    """Forget the function NAME, its code and its log. Rotations that name it will fail."""
    _ask("Remove", {"name": name}, store, endpoint, account, region)
    click.echo(f"{name}: removed")


@function.command()
@click.argument("name")
@click.option(
    "--event", "event_file", type=click.File(), help="JSON of the event; - is standard input."
)
@_where
@_as_json
def invoke(
    name: str,
    event_file: Any,
    store: str | None,
    endpoint: str | None,
    account: str | None,
    region: str | None,
    as_json: bool,
) -> None:
    """Run the function NAME once with an event ({} unless given) and print its result.

    What it wrote goes to standard error. To try the function of a secret without rotating it, use
    RotateSecret with RotateImmediately=false: that runs testSecret alone.
    """
    event = _event(event_file)
    done = _ask("Invoke", {"name": name, "event": event}, store, endpoint, account, region)
    if as_json:
        click.echo(json.dumps(done))
    else:
        click.echo(done["log"], err=True, nl=False)
        if done["error"] is None:
            click.echo(json.dumps(done["result"]))
        else:
            click.echo(f"error: {done['error']}", err=True)
    if done["error"] is not None:
        sys.exit(1)


@function.command()
@click.argument("name")
@click.option("--lines", type=click.IntRange(min=1), help="The last ones only.")
@_where
def logs(
    name: str,
    lines: int | None,
    store: str | None,
    endpoint: str | None,
    account: str | None,
    region: str | None,
) -> None:
    """Print what the function NAME wrote of late. It may hold what the function printed."""
    text = _ask("Logs", {"name": name}, store, endpoint, account, region)["log"]
    kept = text.splitlines() if lines is None else text.splitlines()[-lines:]
    for line in kept:
        click.echo(line)


# --- inside ---------------------------------------------------------------------------------------


def _ask(
    action: str,
    given: dict[str, Any],
    store: str | None,
    endpoint: str | None,
    account: str | None,
    region: str | None,
) -> dict[str, Any]:
    if (store is None) == (endpoint is None):
        raise click.UsageError("say where: --store URL or --endpoint URL")
    if endpoint is not None:
        from smclient_embedded.function_desk import ask_server

        if "package" in given:
            given = {**given, "package": base64.b64encode(given["package"]).decode()}
        return ask_server(endpoint, action, given, region=region or _DEFAULT_REGION)
    from smclient_embedded.function_desk import FunctionDesk
    from smclient_embedded.service import EmbeddedService

    with EmbeddedService(store or "", account=account, region=region) as service:
        if not service.keeps_functions:
            raise ConfigError(
                "the encrypted file keeps secrets, not functions; use a store of the embedded "
                "service, or register the function from Python each time"
            )
        if not service.url.path:
            raise ConfigError(
                "a store in memory ends with this command; name one that lasts, for example "
                "embedded:///abs/secrets.db"
            )
        return FunctionDesk(service, pythons=None).do(action, given)


def _variable(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise click.UsageError(f"--env {name} has no value: K=V, or K=@FILE")
    if not value.startswith("@"):
        return name, value
    try:
        return name, Path(value[1:]).read_text(encoding="utf-8").removesuffix("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise click.UsageError(f"--env {name}: {value[1:]} cannot be read as text") from error


def _event(event_file: Any) -> dict[str, Any]:
    if event_file is None:
        return {}
    try:
        event = json.load(event_file)
    except (ValueError, RecursionError):
        event = None
    if not isinstance(event, dict):
        raise click.UsageError(f"{event_file.name}: the event is no JSON object")
    return event
