"""PutResourcePolicy."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from smclient_embedded import resource_policies
from smclient_embedded.context import RequestContext
from smclient_embedded.deps import Deps, Request
from smclient_embedded.errors import MalformedPolicyDocumentException, PublicPolicyException
from smclient_embedded.finding import find_changeable_secret
from smclient_embedded.following import replicate_changes
from smclient_embedded.permission import would_lock_out


def put_resource_policy(context: RequestContext, deps: Deps, request: Request) -> dict[str, Any]:
    """Attach a policy in the place of the one that is there.

    Raises:
        MalformedPolicyDocumentException: it is no policy, or would lock the caller out.
        PublicPolicyException: it is open to all, and such were to be refused.
        InvalidParameterException: another policy than ``default``; the secret is a replica.
        ResourceNotFoundException, InvalidRequestException
    """
    name = resource_policies.policy_name(request, change=True)
    secret = find_changeable_secret(context, deps, request["SecretId"])
    text = resource_policies.accepted(request["ResourcePolicy"], deps.may_exist)
    if request.get("BlockPublicPolicy", False) and resource_policies.is_open_to_all(text):
        raise PublicPolicyException(resource_policies.PUBLIC)
    if would_lock_out(deps, secret.arn, secret.policies, text):
        raise MalformedPolicyDocumentException(resource_policies.LOCKED_OUT)
    policies = {**secret.policies, name: text}
    deps.tx.put_secret(replace(secret, policies=policies, changed_at=deps.now))
    replicate_changes(deps, secret)
    return {"ARN": secret.arn, "Name": secret.name, "PolicyName": name}
