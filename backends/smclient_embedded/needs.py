"""Which actions a call needs beside its own: operations that AWS checks as several.

Sources: the service authorization reference and API reference of Secrets Manager ("Required
permissions"); recorded answers of AWS (CreateSecret with tags is checked as TagResource too,
without tags it is not).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from smclient_embedded.store.records import SecretRecord

Parameters = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Need:
    """One more action that a call needs.

    Attributes:
        action: ``service:Action``.
        resource: an ARN or ``*``; ``None`` is what the call itself is about.
    """

    action: str
    resource: str | None = None


def _create_secret(parameters: Parameters, secret: SecretRecord | None) -> list[Need]:
    needs = []
    if parameters.get("Tags"):
        needs.append(Need("secretsmanager:TagResource"))
    if parameters.get("AddReplicaRegions"):
        needs.append(Need("secretsmanager:ReplicateSecretToRegions"))
    return needs


def _batch_get_secret_value(parameters: Parameters, secret: SecretRecord | None) -> list[Need]:
    """An empty list of filters is one, too: it finds every secret."""
    return [Need("secretsmanager:ListSecrets", "*")] if "Filters" in parameters else []


def _rotate_secret(parameters: Parameters, secret: SecretRecord | None) -> list[Need]:
    """Whoever has a function called must be allowed to call it."""
    function = parameters.get("RotationLambdaARN")
    if not function and secret is not None and secret.rotation is not None:
        function = secret.rotation.function_arn
    return [Need("lambda:InvokeFunction", str(function))] if function else []


def _validate_resource_policy(parameters: Parameters, secret: SecretRecord | None) -> list[Need]:
    return [Need("secretsmanager:PutResourcePolicy")]


NEEDS: dict[str, Callable[[Parameters, SecretRecord | None], list[Need]]] = {
    "BatchGetSecretValue": _batch_get_secret_value,
    "CreateSecret": _create_secret,
    "RotateSecret": _rotate_secret,
    "ValidateResourcePolicy": _validate_resource_policy,
}
"""Operation to what else it needs. What an operation decides item by item (each secret of a batch)
or after it chose a key (KMS) is asked from there."""


CHANGES_TAGS = frozenset({"TagResource", "UntagResource"})


def tags_after(operation: str, parameters: Parameters, secret: SecretRecord) -> SecretRecord:
    """The secret as it would be after one of the changes of tags.

    A change of tags that takes the caller's own right to it away is refused, as recorded.
    """
    before = dict(secret.tags or ())
    if operation == "TagResource":
        tags = parameters.get("Tags") or ()  # whether it is there is looked at later
        given = {str(tag.get("Key", "")): str(tag.get("Value", "")) for tag in tags}
        return replace(secret, tags=tuple({**before, **given}.items()))
    gone = set(map(str, parameters.get("TagKeys") or ()))
    return replace(secret, tags=tuple((k, v) for k, v in before.items() if k not in gone))
