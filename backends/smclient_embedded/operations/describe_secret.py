"""DescribeSecret."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from smclient_embedded import replication
from smclient_embedded.context import RequestContext
from smclient_embedded.deps import Deps, Request
from smclient_embedded.finding import find_secret
from smclient_embedded.showing import metadata, midnight
from smclient_embedded.store.records import Replica


def describe_secret(context: RequestContext, deps: Deps, request: Request) -> dict[str, Any]:
    """Everything about a secret but its value, also while it waits for its deletion.

    Raises:
        ResourceNotFoundException
    """
    secret = find_secret(context, deps, request["SecretId"])
    shown = metadata(secret, deps.tx.labels(secret.arn), versions_as="VersionIdsToStages")
    replicas = replication.regional(secret)
    more = {
        "ReplicationStatus": replication.status_list(replicas, accessed=_accessed(deps, replicas)),
        "CrossAccountPrimary": replication.cross_account_primary(secret.cross_account_primary),
        "CrossAccountReplicas": replication.cross_account_list(secret),
    }
    return {**shown, **{name: value for name, value in more.items() if value}}


def _accessed(deps: Deps, replicas: Sequence[Replica]) -> dict[str, datetime]:
    """When the replicas were last read, each in its own region."""
    found = (deps.tx.secret(replica.arn) for replica in replicas)
    return {
        record.arn: midnight(record.accessed_on)
        for record in found
        if record is not None and record.accessed_on is not None
    }
