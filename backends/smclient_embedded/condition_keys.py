"""The condition keys that a request has: what AWS fills in for Secrets Manager and KMS.

A key that comes from a parameter is there only if the caller sent the parameter: a read without
VersionStage does not meet a condition on AWSCURRENT, though AWSCURRENT is what it gets.

Sources: the service authorization reference of Secrets Manager; IAM user guide, "AWS global
condition context keys"; recorded answers of AWS. ``aws:ResourceTag`` and
``secretsmanager:ResourceTag`` read the same tags.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from smclient_embedded.access import AccessRequest
from smclient_embedded.context import Principal
from smclient_embedded.store.records import SecretRecord

ContextValue = str | Sequence[str]
Context = dict[str, ContextValue]

SERVICE = "secretsmanager"

_KINDS = {
    "administrator": "Account",
    "user": "User",
    "role": "AssumedRole",
    "federated": "FederatedUser",
    "service": "Service",
}


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _sent(value: Any) -> str:
    return "true"


def _regions(value: Any) -> list[str]:
    return [str(each["Region"]) for each in value if each.get("Region")]


_OWN = "secretsmanager:"
PARAMETER_KEYS: dict[str, tuple[str, Callable[[Any], ContextValue], tuple[str, ...]]] = {
    "AddReplicaRegions": (
        "AddReplicaRegions",
        _regions,
        ("CreateSecret", "ReplicateSecretToRegions"),
    ),
    "BlockPublicPolicy": ("BlockPublicPolicy", _text, ("PutResourcePolicy",)),
    "Description": ("Description", _text, ("CreateSecret", "UpdateSecret")),
    "ExternalSecretRotationRoleArn": ("ExternalSecretRotationRoleArn", _text, ("RotateSecret",)),
    "ForceDeleteWithoutRecovery": ("ForceDeleteWithoutRecovery", _text, ("DeleteSecret",)),
    "ForceOverwriteReplicaSecret": (
        "ForceOverwriteReplicaSecret",
        _text,
        ("CreateSecret", "ReplicateSecretToRegions"),
    ),
    "KmsKeyId": ("KmsKeyId", _text, ("CreateSecret", "UpdateSecret")),
    "ModifyRotationRules": ("RotationRules", _sent, ("RotateSecret",)),
    "Name": ("Name", _text, ("CreateSecret",)),
    "RecoveryWindowInDays": ("RecoveryWindowInDays", _text, ("DeleteSecret",)),
    "RotateImmediately": ("RotateImmediately", _text, ("RotateSecret",)),
    "RotationLambdaARN": ("RotationLambdaARN", _text, ("RotateSecret",)),
    "Type": ("Type", _text, ("CreateSecret", "UpdateSecret")),
    "VersionId": ("VersionId", _text, ("GetSecretValue",)),
    "VersionStage": ("VersionStage", _text, ("GetSecretValue", "UpdateSecretVersionStage")),
}
"""Condition key, without ``secretsmanager:``: the parameter, how its value is read, and for which
actions it counts. ``secretsmanager:KmsKeyArn`` needs the store and comes with the request."""

_BY_ACTION: dict[str, list[tuple[str, str, Callable[[Any], ContextValue]]]] = {}
for _key, (_member, _read, _actions) in PARAMETER_KEYS.items():
    for _action in _actions:
        _BY_ACTION.setdefault(_action, []).append((_OWN + _key, _member, _read))

OF_THE_CALL = frozenset(
    {
        "aws:currenttime",
        "aws:epochtime",
        "aws:securetransport",
        "aws:sourceip",
        "aws:useragent",
    }
)
"""Keys, in lower case, that differ between calls of one caller for one thing in one region."""

TAGGING = frozenset({"CreateSecret", "TagResource"})
"""Actions whose request tags are ``aws:RequestTag`` and ``aws:TagKeys``."""

KMS_KEYS = ("kms:CallerAccount", "kms:ViaService", "kms:EncryptionContextKeys")


def condition_keys(request: AccessRequest, principal_keys: Mapping[str, ContextValue]) -> Context:
    """All condition keys of a request; ``principal_keys`` are the caller's, see
    ``principal_context``."""
    keys: Context = dict(principal_keys)
    context, key = request.context, request.key
    keys["aws:ResourceAccount"] = request.owner
    if request.at is not None:
        keys.update(_times(request.at.replace(microsecond=0)))
    if context is not None:
        keys["aws:RequestedRegion"] = context.region
        keys["aws:SecureTransport"] = "true" if context.is_secure else "false"
    if key is not None:
        keys["aws:ViaAWSService"] = "true"
        keys["kms:CallerAccount"] = request.principal.account
        keys["kms:ViaService"] = f"{SERVICE}.{key.scope.region}.amazonaws.com"
        keys.update(request.keys)
        return keys
    keys["aws:ViaAWSService"] = "false"
    if context is not None:
        keys["aws:UserAgent"] = context.user_agent
        if _is_address(context.source_ip):
            keys["aws:SourceIp"] = context.source_ip
    action = request.action.partition(":")[2]
    if request.parameters:
        for name, member, read in _BY_ACTION.get(action, ()):
            if member in request.parameters:
                keys[name] = read(request.parameters[member])
        _request_tags(action, request.parameters, keys)
    if request.secret is not None:
        _secret_keys(request.secret, keys)
    if request.keys:
        keys.update(request.keys)
    return keys


def principal_context(
    principal: Principal,
    *,
    unique_id: str,
    tags: Mapping[str, str],
    organisation: tuple[str, str] | None,
) -> Context:
    """The keys that are the same for every request of a caller.

    Args:
        unique_id: of the user or role, ``AIDA…`` or ``AROA…``.
        tags: of the user, or of the role and its session.
        organisation: id of the organisation and path of the account in it, if it is a member.
    """
    session = principal.session
    keys: Context = {
        "aws:PrincipalType": _KINDS[principal.kind],
        "aws:PrincipalIsAWSService": "false",
    }
    if principal.kind == "service":
        keys["aws:PrincipalIsAWSService"] = "true"
        keys["aws:PrincipalServiceName"] = principal.arn
        keys["aws:PrincipalServiceNamesList"] = [principal.arn]
        return keys
    is_role = principal.kind == "role" and session is not None
    keys["aws:PrincipalArn"] = session.source if session and is_role else principal.arn
    keys["aws:PrincipalAccount"] = principal.account
    keys["aws:userid"] = _user_id(principal, unique_id)
    if principal.kind == "user":
        keys["aws:username"] = principal.arn.rpartition("/")[2]
    if session is not None:  # there is no MFA here; lasting credentials do not have the key
        keys["aws:MultiFactorAuthPresent"] = "false"
    if session is not None and session.issued_at is not None:
        keys["aws:TokenIssueTime"] = f"{session.issued_at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
    for tag, value in tags.items():
        keys[f"aws:PrincipalTag/{tag}"] = value
    if organisation is not None:
        keys["aws:PrincipalOrgID"] = organisation[0]
        keys["aws:PrincipalOrgPaths"] = [organisation[1]]
    return keys


def encryption_context_keys(pairs: Mapping[str, str]) -> Context:
    """The encryption context of a KMS call as condition keys."""
    keys: Context = {f"kms:EncryptionContext:{name}": value for name, value in pairs.items()}
    keys["kms:EncryptionContextKeys"] = list(pairs)
    return keys


def _secret_keys(secret: SecretRecord, keys: Context) -> None:
    keys["secretsmanager:SecretId"] = secret.arn
    for tag, value in secret.tags or ():
        keys[f"aws:ResourceTag/{tag}"] = value
        keys[f"secretsmanager:ResourceTag/{tag}"] = value
    if secret.primary_region is not None:
        keys["secretsmanager:SecretPrimaryRegion"] = secret.primary_region
    if secret.secret_type is not None:
        keys["secretsmanager:resource/Type"] = secret.secret_type
    if secret.rotation is not None and secret.rotation.function_arn is not None:
        keys["secretsmanager:resource/AllowRotationLambdaArn"] = secret.rotation.function_arn


def _request_tags(action: str, parameters: Mapping[str, Any], keys: Context) -> None:
    if action in TAGGING and parameters.get("Tags"):
        names: list[str] = []
        for tag in parameters["Tags"]:
            name = str(tag.get("Key", ""))
            names.append(name)
            keys[f"aws:RequestTag/{name}"] = str(tag.get("Value", ""))
        keys["aws:TagKeys"] = names
    elif action == "UntagResource" and parameters.get("TagKeys"):
        keys["aws:TagKeys"] = [str(name) for name in parameters["TagKeys"]]


def _user_id(principal: Principal, unique_id: str) -> str:
    session = principal.session
    if principal.kind == "administrator":
        return principal.account
    if session is None:
        return unique_id
    first = unique_id if principal.kind == "role" else principal.account
    return f"{first}:{session.name}"


@lru_cache(maxsize=64)
def _times(at: datetime) -> dict[str, str]:
    return {
        "aws:CurrentTime": f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}",
        "aws:EpochTime": str(int(at.timestamp())),
    }


@lru_cache(maxsize=1024)
def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
