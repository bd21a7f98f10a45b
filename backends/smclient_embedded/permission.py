"""Rights that an operation finds out by itself that it needs."""

from __future__ import annotations

from collections.abc import Mapping

from smclient_embedded.context import RequestContext
from smclient_embedded.deps import Deps
from smclient_embedded.errors import AccessDeniedException
from smclient_embedded.policy import denial_text
from smclient_embedded.resource_policies import DEFAULT


def demand(
    context: RequestContext, deps: Deps, action: str, resource: str, *, named: str | None = None
) -> None:
    """Refuse a caller who may not do one more thing that the call takes.

    Args:
        action: without ``secretsmanager:``.
        resource: the ARN.
        named: the resource as the caller named it; AWS repeats that in its refusal.

    Raises:
        AccessDeniedException
    """
    action = f"secretsmanager:{action}"
    access = deps.authorise(action, resource, named=named)
    if not access.allowed:
        arn = context.principal.arn
        raise AccessDeniedException(denial_text(arn, action, named or resource, access.reason))


def would_lock_out(deps: Deps, secret_arn: str, before: Mapping[str, str], text: str) -> bool:
    """Whether the caller could change a secret's policies before, and no more with this one as
    ``default``. In audit-only mode, too: a lock-out is a fault of the policy, no denial."""
    managing = "secretsmanager:PutResourcePolicy"
    after = {**before, DEFAULT: text}
    if deps.authorise(managing, secret_arn, policies=list(after.values())).allowed:
        return False
    return deps.authorise(managing, secret_arn, policies=list(before.values())).allowed
