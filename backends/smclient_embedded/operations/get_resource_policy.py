"""GetResourcePolicy."""

from __future__ import annotations

from typing import Any

from smclient_embedded import resource_policies
from smclient_embedded.context import RequestContext
from smclient_embedded.deps import Deps, Request
from smclient_embedded.errors import ResourceNotFoundException
from smclient_embedded.finding import find_live_secret


def get_resource_policy(context: RequestContext, deps: Deps, request: Request) -> dict[str, Any]:
    """A policy as AWS prints it. ``default`` may be absent; then the answer has none.

    Raises:
        ResourceNotFoundException: no such secret, or no policy of another name than ``default``.
        InvalidRequestException: marked for deletion.
    """
    name = resource_policies.policy_name(request, change=False)
    secret = find_live_secret(context, deps, request["SecretId"])
    answer = {"ARN": secret.arn, "Name": secret.name, "PolicyName": name}
    if name in secret.policies:
        answer["ResourcePolicy"] = secret.policies[name]
    elif name != resource_policies.DEFAULT:
        raise ResourceNotFoundException(
            f"Secrets Manager can't find the resource policy {name} of the specified secret."
        )
    return answer
