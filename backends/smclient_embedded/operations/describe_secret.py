"""DescribeSecret."""

from __future__ import annotations

from typing import Any

from smclient_embedded.context import RequestContext
from smclient_embedded.deps import Deps, Request
from smclient_embedded.finding import find_secret
from smclient_embedded.showing import metadata


def describe_secret(context: RequestContext, deps: Deps, request: Request) -> dict[str, Any]:
    """Everything about a secret but its value, also while it waits for its deletion.

    Raises:
        ResourceNotFoundException
    """
    secret = find_secret(context, deps, request["SecretId"])
    return metadata(secret, deps.tx.labels(secret.arn), versions_as="VersionIdsToStages")
