"""UntagResource."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from smclient_embedded.context import RequestContext
from smclient_embedded.deps import Deps, Request
from smclient_embedded.finding import find_live_secret


def untag_resource(context: RequestContext, deps: Deps, request: Request) -> dict[str, Any]:
    """Remove tags by key. LastChangedDate stays, as recorded from AWS.

    Raises:
        ResourceNotFoundException, InvalidRequestException
    """
    secret = find_live_secret(context, deps, request["SecretId"])
    if secret.tags is not None:
        kept = tuple(tag for tag in secret.tags if tag[0] not in request["TagKeys"])
        deps.tx.put_secret(replace(secret, tags=kept))
    return {}
