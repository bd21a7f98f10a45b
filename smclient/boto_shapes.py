"""boto3's shapes to ours and back, as plain dicts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from smclient.batch import Batch
from smclient.errors import BackendError, SmclientError, from_code
from smclient.secret import ARN_SUFFIX, SecretDescription, SecretValue


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


def results(shape: Mapping[str, Any]) -> dict[str, SecretValue | SmclientError]:
    """BatchGetSecretValue's answer to filters, by name; errors by the id that it gives."""
    values = [value_from_dict(entry) for entry in shape.get("SecretValues", ())]
    errors = {entry["SecretId"]: error_from_dict(entry) for entry in shape.get("Errors", ())}
    return {**errors, **{value.name: value for value in values}}


def matched(asked: list[str], shape: Mapping[str, Any]) -> dict[str, SecretValue | SmclientError]:
    """BatchGetSecretValue's answer sorted by the ids that were asked for, names and ARNs alike.

    The answer does not say which id a value is for. What was asked for by ARN is never taken for a
    bare name, which may mean a secret of another account (see ``doubtful``). An id that got neither
    value nor error is reported as not found, never left out.
    """
    errors = {entry["SecretId"]: error_from_dict(entry) for entry in shape.get("Errors", ())}
    values = [value_from_dict(entry) for entry in shape.get("SecretValues", ())]
    by_arn = {value.arn[:-ARN_SUFFIX]: value for value in values}
    by_arn |= {value.arn: value for value in values}  # a whole ARN may look like another's stem
    answered = [secret_id for secret_id in asked if secret_id not in errors]
    taken = {by_arn[secret_id].arn for secret_id in answered if secret_id in by_arn}
    by_name = {value.name: value for value in values if value.arn not in taken}
    absent = "ResourceNotFoundException"
    return {
        secret_id: errors.get(secret_id)
        or by_arn.get(secret_id)
        or by_name.get(secret_id)
        or from_code(absent, "the batch answered neither a value nor an error", attempts=0)
        for secret_id in asked
    }


def doubtful(asked: Iterable[str]) -> list[str]:
    """The bare names that an ARN among the ids has too: a batch does not tell whose value it
    brought for them, so each is better asked for alone."""
    ids = list(asked)
    named = [
        secret_id.partition(":secret:")[2] for secret_id in ids if secret_id.startswith("arn:")
    ]
    taken = {*named, *(name[:-ARN_SUFFIX] for name in named)}
    return [secret_id for secret_id in ids if secret_id in taken]


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


def pages(
    ask: Callable[[dict[str, Any]], dict[str, Any]], parameters: dict[str, Any]
) -> Iterator[dict[str, Any]]:
    """The answers of an operation with a ``NextToken``, one after the other, as they are wanted."""
    while True:
        answer = ask(parameters)
        yield answer
        if not answer.get("NextToken"):
            return
        parameters = {**parameters, "NextToken": answer["NextToken"]}
