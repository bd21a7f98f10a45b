"""TagResource."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from smclient_embedded.context import RequestContext
from smclient_embedded.deps import Deps, Request
from smclient_embedded.finding import find_changeable_secret
from smclient_embedded.following import replicate_changes
from smclient_embedded.tagging import checked_tags


def tag_resource(context: RequestContext, deps: Deps, request: Request) -> dict[str, Any]:
    """Add tags; a key that exists gets the new value.

    Raises:
        ResourceNotFoundException, InvalidRequestException
        InvalidParameterException: more tags than a secret may have, a key twice, or one of AWS's.
    """
    secret = find_changeable_secret(context, deps, request["SecretId"])
    tags = {**dict(secret.tags or ()), **dict(checked_tags(request["Tags"]))}
    deps.quotas.check_tags(tags)
    deps.tx.put_secret(replace(secret, tags=tuple(tags.items()), changed_at=deps.now))
    replicate_changes(deps, secret)
    return {}
