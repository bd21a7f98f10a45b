"""StopReplicationToReplica."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from smclient_embedded import replication
from smclient_embedded.context import RequestContext
from smclient_embedded.deps import Deps, Request
from smclient_embedded.errors import InvalidParameterException
from smclient_embedded.finding import find_live_secret
from smclient_embedded.permission import demand
from smclient_embedded.resource_policies import CROSS_ACCOUNT
from smclient_embedded.store.records import CrossAccountPrimary, SecretRecord


def stop_replication_to_replica(
    context: RequestContext, deps: Deps, request: Request
) -> dict[str, Any]:
    """Make a secret of its own of a replica. Asked in the region, and the account, of the replica.

    Raises:
        InvalidParameterException: the secret is no replica.
        AccessDeniedException: the policy that lets another account replicate may not be removed.
        ResourceNotFoundException, InvalidRequestException
    """
    secret = find_live_secret(context, deps, request["SecretId"])
    if secret.cross_account_primary is not None:
        demand(context, deps, "DeleteResourcePolicy", secret.arn, named=request["SecretId"])
        _leave_account(deps, secret, secret.cross_account_primary)
    elif secret.primary_region is not None:
        _leave_region(deps, secret, secret.primary_region)
    else:
        raise InvalidParameterException(
            "Operation not permitted on a primary secret. Call must be made in replica secret's "
            "region."
        )
    return {"ARN": secret.arn}


def _leave_region(deps: Deps, secret: SecretRecord, primary_region: str) -> None:
    """The primary knows it no more; its LastChangedDate stays, as recorded."""
    primary = deps.tx.secret(replication.arn_in(primary_region, secret.arn))
    if primary is not None:
        others = tuple(replica for replica in primary.replicas if replica.arn != secret.arn)
        deps.tx.put_secret(replace(primary, replicas=others))
    deps.tx.put_secret(replication.standalone(secret, deps.now))


def _leave_account(deps: Deps, secret: SecretRecord, link: CrossAccountPrimary) -> None:
    """The primary keeps it in its list as detached, until it is taken from there, too."""
    primary = deps.tx.secret(link.arn)
    if primary is not None:
        replicas = tuple(
            replace(replica, status="Detached", message=None)
            if replica.arn == secret.arn
            else replica
            for replica in primary.replicas
        )
        deps.tx.put_secret(replace(primary, replicas=replicas))
    kept = {name: text for name, text in secret.policies.items() if name != CROSS_ACCOUNT}
    alone = replication.standalone(secret, deps.now)
    deps.tx.put_secret(replace(alone, policies=kept, rotation=secret.rotation))
