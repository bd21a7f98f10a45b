"""RemoveRegionsFromReplication."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from smclient_embedded import replication
from smclient_embedded.context import RequestContext
from smclient_embedded.deps import Deps, Request
from smclient_embedded.finding import find_changeable_secret
from smclient_embedded.following import replicate_changes


def remove_regions_from_replication(
    context: RequestContext, deps: Deps, request: Request
) -> dict[str, Any]:
    """Delete the replicas in some regions, at once. A region without one changes nothing.

    Raises:
        InvalidParameterException: the secret is a replica itself.
        ResourceNotFoundException, InvalidRequestException
    """
    secret = find_changeable_secret(context, deps, request["SecretId"])
    regions = set(request["RemoveReplicaRegions"])
    here = replication.regional(secret)
    kept = replication.without(here, regions)
    for replica in here:
        record = deps.tx.secret(replica.arn)
        if replica not in kept and record is not None and replication.follows(record, secret):
            deps.tx.remove_secret(record.arn)
    if kept != here:
        replicas = (*kept, *replication.cross_account(secret))
        deps.tx.put_secret(replace(secret, replicas=replicas, changed_at=deps.now))
        replicate_changes(deps, secret)
    after = deps.tx.secret(secret.arn) or secret
    return {
        "ARN": secret.arn,
        "ReplicationStatus": replication.status_list(replication.regional(after)),
    }
