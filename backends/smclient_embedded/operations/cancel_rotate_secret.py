"""CancelRotateSecret."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from smclient_embedded.context import RequestContext
from smclient_embedded.deps import Deps, Request
from smclient_embedded.finding import check_own_value, find_changeable_secret
from smclient_embedded.following import replicate_changes
from smclient_embedded.labels import pending_elsewhere


def cancel_rotate_secret(context: RequestContext, deps: Deps, request: Request) -> dict[str, Any]:
    """Turn rotation off and stop retries. Labels stay as they are.

    Raises:
        ResourceNotFoundException, InvalidRequestException
    """
    secret = find_changeable_secret(context, deps, request["SecretId"])
    check_own_value(secret)
    answer = {"ARN": secret.arn, "Name": secret.name}
    unfinished = pending_elsewhere(deps.tx.labels(secret.arn))
    if unfinished is not None:
        answer["VersionId"] = unfinished
    if secret.rotation is not None:
        off = replace(secret.rotation, enabled=False, next_rotation_at=None, window_ends_at=None)
        deps.tx.put_secret(replace(secret, rotation=off, changed_at=deps.now))
    deps.tx.remove_rotation_job(secret.arn)
    replicate_changes(deps, secret)
    return answer
