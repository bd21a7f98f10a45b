"""``smclient policy``: decisions of the policy engine, on cases in a file or on a store."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TextIO

import click

from smclient_embedded.policy import (
    CaseError,
    compile_policy,
    is_public,
    lint,
    read_cases,
    report,
)
from smclient_embedded.store_options import check_there, read_pairs, store_option

DENIED = 4
KINDS = ("identity", "resource", "scp", "rcp")


@click.group()
def policy() -> None:
    """Policies: what they decide, whether they are valid or public, and why."""


@policy.command()
@click.argument("file", type=click.File(encoding="utf-8"))
@click.option("--check", is_flag=True, help="Exit with 1 if an answer is not the case's 'expect'.")
def simulate(file: TextIO, check: bool) -> None:
    """Decide each request case in FILE (-: standard input).

    FILE is JSON: a list of cases or an object whose 'cases' is one; docs/access.md has the format.
    One JSON line a case: {"id","decision","explanation"}; {"id","error"} for a case that is not in
    the format, and then 1 in the end.
    """
    wrong = 0
    for case in _cases(file):
        answer = _answered(case, report)
        wrong += "error" in answer
        if check and answer.get("decision") != case.get("expect"):
            wrong += 1
        click.echo(json.dumps(answer))
    if wrong:
        click.get_current_context().exit(1)


@policy.command("lint")
@click.argument("file", type=click.File(encoding="utf-8"))
def lint_(file: TextIO) -> None:
    """Say of each policy in FILE (-: standard input) whether it is public, or valid.

    One JSON line a case: {"id","public","explanation"} for a case with 'policy', or
    {"id","valid","explanation"} for one with 'kind' and 'document' or 'text'.
    """
    wrong = 0
    for case in _cases(file):
        answer = _answered(case, lint)
        wrong += "error" in answer
        click.echo(json.dumps(answer))
    if wrong:
        click.get_current_context().exit(1)


@policy.command()
@click.argument("file", type=click.File(encoding="utf-8"))
@click.option("--kind", type=click.Choice(KINDS), default="resource", show_default=True)
@click.option("--json", "as_json", is_flag=True, help='{"valid","public","faults":[{"place",…}]}.')
def validate(file: TextIO, kind: Any, as_json: bool) -> None:
    """Check the policy in FILE (-: standard input) as AWS would. Exits with 1 if it is refused.

    Of a resource policy it is said, too, whether it is public; BlockPublicPolicy refuses that.
    """
    text = _text(file)
    faults = compile_policy(text, kind).faults
    public = is_public(text) if kind == "resource" and not faults else None
    if as_json:
        listed = [str(fault) for fault in faults]
        said = {"kind": kind, "valid": not faults, "public": public, "faults": listed}
        click.echo(json.dumps(said))
    else:
        for fault in faults:
            click.echo(str(fault))
        if not faults:
            click.echo(f"a valid {kind} policy" + (", and public" if public else ""))
    if faults:
        click.get_current_context().exit(1)


@policy.command()
@click.option("--principal", required=True, metavar="ARN", help="Who asks.")
@click.option("--action", required=True, metavar="NAME", help="Such as GetSecretValue.")
@click.option("--secret", metavar="NAME|ARN", help="The secret it is about.")
@store_option
@click.option("--region", help="The region asked in.")
@click.option(
    "--parameter",
    "parameters",
    multiple=True,
    metavar="NAME=VALUE",
    help="A parameter of the call.",
)
@click.option(
    "--context", "keys", multiple=True, metavar="KEY=VALUE", help="A condition key's value."
)
@click.option("--json", "as_json", is_flag=True, help='{"decision","explanation",…}.')
def explain(
    principal: str,
    action: str,
    secret: str | None,
    url: str,
    region: str | None,
    parameters: Sequence[str],
    keys: Sequence[str],
    as_json: bool,
) -> None:
    """Say why a principal of a store may or may not do something. 0 if it may, 4 if not.

    Nothing is done. A VALUE that is JSON is taken as such, so that true and 7 are what they are.
    """
    from smclient_embedded.service import EmbeddedService

    check_there(url)
    given = {name: _value(value) for name, value in read_pairs(parameters, "--parameter").items()}
    with EmbeddedService(url) as service:
        found = service.explain(
            principal,
            action,
            secret,
            region=region,
            parameters=given,
            keys=read_pairs(keys, "--context"),
        )
    if as_json:
        last = found.decisions[-1]
        said = {
            "principal": last.request.principal,
            "action": last.request.action,
            "resource": last.request.resource,
            "decision": found.decision,
            "explanation": found.sentences(),
        }
        click.echo(json.dumps(said))
    else:
        click.echo(found.decision)
        for sentence in found.sentences():
            click.echo(sentence)
    if not found.allowed:
        click.get_current_context().exit(DENIED)


def _cases(file: TextIO) -> Sequence[Mapping[str, Any]]:
    try:
        return read_cases(json.loads(_text(file)))
    except CaseError as error:
        raise click.UsageError(f"{file.name}: {error}") from error
    except json.JSONDecodeError as error:
        raise click.UsageError(f"{file.name}, line {error.lineno}: it is not JSON") from error
    except (ValueError, RecursionError) as error:
        raise click.UsageError(f"{file.name}: it is not JSON, or nested too deeply") from error


def _text(file: TextIO) -> str:
    try:
        return file.read()
    except UnicodeDecodeError as error:
        raise click.UsageError(f"{file.name}: it is not UTF-8") from error


def _answered(
    case: Mapping[str, Any], ask: Callable[[Mapping[str, Any]], dict[str, Any]]
) -> dict[str, Any]:
    try:
        return ask(case)
    except CaseError as error:
        return {"id": case.get("id"), "error": str(error)}


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
