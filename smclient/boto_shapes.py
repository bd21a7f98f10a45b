"""boto3's shapes to ours and back, as plain dicts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from smclient.batch import Batch
from smclient.errors import BackendError, SmclientError, from_code
from smclient.secret import SecretDescription, SecretValue


def value_from_dict(shape: Mapping[str, Any]) -> SecretValue:
    """A ``SecretValue`` from GetSecretValue's answer, or an entry of BatchGetSecretValue's."""
    return SecretValue(
        arn=shape["ARN"],
        name=shape["Name"],
        version_id=shape["VersionId"],
        version_stages=shape.get("VersionStages", ()),
        created_date=shape.get("CreatedDate"),
        text=shape.get("SecretString"),
        binary=shape.get("SecretBinary"),
    )


def value_dict(value: SecretValue) -> dict[str, Any]:
    """GetSecretValue's answer for a value."""
    shape: dict[str, Any] = {
        "ARN": value.arn,
        "Name": value.name,
        "VersionId": value.version_id,
        "VersionStages": sorted(value.version_stages),
    }
    if value.is_binary:
        shape["SecretBinary"] = value.binary
    else:
        shape["SecretString"] = value.text
    if value.created_date is not None:
        shape["CreatedDate"] = value.created_date
    return shape


def batch_dict(batch: Batch) -> dict[str, Any]:
    """BatchGetSecretValue's answer for a batch."""
    return {
        "SecretValues": [value_dict(value) for value in batch.values.values()],
        "Errors": [_error_dict(secret_id, error) for secret_id, error in batch.errors.items()],
    }


def _error_dict(secret_id: str, error: SmclientError) -> dict[str, Any]:
    code = error.code if isinstance(error, BackendError) else type(error).__name__
    return {"SecretId": secret_id, "ErrorCode": code, "Message": str(error)}


def error_from_dict(shape: Mapping[str, Any]) -> BackendError:
    """The error of our tree for an entry of BatchGetSecretValue's ``Errors``; costs no call."""
    return from_code(shape["ErrorCode"], shape.get("Message", ""), attempts=0)


def matched(asked: list[str], shape: Mapping[str, Any]) -> dict[str, SecretValue | SmclientError]:
    """BatchGetSecretValue's answer sorted by the ids that were asked for, names and ARNs alike.

    An id that got neither value nor error is reported as not found, never left out.
    """
    by_key: dict[str, SecretValue] = {}
    for entry in shape.get("SecretValues", ()):
        value = value_from_dict(entry)
        by_key |= {value.name: value, value.arn[:-7]: value, value.arn: value}
    errors = {entry["SecretId"]: error_from_dict(entry) for entry in shape.get("Errors", ())}
    absent = "ResourceNotFoundException"
    return {
        secret_id: by_key.get(secret_id)
        or errors.get(secret_id)
        or from_code(absent, "the batch answered neither a value nor an error", attempts=0)
        for secret_id in asked
    }


def description_from_dict(shape: Mapping[str, Any]) -> SecretDescription:
    """A ``SecretDescription`` from DescribeSecret's answer."""
    versions = shape.get("VersionIdsToStages", {})
    return SecretDescription(
        arn=shape["ARN"],
        name=shape["Name"],
        version_stages={version_id: frozenset(v) for version_id, v in versions.items()},
        kms_key_id=shape.get("KmsKeyId"),
        next_rotation_date=shape.get("NextRotationDate"),
        last_changed_date=shape.get("LastChangedDate"),
        deleted_date=shape.get("DeletedDate"),
        rotation_enabled=shape.get("RotationEnabled"),
        tags={tag["Key"]: tag["Value"] for tag in shape.get("Tags", ())},
    )


def name_filter(prefix: str) -> list[dict[str, Any]]:
    """The filter of ListSecrets and BatchGetSecretValue for a name prefix."""
    return [{"Key": "name", "Values": [prefix]}]


def tag_filters(tags: Mapping[str, str]) -> list[dict[str, Any]]:
    """Filters that every secret with these tags passes, and some others: AWS looks at keys and at
    values, not at which belong together."""
    found: list[dict[str, Any]] = []
    for key, value in tags.items():
        found += [{"Key": "tag-key", "Values": [key]}, {"Key": "tag-value", "Values": [value]}]
    return found


def has_tags(shape: Mapping[str, Any], tags: Mapping[str, str]) -> bool:
    """Whether an entry of ListSecrets has all of these tags."""
    pairs = {(tag["Key"], tag.get("Value", "")) for tag in shape.get("Tags", ())}
    return pairs >= set(tags.items())
