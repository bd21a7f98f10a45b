"""AssociateCrossAccountReplica."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from smclient_embedded import replication
from smclient_embedded.context import RequestContext
from smclient_embedded.deps import Deps, Request
from smclient_embedded.errors import (
    InvalidParameterException,
    InvalidRequestException,
    LimitExceededException,
    secret_not_found,
)
from smclient_embedded.finding import check_own_value, find_changeable_secret
from smclient_embedded.following import replicate_changes
from smclient_embedded.permission import demand
from smclient_embedded.store.records import Replica, SecretRecord


def associate_cross_account_replica(
    context: RequestContext, deps: Deps, request: Request
) -> dict[str, Any]:
    """Begin to replicate to a secret that another account made for that. Once more it repairs.

    Raises:
        ResourceNotFoundException: there is no such primary, or no such replica.
        InvalidParameterException: the replica is of the same account, or of another region.
        InvalidRequestException: the replica was not made for this primary; a key is of no use.
        LimitExceededException: the primary has another replica already.
        AccessDeniedException: the caller may not read the primary or replicate to the replica.
    """
    arn = request["CrossAccountReplicaARN"]
    primary = find_changeable_secret(context, deps, request["SecretId"])
    check_own_value(primary)
    _check_place(context, primary, arn)
    target = deps.tx.secret(arn)
    if target is None:
        raise secret_not_found()
    demand(context, deps, "GetSecretValue", primary.arn, named=request["SecretId"])
    demand(context, deps, "AcceptCrossAccountReplication", arn)
    link = target.cross_account_primary
    if target.deleted_at is not None or link is None or link.arn != primary.arn:
        raise InvalidRequestException(
            f"The secret {arn} is not a cross-account replica of {primary.arn}. Create it with "
            "that CrossAccountPrimaryARN."
        )
    known = replication.cross_account(primary)
    if any(replica.arn != arn for replica in known):
        raise LimitExceededException(
            f"The secret {primary.arn} already has the cross-account replica {known[0].arn}. Call "
            "DisassociateCrossAccountReplica first."
        )
    role = request.get("ReplicationRoleARN") or (known[0].role_arn if known else None)
    replica = Replica(arn, role_arn=role)
    replicas = (*replication.regional(primary), replica)
    primary = replace(primary, replicas=replicas, changed_at=deps.now)
    deps.tx.put_secret(primary)
    begun = replace(link, status="InProgress", message=None)
    deps.tx.put_secret(replace(target, cross_account_primary=begun))
    replicate_changes(deps, primary)
    _check_outcome(deps, primary)
    return {
        "ARN": primary.arn,
        "CrossAccountReplicaARN": arn,
        "ReplicationStatus": "InProgress",
    }


def _check_place(context: RequestContext, primary: SecretRecord, arn: str) -> None:
    if primary.scope.account != context.principal.account:
        raise InvalidRequestException(
            "AssociateCrossAccountReplica must be called from the account that owns the primary "
            "secret."
        )
    parts = arn.split(":")
    if parts[:3] != ["arn", "aws", "secretsmanager"] or len(parts) != 7:
        raise InvalidParameterException(f"{arn} is not the ARN of a secret.")
    scope = replication.scope_of(arn)
    if scope.region != primary.scope.region or scope.account == primary.scope.account:
        raise InvalidParameterException(
            "The replica secret must be in another account, in the same Region as the primary "
            "secret."
        )


def _check_outcome(deps: Deps, primary: SecretRecord) -> None:
    """An association that does not work changes neither side."""
    after = deps.tx.secret(primary.arn) or primary
    for replica in replication.cross_account(after):
        if replica.status == "Failed":
            raise InvalidRequestException(replica.message or "Replication failed.")
