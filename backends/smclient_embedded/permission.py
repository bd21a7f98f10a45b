"""Rights that an operation finds out by itself that it needs."""

from __future__ import annotations

from smclient_embedded.context import RequestContext
from smclient_embedded.deps import Deps
from smclient_embedded.errors import AccessDeniedException


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
        raise AccessDeniedException(
            f"User: {context.principal.arn} is not authorized to perform: {action} on resource: "
            f"{named or resource} {access.reason}"
        )
