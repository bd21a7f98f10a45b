"""``smclient import``: an environment file into secrets, the plan shown first. Prints no value."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TextIO

import click

from smclient.cli.dotenv import DotenvError, parse_dotenv, text_of
from smclient.cli.options import (
    backend_option,
    confirm,
    dry_run_option,
    json_option,
    print_json,
    yes_option,
)
from smclient.client import SecretsClient
from smclient.errors import NotJsonError, ResourceNotFoundError
from smclient.secret import RedactedStr, SecretValue


@dataclass(frozen=True, slots=True)
class Step:
    """What happens to one secret. ``value`` is shown nowhere."""

    name: str
    action: str
    added: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    value: str = field(default="", repr=False)

    def shown(self) -> dict[str, Any]:
        """Names only."""
        keys = {"added": self.added, "changed": self.changed, "removed": self.removed}
        return {"name": self.name, "action": self.action, **{k: list(v) for k, v in keys.items()}}


@click.command("import")
@click.argument("file", type=click.File(encoding="utf-8"))
@click.option("--into", metavar="NAME", help="One JSON secret that gets every variable.")
@click.option("--prefix", metavar="PREFIX", help="A text secret PREFIX/VARIABLE for each.")
@click.option("--replace", is_flag=True, help="With --into: keys that FILE lacks are dropped.")
@click.option(
    "--format", "form", type=click.Choice(["dotenv", "json"]), help="Default: by content."
)
@dry_run_option
@yes_option
@backend_option
@json_option
def import_(
    file: TextIO,
    into: str | None,
    prefix: str | None,
    replace: bool,
    form: str | None,
    dry_run: bool,
    yes: bool,
    backend: str | None,
    as_json: bool,
) -> None:
    """Store the variables of FILE (-: standard input), dotenv or a JSON object."""
    if (into is None) == (prefix is None):
        raise click.UsageError("say where to: --into NAME or --prefix PREFIX")
    variables = _read(file, form)
    with SecretsClient(backend) as client:
        if into is not None:
            steps = [_into(client, into, variables, replace)]
        else:
            steps = [_one(client, f"{prefix}/{name}", v) for name, v in variables.items()]
        if not as_json:
            for step in steps:
                _show(step)
        if not dry_run:
            todo = [step for step in steps if step.action != "unchanged"]
            if todo:
                confirm(f"Store {len(todo)} secret{'s' if len(todo) > 1 else ''}?", yes=yes)
            for step in todo:
                _store(client, step)
    if as_json:
        print_json({"plan": [step.shown() for step in steps], "done": not dry_run})


def _read(file: TextIO, form: str | None) -> dict[str, Any]:
    try:
        text = file.read()
    except UnicodeDecodeError:
        text = None
    if text is None:
        raise click.UsageError(f"{file.name} is no UTF-8 text")
    told = None
    found: Any = None
    try:
        if form == "json" or (form is None and text.lstrip().startswith("{")):
            found = json.loads(text)
        else:
            found = parse_dotenv(text)
    except DotenvError as error:
        told = str(error)
    except (ValueError, RecursionError):
        told = "it is no JSON"  # the parser's own error holds the text
    if told is None and (not isinstance(found, dict) or not found):
        told = "it has no variables"
    if told is not None:
        found = text = None
        raise click.UsageError(f"{file.name}: {told}")
    variables: dict[str, Any] = found
    return variables


def _into(client: SecretsClient, name: str, new: Mapping[str, Any], replace: bool) -> Step:
    value = _held(client, name)
    if value is None:
        return Step(name, "create", added=tuple(new), value=_json(new))
    if value.is_binary:
        raise NotJsonError(f"secret {name!r} is binary, so variables cannot be put into it")
    old = value.fields
    merged = dict(new) if replace else {**old, **new}
    added = tuple(k for k in merged if k not in old)
    changed = tuple(k for k in merged if k in old and merged[k] != old[k])
    removed = tuple(k for k in old if k not in merged)
    action = "update" if added or changed or removed else "unchanged"
    return Step(name, action, added, changed, removed, _json(merged))


def _one(client: SecretsClient, name: str, content: Any) -> Step:
    text = text_of(content)
    if not text:
        raise click.UsageError(f"{name} would be empty, which no secret can be; use --into")
    value = _held(client, name)
    if value is None:
        return Step(name, "create", value=text)
    same = not value.is_binary and value.text == text
    return Step(name, "unchanged" if same else "update", value=text)


def _held(client: SecretsClient, name: str) -> SecretValue | None:
    try:
        return client.get(name, max_age=0)
    except ResourceNotFoundError:
        return None


def _store(client: SecretsClient, step: Step) -> None:
    value = RedactedStr(step.value)
    if step.action == "create":
        client.call("CreateSecret", Name=step.name, SecretString=value)
    else:
        client.call("PutSecretValue", SecretId=step.name, SecretString=value)


def _json(variables: Mapping[str, Any]) -> str:
    return json.dumps(dict(variables), ensure_ascii=False)


def _show(step: Step) -> None:
    marks = (("+", step.added), ("~", step.changed), ("-", step.removed))
    keys = "".join(f" {mark}{key}" for mark, names in marks for key in names)
    click.echo(f"{step.action:<9}  {step.name}{keys}")
