"""CreateSecret."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

from smclient.secret import AWSCURRENT
from smclient_embedded import replication, resource_policies
from smclient_embedded.context import RequestContext
from smclient_embedded.deps import Deps, Request
from smclient_embedded.errors import (
    InvalidParameterException,
    InvalidRequestException,
    ResourceExistsException,
)
from smclient_embedded.finding import check_name, owning_service, secret_arn
from smclient_embedded.labels import attach
from smclient_embedded.operations.replicate_secret_to_regions import begin_replication
from smclient_embedded.permission import demand
from smclient_embedded.store.records import CrossAccountPrimary, SecretRecord
from smclient_embedded.tagging import checked_tags
from smclient_embedded.values import check_replay, has_value, need_token, new_version

NOT_OF_A_REPLICA = ("AddReplicaRegions", "Description", "SecretBinary", "SecretString", "Type")
"""What a secret cannot be given that takes its value from another account."""

_PRIMARY_ARN = re.compile(r"arn:aws:secretsmanager:[a-z0-9-]+:[0-9]{12}:secret:.+-[A-Za-z0-9]{6}")


def create_secret(context: RequestContext, deps: Deps, request: Request) -> dict[str, Any]:
    """Make a secret, with a first version if a value is given; with replicas in other regions, or
    as the replica of a secret in another account.

    Raises:
        ResourceExistsException: the name is taken; the token is, with another value.
        InvalidRequestException: a secret of that name waits for its deletion.
        InvalidParameterException: tags, regions or keys that there cannot be.
        LimitExceededException: the account has all secrets that it may have.
    """
    token, valued = need_token(request), has_value(request)
    check_name(request["Name"])
    tags = checked_tags(request["Tags"]) if "Tags" in request else None
    existing = deps.tx.secret_named(context.scope, request["Name"])
    if existing is not None:
        return _again(deps, existing, token, request, valued)
    full = deps.tx.has_secrets(context.scope, deps.quotas.secrets)
    deps.quotas.check_room(full=full)
    deps.quotas.check_tags(tags or ())
    secret = SecretRecord(
        arn=secret_arn(context, request["Name"], deps.ids.suffix()),
        scope=context.scope,
        name=request["Name"],
        created_at=deps.now,
        changed_at=deps.now,
        description=request.get("Description") or None,
        kms_key_id=request.get("KmsKeyId") or None,
        tags=tags,
        owning_service=owning_service(context),
        secret_type=request.get("Type") or None,
    )
    if secret.kms_key_id and deps.kms is not None:
        deps.kms.check_usable(secret.kms_key_id, secret.arn)
    if "CrossAccountPrimaryARN" in request:
        secret = _as_replica(context, deps, secret, request)
    deps.tx.put_secret(secret)
    answer: dict[str, Any] = {"ARN": secret.arn, "Name": secret.name}
    if valued:
        deps.tx.put_version(new_version(deps, secret, token, request))
        attach(deps.tx, secret.arn, [AWSCURRENT], token)
        answer["VersionId"] = token
    if "AddReplicaRegions" in request:
        answer["ReplicationStatus"] = begin_replication(deps, secret, request)
    return answer


def _as_replica(
    context: RequestContext, deps: Deps, secret: SecretRecord, request: Request
) -> SecretRecord:
    """The secret as one that waits for its primary, and lets the primary's account begin.

    Raises:
        InvalidParameterException, AccessDeniedException
    """
    given = [member for member in NOT_OF_A_REPLICA if member in request]
    if given:
        raise InvalidParameterException(
            f"You can't specify {given[0]} for a cross-account replica secret."
        )
    primary = request["CrossAccountPrimaryARN"]
    if not _PRIMARY_ARN.fullmatch(primary):
        raise InvalidParameterException(f"{primary} is not the complete ARN of a secret.")
    scope = replication.scope_of(primary)
    if scope.region != context.region or scope.account == context.principal.account:
        raise InvalidParameterException(
            "The primary secret must be in another account, in the same Region as the replica "
            "secret."
        )
    if deps.kms is not None and (
        secret.kms_key_id is None or deps.kms.resolve(secret.kms_key_id).managed
    ):
        raise InvalidParameterException(
            "You must specify a customer managed KMS key for a cross-account replica secret."
        )
    demand(context, deps, "PutResourcePolicy", secret.arn, named=secret.name)
    policy = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"AWS": f"arn:aws:iam::{scope.account}:root"},
                "Action": "secretsmanager:AcceptCrossAccountReplication",
                "Resource": "*",
            }
        ],
    }
    text = resource_policies.accepted(json.dumps(policy))
    return replace(
        secret,
        cross_account_primary=CrossAccountPrimary(primary),
        policies={resource_policies.CROSS_ACCOUNT: text},
    )


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
    answer: dict[str, Any] = {"ARN": existing.arn, "Name": existing.name, "VersionId": token}
    replicas = replication.regional(existing)
    if replicas:
        answer["ReplicationStatus"] = replication.status_list(replicas)
    return answer
