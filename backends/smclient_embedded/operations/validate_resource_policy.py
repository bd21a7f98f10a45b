"""ValidateResourcePolicy."""

from __future__ import annotations

from typing import Any

from smclient_embedded import resource_policies
from smclient_embedded.context import RequestContext
from smclient_embedded.deps import Deps, Request
from smclient_embedded.finding import find_live_secret, would_be_arn
from smclient_embedded.permission import would_lock_out
from smclient_embedded.resource_policies import LOCK_OUT_CHECK, LOCKED_OUT, PUBLIC, PUBLIC_CHECK


def validate_resource_policy(
    context: RequestContext, deps: Deps, request: Request
) -> dict[str, Any]:
    """What would speak against a policy: that it is open to all, that it locks the caller out.

    Raises:
        MalformedPolicyDocumentException: it is no policy.
        ResourceNotFoundException, InvalidRequestException
    """
    arn, policies = _secret(context, deps, request)
    text = resource_policies.accepted(request["ResourcePolicy"], deps.may_exist)
    errors: list[dict[str, str]] = []
    if resource_policies.is_open_to_all(text):
        errors.append({"CheckName": PUBLIC_CHECK, "ErrorMessage": PUBLIC})
    if would_lock_out(deps, arn, policies, text):
        errors.append({"CheckName": LOCK_OUT_CHECK, "ErrorMessage": LOCKED_OUT})
    return {"PolicyValidationPassed": not errors, "ValidationErrors": errors}


def _secret(context: RequestContext, deps: Deps, request: Request) -> tuple[str, dict[str, str]]:
    """The ARN and the policies of the secret that is meant; of a new one if none is named."""
    if "SecretId" in request:
        secret = find_live_secret(context, deps, request["SecretId"])
        return secret.arn, dict(secret.policies)
    return would_be_arn(context, "policy-under-test"), {}
