"""Values of versions: from a request into a seal, and out again."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from typing import Any

from smclient.secret import AWSCURRENT
from smclient_embedded.context import RequestContext
from smclient_embedded.deps import Deps, Request
from smclient_embedded.errors import (
    InvalidParameterException,
    InvalidRequestException,
    stage_not_found,
    token_in_use,
    token_missing,
    version_not_found,
)
from smclient_embedded.kms import MANAGED_ALIAS, encryption_context, open_version
from smclient_embedded.labels import labels_of
from smclient_embedded.store.records import SecretRecord, VersionRecord

KIND = {"SecretString": "string", "SecretBinary": "binary"}


def has_value(request: Request) -> bool:
    """Whether the request brings a value. Raises ``InvalidParameterException`` if it brings two."""
    if "SecretString" in request and "SecretBinary" in request:
        raise InvalidParameterException(
            "You can't specify both a binary secret value and a string secret value in the same "
            "secret."
        )
    return "SecretString" in request or "SecretBinary" in request


def need_token(request: Request) -> str:
    """The ClientRequestToken. Raises ``InvalidRequestException`` without one."""
    token: str | None = request.get("ClientRequestToken")
    if token is None:
        raise token_missing()
    return token


def new_version(
    deps: Deps, secret: SecretRecord, version_id: str, request: Request
) -> VersionRecord:
    """A version with the value of a request, sealed under the secret's key. Not kept yet."""
    binary = "SecretBinary" in request
    plaintext: bytes = request["SecretBinary"] if binary else request["SecretString"].encode()
    return VersionRecord(
        arn=secret.arn,
        version_id=version_id,
        created_at=deps.now,
        kind="binary" if binary else "string",
        sealed=deps.keys.seal(
            plaintext,
            key_id=secret.kms_key_id,
            context=encryption_context(secret.arn, version_id),
        ),
    )


def check_replay(deps: Deps, version: VersionRecord, request: Request) -> None:
    """A token that was used before must come with the same value.

    Raises:
        ResourceExistsException: it comes with another one.
    """
    binary = "SecretBinary" in request
    value: bytes = request["SecretBinary"] if binary else request["SecretString"].encode()
    same_kind = version.kind == ("binary" if binary else "string")
    if not (same_kind and hmac.compare_digest(open_version(deps.keys, version), value)):
        raise token_in_use(version.version_id, version.arn)


def refuse_foreign_default_key(context: RequestContext, secret: SecretRecord) -> None:
    """The default key cannot be shared between accounts, whatever the policies say.

    Raises:
        InvalidRequestException: it is the secret's, and the caller is of another account.
    """
    foreign = secret.scope.account != context.principal.account
    if foreign and secret.kms_key_id in (None, MANAGED_ALIAS):
        raise InvalidRequestException(
            "You can't access a secret from a different AWS account if you encrypt the secret "
            "with the default KMS service key."
        )


def find_version(
    deps: Deps, secret: SecretRecord, labels: Mapping[str, str], request: Request
) -> VersionRecord:
    """The version that a request names by id or label; AWSCURRENT if by neither. ``labels`` are
    the secret's.

    Raises:
        ResourceNotFoundException: no such version, or it has no value yet.
        InvalidRequestException: the label is not on that version.
    """
    version_id, stage = request.get("VersionId"), request.get("VersionStage")
    if version_id is None:
        stage = stage or AWSCURRENT
        version = deps.tx.version(secret.arn, labels.get(stage, ""))
        if version is None or version.sealed is None:
            raise stage_not_found(stage)
        return version
    version = deps.tx.version(secret.arn, version_id)
    if version is None or version.sealed is None:
        raise version_not_found(version_id)
    if stage is not None and labels.get(stage) != version_id:
        raise InvalidRequestException(
            "You provided a VersionStage that is not associated to the provided VersionId."
        )
    return version


def read_value(
    deps: Deps, secret: SecretRecord, version: VersionRecord, labels: Mapping[str, str]
) -> dict[str, Any]:
    """The members of GetSecretValue's answer. Notes the access."""
    if version.sealed is None:
        raise version_not_found(version.version_id)
    plaintext = open_version(deps.keys, version)
    deps.touch(version)
    answer: dict[str, Any] = {
        "ARN": secret.arn,
        "Name": secret.name,
        "VersionId": version.version_id,
        "VersionStages": labels_of(labels, version.version_id),
        "CreatedDate": version.created_at,
    }
    if version.kind == "binary":
        answer["SecretBinary"] = plaintext
    else:
        answer["SecretString"] = plaintext.decode()
    return answer
