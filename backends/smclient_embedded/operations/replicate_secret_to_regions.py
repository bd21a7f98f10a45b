"""ReplicateSecretToRegions."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from smclient_embedded import replication
from smclient_embedded.context import RequestContext
from smclient_embedded.deps import Deps, Request
from smclient_embedded.finding import find_changeable_secret
from smclient_embedded.following import replicate_changes
from smclient_embedded.store.records import SecretRecord


def replicate_secret_to_regions(
    context: RequestContext, deps: Deps, request: Request
) -> dict[str, Any]:
    """Make replicas in other regions, or try again. What hinders one is said in its status; the
    call succeeds.

    Raises:
        InvalidParameterException: the own region; the secret is a replica itself.
        ResourceNotFoundException, InvalidRequestException
    """
    secret = find_changeable_secret(context, deps, request["SecretId"])
    return {"ARN": secret.arn, "ReplicationStatus": begin_replication(deps, secret, request)}


def begin_replication(deps: Deps, secret: SecretRecord, request: Request) -> list[dict[str, Any]]:
    """Replicate a secret to the AddReplicaRegions of a request; what is answered as
    ReplicationStatus.

    Raises:
        InvalidParameterException: the own region.
    """
    asked = replication.asked_for(secret.scope.region, request["AddReplicaRegions"])
    replicas = replication.begun(secret, asked)
    secret = replace(secret, replicas=replicas, changed_at=deps.now)
    deps.tx.put_secret(secret)
    overwrite = request.get("ForceOverwriteReplicaSecret", False)
    replicate_changes(deps, secret, asked=asked, overwrite=overwrite)
    after = deps.tx.secret(secret.arn) or secret
    return replication.status_list(replication.regional(after), asked=asked)
