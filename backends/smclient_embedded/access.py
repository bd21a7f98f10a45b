"""The port to whoever decides what a caller may do, and the thinnest decider behind it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from smclient_embedded.context import Principal
from smclient_embedded.errors import AccessDeniedException


@dataclass(frozen=True, slots=True)
class AccessRequest:
    """One question: may this caller do this action on this resource?

    Attributes:
        action: ``service:Action``.
        resource: an ARN, or ``*`` for actions without a resource.
        named: the resource as the caller named it; AWS repeats that in its refusal.
        owner: the account that owns the resource.
        keys: condition keys that the request fills in.
    """

    principal: Principal
    action: str
    resource: str
    named: str
    owner: str
    keys: Mapping[str, str | list[str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Access:
    """The answer, with AWS's words for a refusal."""

    allowed: bool
    reason: str = ""


class Authoriser(Protocol):
    """Decides one request. Pure: what it knows of policies was given to it before."""

    def __call__(self, request: AccessRequest) -> Access:
        """Whether the caller may."""
        ...


def administrator_only(request: AccessRequest) -> Access:
    """The administrator may do all in the own account, everybody else nothing."""
    principal = request.principal
    if principal.kind == "administrator" and principal.account == request.owner:
        return Access(allowed=True)
    return Access(
        allowed=False,
        reason=f"because no identity-based policy allows the {request.action} action",
    )


def denial(request: AccessRequest, access: Access) -> AccessDeniedException:
    """AWS's refusal, as recorded."""
    resource = "" if request.named == "*" else f"on resource: {request.named} "
    return AccessDeniedException(
        f"User: {request.principal.arn} is not authorized to perform: {request.action} "
        f"{resource}{access.reason}"
    )
