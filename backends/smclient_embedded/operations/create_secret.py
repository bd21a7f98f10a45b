"""CreateSecret."""

from __future__ import annotations

from typing import Any

from smclient.secret import AWSCURRENT
from smclient_embedded.context import RequestContext
from smclient_embedded.deps import Deps, Request
from smclient_embedded.errors import (
    InvalidRequestException,
    OperationNotSupported,
    ResourceExistsException,
)
from smclient_embedded.finding import check_name
from smclient_embedded.labels import attach
from smclient_embedded.store.records import SecretRecord
from smclient_embedded.tagging import tags_of
from smclient_embedded.values import check_replay, has_value, need_token, new_version

NOT_YET = ("AddReplicaRegions", "CrossAccountPrimaryARN", "Type")


def create_secret(context: RequestContext, deps: Deps, request: Request) -> dict[str, Any]:
    """Make a secret, with a first version if a value is given.

    Raises:
        ResourceExistsException: the name is taken; the token is, with another value.
        InvalidRequestException: a secret of that name waits for its deletion.
    """
    for member in NOT_YET:
        if member in request:
            raise OperationNotSupported(f"CreateSecret with {member} is not supported yet")
    token, valued = need_token(request), has_value(request)
    check_name(request["Name"])
    existing = deps.tx.secret_named(context.scope, request["Name"])
    if existing is not None:
        return _again(deps, existing, token, request, valued)
    full = deps.tx.has_secrets(context.scope, deps.quotas.secrets)
    deps.quotas.check_room(full=full)
    deps.quotas.check_tags(tags_of(request.get("Tags", ())))
    arn = _arn(context, deps, request["Name"])
    if request.get("KmsKeyId") and deps.kms is not None:
        deps.kms.check_usable(request["KmsKeyId"], arn)
    secret = SecretRecord(
        arn=arn,
        scope=context.scope,
        name=request["Name"],
        created_at=deps.now,
        changed_at=deps.now,
        description=request.get("Description") or None,
        kms_key_id=request.get("KmsKeyId") or None,
        tags=tags_of(request["Tags"]) if "Tags" in request else None,
    )
    deps.tx.put_secret(secret)
    answer = {"ARN": secret.arn, "Name": secret.name}
    if valued:
        deps.tx.put_version(new_version(deps, secret, token, request))
        attach(deps.tx, secret.arn, [AWSCURRENT], token)
        answer["VersionId"] = token
    return answer


def _arn(context: RequestContext, deps: Deps, name: str) -> str:
    place = f"{context.region}:{context.principal.account}"
    return f"arn:aws:secretsmanager:{place}:secret:{name}-{deps.ids.suffix()}"


def _again(
    deps: Deps, existing: SecretRecord, token: str, request: Request, valued: bool
) -> dict[str, Any]:
    """The name is in use: fine if this is the same call once more."""
    if existing.deleted_at is not None:
        raise InvalidRequestException(
            "You can't create this secret because a secret with this name is already scheduled "
            "for deletion."
        )
    version = deps.tx.version(existing.arn, token)
    if version is None or not valued:
        raise ResourceExistsException(
            f"The operation failed because the secret {existing.name} already exists."
        )
    check_replay(deps, version, request)
    return {"ARN": existing.arn, "Name": existing.name, "VersionId": token}
