"""``flask secrets …``: what the settings of an app refer to, and whether that can be read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import click
from flask import current_app
from flask.cli import AppGroup

from smclient import ResourceNotFoundError, SecretsClient, SmclientError
from smclient.references import AnyReference, as_text, parse, shown
from smclient.remedies import with_remedy
from smclient.report import text as report
from smclient_flask.config import LiveConfig
from smclient_flask.extension import EXTENSION, failures

_json_option = click.option("--json", "as_json", is_flag=True, help="As JSON.")


def make_group(name: str) -> AppGroup:
    """The group of commands; each runs in the context of its app."""
    group = AppGroup(name, help="Secrets that this app's settings refer to.")
    for command in (status, check, explain, get, rotate, usage):
        group.command(command.__name__)(command)
    return group


@_json_option
def status(as_json: bool) -> None:
    """List settings, references and the versions that they mean now. Shows no value."""
    config = _config()
    found = config.references()
    failed = failures(config, found)
    rows: list[dict[str, Any]] = [
        {
            "setting": where,
            "reference": shown(reference),
            "versions": [] if where in failed else _versions(config.secrets_client, reference),
            "error": failed.get(where),
        }
        for where, reference in found.items()
    ]
    if as_json:
        return _print_json({"settings": rows})
    for row in rows:
        said = "unreadable" if row["error"] else ", ".join(row["versions"]) or "absent"
        click.echo(f"{row['setting']}  {row['reference']}  {said}")
    return None


@_json_option
def check(as_json: bool) -> None:
    """Read every secret once; exit code 1 if one cannot be read. Shows no value."""
    config = _config()
    found = config.references()
    failed = failures(config, found)
    if as_json:
        _print_json({"checked": len(found), "failed": failed})
    else:
        for message in failed.values():
            click.echo(message, err=True)
        click.echo(f"{len(found) - len(failed)} of {len(found)} settings can be read")
    if failed:
        raise click.exceptions.Exit(1)


@click.argument("setting")
@_json_option
def explain(setting: str, as_json: bool) -> None:
    """Say where the value of SETTING comes from: secret, version, labels, dates. Shows no value."""
    config = _config()
    mine = {
        where: reference
        for where, reference in config.references().items()
        if where == setting or where.startswith(f"{setting}[")
    }
    if not mine:
        known = "is no reference" if setting in config else "is not there"
        raise click.ClickException(f"app.config[{setting!r}] {known}")
    facts = [
        {"setting": where, **_facts(config.secrets_client, ref.secret_id, reference)}
        for where, reference in mine.items()
        for ref in reference.refs()
    ]
    if as_json:
        return _print_json({"references": facts})
    for fact in facts:
        for name, value in fact.items():
            click.echo(f"{name:<14} {value if value is not None else '-'}")
    return None


@click.argument("wanted", metavar="SETTING|REFERENCE")
def get(wanted: str) -> None:
    """Print one value: of a setting, or of a reference (also an ARN)."""
    config = _config()
    if wanted in config:
        value = config[wanted]
        click.echo(value if isinstance(value, str) else json.dumps(_plain(value), default=repr))
        return
    try:
        reference = parse(wanted)
        click.echo(as_text(config.secrets_client.resolve(reference), reference))
    except SmclientError as error:
        raise click.ClickException(with_remedy(error)) from None


@click.argument("wanted", metavar="SETTING|SECRET")
def rotate(wanted: str) -> None:
    """Start a rotation of the secret of a setting, or of a secret by its name."""
    config = _config()
    reference = config.references().get(wanted)
    ids = [ref.secret_id for ref in reference.refs()] if reference is not None else [wanted]
    for secret_id in dict.fromkeys(ids):
        try:
            answer = config.secrets_client.call("RotateSecret", SecretId=secret_id)
        except SmclientError as error:
            raise click.ClickException(f"secret {secret_id!r}: {with_remedy(error)}") from None
        click.echo(f"{answer.get('Name', secret_id)}  version {answer.get('VersionId')}")


@_json_option
def usage(as_json: bool) -> None:
    """What starting this app and reading its settings costs in calls and money."""
    config = _config()
    failures(config, config.references())
    used = config.secrets_client.usage()
    if as_json:
        return _print_json(used.to_dict())
    click.echo(report.render(used))
    return None


def _config() -> LiveConfig:
    config = current_app.config
    if EXTENSION not in current_app.extensions or not isinstance(config, LiveConfig):
        raise click.ClickException("this app has no Secrets extension")
    return config


def _versions(client: SecretsClient, reference: AnyReference) -> list[str]:
    found = []
    for ref in reference.refs():
        try:
            value = client.get(
                ref.secret_id, version_stage=ref.version_stage, version_id=ref.version_id
            )
        except ResourceNotFoundError:
            continue  # an optional reference, or it would have failed before
        found.append(f"{value.version_id} [{','.join(sorted(value.version_stages))}]")
    return found


def _facts(client: SecretsClient, secret_id: str, reference: AnyReference) -> dict[str, Any]:
    try:
        shape = client.call("DescribeSecret", SecretId=secret_id)
    except SmclientError as error:
        return {"reference": shown(reference), "error": with_remedy(error)}
    versions: Mapping[str, list[str]] = shape.get("VersionIdsToStages", {})
    stages = {stage: version for version, labels in versions.items() for stage in labels}
    return {
        "reference": shown(reference),
        "arn": shape["ARN"],
        "stages": " ".join(f"{stage}={stages[stage]}" for stage in sorted(stages)),
        "last_changed": shape.get("LastChangedDate"),
        "next_rotation": shape.get("NextRotationDate"),
    }


def _plain(value: Any) -> Any:
    return value.decode(errors="replace") if isinstance(value, bytes) else value


def _print_json(value: Any) -> None:
    click.echo(json.dumps(value, indent=2, default=str))
