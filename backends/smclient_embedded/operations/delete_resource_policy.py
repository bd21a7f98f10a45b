"""DeleteResourcePolicy."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from smclient_embedded import resource_policies
from smclient_embedded.context import RequestContext
from smclient_embedded.deps import Deps, Request
from smclient_embedded.finding import find_changeable_secret
from smclient_embedded.following import replicate_changes


def delete_resource_policy(context: RequestContext, deps: Deps, request: Request) -> dict[str, Any]:
    """Take the policy away. Without one it changes nothing.

    Raises:
        InvalidParameterException: another policy than ``default``; the secret is a replica.
        ResourceNotFoundException, InvalidRequestException
    """
    name = resource_policies.policy_name(request, change=True)
    secret = find_changeable_secret(context, deps, request["SecretId"])
    if name in secret.policies:
        kept = {other: text for other, text in secret.policies.items() if other != name}
        deps.tx.put_secret(replace(secret, policies=kept, changed_at=deps.now))
        replicate_changes(deps, secret)
    return {"ARN": secret.arn, "Name": secret.name, "PolicyName": name}
