"""UntagResource."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from smclient_embedded.context import RequestContext
from smclient_embedded.deps import Deps, Request
from smclient_embedded.finding import find_changeable_secret
from smclient_embedded.following import replicate_changes
from smclient_embedded.tagging import check_keys


def untag_resource(context: RequestContext, deps: Deps, request: Request) -> dict[str, Any]:
    """Remove tags by key. LastChangedDate stays, as recorded from AWS.

    Raises:
        ResourceNotFoundException, InvalidRequestException
        InvalidParameterException: a key of AWS's own tags.
    """
    secret = find_changeable_secret(context, deps, request["SecretId"])
    check_keys(request["TagKeys"])
    if secret.tags is not None:
        kept = tuple(tag for tag in secret.tags if tag[0] not in request["TagKeys"])
        deps.tx.put_secret(replace(secret, tags=kept))
        replicate_changes(deps, secret)
    return {}
