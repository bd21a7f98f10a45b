"""``smclient list``: which secrets there are. No values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import click

from smclient import boto_shapes
from smclient.cli.options import (
    backend_option,
    json_option,
    parsed_tags,
    print_json,
    print_table,
    tag_option,
)
from smclient.client import SecretsClient


@click.command("list")
@click.argument("prefix", required=False, default="")
@tag_option
@click.option("--all", "deleted_too", is_flag=True, help="Those marked for deletion too.")
@backend_option
@json_option
def list_secrets(
    prefix: str, tags: tuple[str, ...], deleted_too: bool, backend: str | None, as_json: bool
) -> None:
    """List secrets whose name starts with PREFIX and that carry all tags. No values."""
    wanted = parsed_tags(tags)
    with SecretsClient(backend) as client:
        found = [
            secret
            for secret in _secrets(client, prefix, wanted, deleted_too)
            if secret["name"].startswith(prefix)
            and all(
                key in secret["tags"] and value in (None, secret["tags"][key])
                for key, value in wanted.items()
            )
        ]
    if as_json:
        print_json({"secrets": found})
    else:
        print_table(
            ("NAME", "CHANGED", "ROTATION", "TAGS"),
            [(s["name"], s["last_changed_date"], _rotation(s), s["tags"]) for s in found],
        )


def _secrets(
    client: SecretsClient, prefix: str, tags: Mapping[str, str | None], deleted_too: bool
) -> Iterator[dict[str, Any]]:
    filters = boto_shapes.name_filter(prefix) if prefix else []
    for key, value in tags.items():
        filters.append({"Key": "tag-key", "Values": [key]})
        if value:
            filters.append({"Key": "tag-value", "Values": [value]})
    parameters: dict[str, Any] = {"Filters": filters} if filters else {}
    if deleted_too:
        parameters["IncludePlannedDeletion"] = True
    yield from map(_shown, listed(client, **parameters))


def listed(client: SecretsClient, **parameters: Any) -> Iterator[dict[str, Any]]:
    """The entries that ListSecrets gives, page after page."""
    for answer in boto_shapes.pages(lambda asked: client.call("ListSecrets", **asked), parameters):
        yield from answer.get("SecretList", ())


def _shown(shape: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "name": shape["Name"],
        "arn": shape["ARN"],
        "description": shape.get("Description"),
        "last_changed_date": shape.get("LastChangedDate"),
        "next_rotation_date": shape.get("NextRotationDate"),
        "deleted_date": shape.get("DeletedDate"),
        "rotation_enabled": bool(shape.get("RotationEnabled")),
        "tags": {tag["Key"]: tag.get("Value", "") for tag in shape.get("Tags", ())},
    }


def _rotation(secret: Mapping[str, Any]) -> object:
    if secret["deleted_date"] is not None:
        return "marked for deletion"
    return secret["next_rotation_date"] or secret["rotation_enabled"]
