"""``smclient describe``: labels, rotation, key and tags of a secret. No value."""

from __future__ import annotations

import click

from smclient.cli.options import backend_option, json_option, print_fields, print_json
from smclient.client import SecretsClient


@click.command()
@click.argument("name")
@backend_option
@json_option
def describe(name: str, backend: str | None, as_json: bool) -> None:
    """Show what there is to know of the secret NAME, except its value."""
    with SecretsClient(backend) as client:
        shape = client.call("DescribeSecret", SecretId=name)
    shown = {
        "name": shape["Name"],
        "arn": shape["ARN"],
        "description": shape.get("Description"),
        "kms_key_id": shape.get("KmsKeyId"),
        "rotation_enabled": bool(shape.get("RotationEnabled")),
        "rotation_function": shape.get("RotationLambdaARN"),
        "rotation_rules": shape.get("RotationRules") or {},
        "created_date": shape.get("CreatedDate"),
        "last_changed_date": shape.get("LastChangedDate"),
        "last_rotated_date": shape.get("LastRotatedDate"),
        "next_rotation_date": shape.get("NextRotationDate"),
        "deleted_date": shape.get("DeletedDate"),
        "tags": {tag["Key"]: tag.get("Value", "") for tag in shape.get("Tags", ())},
    }
    versions = {v: sorted(stages) for v, stages in shape.get("VersionIdsToStages", {}).items()}
    if as_json:
        print_json({**shown, "versions": versions})
    else:
        print_fields(shown)
        for version_id, stages in versions.items():
            click.echo(f"version {version_id}  {' '.join(stages)}")
