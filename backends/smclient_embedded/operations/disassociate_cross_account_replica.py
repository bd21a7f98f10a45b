"""DisassociateCrossAccountReplica."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from smclient_embedded.context import RequestContext
from smclient_embedded.deps import Deps, Request
from smclient_embedded.errors import ResourceNotFoundException
from smclient_embedded.finding import find_changeable_secret
from smclient_embedded.following import replicate_changes


def disassociate_cross_account_replica(
    context: RequestContext, deps: Deps, request: Request
) -> dict[str, Any]:
    """Stop replicating to another account. The replica stays, detached and as it is, until its
    owner stops replication, too.

    Raises:
        ResourceNotFoundException: no such secret, or it has no such replica.
        InvalidRequestException, InvalidParameterException
    """
    arn = request["CrossAccountReplicaARN"]
    primary = find_changeable_secret(context, deps, request["SecretId"])
    others = tuple(replica for replica in primary.replicas if replica.arn != arn)
    if others == primary.replicas:
        raise ResourceNotFoundException(
            f"Secrets Manager can't find the replica {arn} of the specified secret."
        )
    deps.tx.put_secret(replace(primary, replicas=others, changed_at=deps.now))
    replicate_changes(deps, primary)
    target = deps.tx.secret(arn)
    link = None if target is None else target.cross_account_primary
    if target is not None and link is not None and link.arn == primary.arn:
        detached = replace(link, status="Detached", message=None)
        deps.tx.put_secret(replace(target, cross_account_primary=detached))
    return {"ARN": primary.arn, "CrossAccountReplicaARN": arn}
