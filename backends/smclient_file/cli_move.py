"""import and export: from and to AWS, dotenv, JSON; exports of sops and chamber."""

from __future__ import annotations

import base64
import io
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from smclient.backend import load_backend
from smclient.cli.export import export as client_export
from smclient.cli.import_ import import_ as client_import
from smclient.cli.options import (
    confirm,
    dry_run_option,
    json_option,
    parsed_tags,
    print_json,
    print_or_save,
    tag_option,
    yes_option,
)
from smclient.errors import SmclientError
from smclient_embedded.store import Scope, SecretRecord
from smclient_file.cli_common import Given, opening, store_argument, text_or_none
from smclient_file.moving import (
    Item,
    Step,
    described,
    items_of,
    listed,
    plan_into,
    plan_out,
    read,
    write_into,
    write_out,
)

DEFAULT_ACCOUNT, DEFAULT_REGION = "123456789012", "us-east-1"  # as the embedded service has them


@click.command("import")
@store_argument()
@click.argument("file", required=False)
@click.option(
    "--from",
    "source",
    required=True,
    type=click.Choice(["aws", "dotenv", "json", "sops", "chamber"]),
    help="sops and chamber: what 'sops -d' and 'chamber export' print.",
)
@click.option("--backend", default="aws://", show_default=True, help="For --from aws: where.")
@click.option("--name", "names", multiple=True, help="For --from aws: this secret.")
@click.option("--prefix", help="For --from aws: names that begin so.")
@tag_option
@click.option("--keep-arns", is_flag=True, help="For --from aws: keep account, region and ARN.")
@click.option("--into", metavar="NAME", help="One JSON secret that gets every variable of FILE.")
@click.option("--under", metavar="PREFIX", help="A text secret PREFIX/VARIABLE for each.")
@dry_run_option
@yes_option
@opening
@json_option
@click.pass_context
def import_(
    ctx: click.Context,
    given: Given,
    store: str,
    file: str | None,
    source: str,
    backend: str,
    names: tuple[str, ...],
    prefix: str | None,
    tags: tuple[str, ...],
    keep_arns: bool,
    into: str | None,
    under: str | None,
    dry_run: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Bring secrets into STORE, the plan shown first: from AWS by --name, --prefix and --tag (all
    secrets without them), or from FILE (-: standard input). Prints no value.

    Without --into and --under, FILE is JSON as 'file export --to json' writes it.
    --json: {"plan":[{"name","action"}],"errors":{name: message},"done"}.
    """
    errors: dict[str, SmclientError] = {}
    if source == "aws":
        if file is not None:
            raise click.UsageError("--from aws takes no FILE")
        items, errors = _from_backend(backend, names, prefix, parsed_tags(tags))
        if not keep_arns:
            items = [_without_arn(item) for item in items]
    elif into is not None or under is not None:
        text = _variables(source, _text_of(file))
        with given.service(store) as url:
            ctx.invoke(
                client_import,
                file=text,
                into=into,
                prefix=under,
                replace=False,
                form="dotenv" if source == "dotenv" else "json",
                dry_run=dry_run,
                yes=yes,
                backend=url,
                as_json=as_json,
            )
        return
    elif source != "json":
        raise click.UsageError("say where to: --into NAME or --under PREFIX")
    else:
        items = _from_dump(_text_of(file))
    with given.store(store) as opened:
        steps = [
            step
            for scope, some in _by_scope(given, items).items()
            for step in plan_into(opened, scope, some)
        ]
        todo = _shown(steps, errors, f"Store {{}} in {store}?", yes, dry_run, as_json)
        if todo:
            for scope, some in _by_scope(given, [step.item for step in todo]).items():
                kept = {id(item) for item in some}
                part = [step for step in todo if id(step.item) in kept]
                write_into(opened, scope, part, datetime.now(UTC))
    _end(steps, errors, dry_run, as_json)


@click.command()
@store_argument()
@click.argument("names", nargs=-1)
@click.option(
    "--to", "target", required=True, type=click.Choice(["aws", "json", "dotenv", "env", "yaml"])
)
@click.option("--backend", default="aws://", show_default=True, help="For --to aws: where.")
@click.option("--prefix", help="Names that begin so.")
@tag_option
@click.option(
    "--output", type=click.Path(dir_okay=False), help="A file, made readable to you only."
)
@dry_run_option
@yes_option
@opening
@json_option
@click.pass_context
def export(
    ctx: click.Context,
    given: Given,
    store: str,
    names: tuple[str, ...],
    target: str,
    backend: str,
    prefix: str | None,
    tags: tuple[str, ...],
    output: str | None,
    dry_run: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Take secrets out of STORE: to AWS, a plan shown first, or as text with their values.

    --to json: {"secrets":[{"name","value" or "base64","version_id","description","tags"}]}; dotenv,
    env and yaml: the variables of the JSON secrets NAMES. --to aws --json: {"plan":[…],"done"}.
    """
    if target in ("dotenv", "env", "yaml"):
        if not names or prefix or tags:
            raise click.UsageError(f"--to {target} takes NAMES of secrets, no --prefix, no --tag")
        with given.service(store) as url:
            ctx.invoke(client_export, secrets=names, form=target, output=output, backend=url)
        return
    wanted = parsed_tags(tags)

    def chosen(secret: SecretRecord) -> bool:
        held = dict(secret.tags or ())
        return (
            (not names or secret.name in names)
            and secret.name.startswith(prefix or "")
            and all(key in held and value in (None, held[key]) for key, value in wanted.items())
        )

    with given.store(store) as opened:
        items = list(items_of(opened, _home(given), wanted=chosen))
    missing = sorted(set(names) - {item.name for item in items})
    if missing:
        raise click.UsageError(f"no such secret, or none with a value: {', '.join(missing)}")
    if target == "json":
        print_or_save(json.dumps(_dump(items), ensure_ascii=False, indent=1) + "\n", output)
        return
    there = load_backend(backend)
    try:
        steps = plan_out(there, items)
        for step in _shown(steps, {}, f"Write {{}} to {backend}?", yes, dry_run, as_json):
            write_out(there, step)
            if not as_json:
                click.echo(f"done       {step.item.name}")
    finally:
        there.close()
    _end(steps, {}, dry_run, as_json)


def _from_backend(
    url: str, names: Sequence[str], prefix: str | None, tags: Mapping[str, str | None]
) -> tuple[list[Item], dict[str, SmclientError]]:
    backend = load_backend(url)
    try:
        errors: dict[str, SmclientError] = {}
        found: list[dict[str, Any]] = []
        if names:
            found, errors = described(backend, names)
        if prefix is not None or tags or not names:
            known = {secret["ARN"] for secret in found}
            more = listed(backend, prefix=prefix, tags=tags)
            found += [secret for secret in more if secret["ARN"] not in known]
        with click.progressbar(length=len(found), label="reading", file=sys.stderr) as bar:
            items, unread = read(backend, found, bar.update)
        return items, {**errors, **unread}
    finally:
        backend.close()


def _from_dump(text: str) -> list[Item]:
    told = None
    items: list[Item] = []
    try:
        shape = json.loads(text)
        for secret in shape["secrets"]:
            binary = "base64" in secret
            content = base64.b64decode(secret["base64"]) if binary else secret["value"].encode()
            tags = secret.get("tags")
            items.append(
                Item(
                    name=str(secret["name"]),
                    value=content,
                    kind="binary" if binary else "string",
                    version_id=str(secret.get("version_id", "")),
                    description=secret.get("description"),
                    tags=None if tags is None else tuple((str(k), str(v)) for k, v in tags.items()),
                )
            )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        told = "the JSON is not what 'smclient file export --to json' writes"
    text = ""
    if told:  # outside the handler: the parser's error holds the text
        raise click.UsageError(f"{told}; for variables say --into NAME or --under PREFIX")
    return items


def _variables(source: str, text: str) -> io.StringIO:
    """A text that the client's own import reads, without what sops adds."""
    if source in ("sops", "chamber"):
        told, shape = None, None
        try:
            shape = json.loads(text)
        except (ValueError, RecursionError):
            told = "it is no JSON; say --output-type json to sops, --format json to chamber"
        if told is None and not isinstance(shape, dict):
            told = "it is no JSON object"
        if told is None and source == "sops" and "ENC[AES256_GCM," in text:
            told = "it is still encrypted; give what 'sops -d --output-type json' prints"
        if told is not None:
            text, shape = "", None
            raise click.UsageError(f"the {source} export cannot be read: {told}")
        assert isinstance(shape, dict)
        shape.pop("sops", None)
        text = json.dumps(shape)
    found = io.StringIO(text)
    found.name = f"the {source} input"
    return found


def _text_of(file: str | None) -> str:
    if file is None:
        raise click.UsageError("give the FILE to read, or - for standard input")
    try:
        raw = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    except OSError as error:
        raise click.UsageError(f"{file} cannot be read: {error.strerror}") from None
    text = text_or_none(raw)
    if text is None:
        raise click.UsageError(f"{file} is no UTF-8 text")
    return text


def _dump(items: Sequence[Item]) -> dict[str, Any]:
    secrets: list[dict[str, Any]] = []
    for item in items:
        shown: dict[str, Any] = {"name": item.name}
        if item.kind == "binary":
            shown["base64"] = base64.b64encode(item.value).decode()
        else:
            shown["value"] = item.value.decode()
        shown["version_id"] = item.version_id
        if item.description:
            shown["description"] = item.description
        if item.tags is not None:
            shown["tags"] = dict(item.tags)
        secrets.append(shown)
    return {"secrets": secrets}


def _home(given: Given) -> Scope:
    return Scope(given.account or DEFAULT_ACCOUNT, given.region or DEFAULT_REGION)


def _by_scope(given: Given, items: Sequence[Item]) -> dict[Scope, list[Item]]:
    """Items by the account and region of their ARN, or those of the command."""
    found: dict[Scope, list[Item]] = {}
    for item in items:
        scope = _home(given)
        if item.arn is not None:
            parts = item.arn.split(":")
            scope = Scope(parts[4], parts[3])
        found.setdefault(scope, []).append(item)
    return found


def _without_arn(item: Item) -> Item:
    return replace(item, arn=None)


def _shown(
    steps: Sequence[Step],
    errors: Mapping[str, SmclientError],
    question: str,
    yes: bool,
    dry_run: bool,
    as_json: bool,
) -> list[Step]:
    """Show the plan, ask, and give what is to be done."""
    if not as_json:
        for step in steps:
            click.echo(f"{step.action:<9}  {step.item.name}")
        for name, error in errors.items():
            click.echo(f"unreadable {name}: {error}", err=True)
    todo = [step for step in steps if step.action != "unchanged"]
    if dry_run or not todo:
        return []
    confirm(question.format(f"{len(todo)} secret{'s' if len(todo) > 1 else ''}"), yes=yes)
    return todo


def _end(
    steps: Sequence[Step], errors: Mapping[str, SmclientError], dry_run: bool, as_json: bool
) -> None:
    if as_json:
        print_json(
            {
                "plan": [step.shown() for step in steps],
                "errors": {name: str(error) for name, error in errors.items()},
                "done": not dry_run,
            }
        )
    if errors:
        raise click.exceptions.Exit(1)
