"""The port to whoever decides what a caller may do, and the thinnest decider behind it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from smclient_embedded.context import Principal, RequestContext
from smclient_embedded.errors import AccessDeniedException, ExpiredTokenException
from smclient_embedded.policy import denial_text
from smclient_embedded.store.records import KeyRecord, SecretRecord

ReadSetting = Callable[[str], bytes | None]
"""Reads a setting of the store, as a transaction sees it."""


@dataclass(frozen=True, slots=True)
class AccessRequest:
    """One question: may this caller do this action on this resource?

    Condition keys are not made before somebody asks for them (``condition_keys``): most questions
    of an administrator are answered without.

    Attributes:
        action: ``service:Action``.
        resource: an ARN, or ``*`` for actions without a resource.
        named: the resource as the caller named it; AWS repeats that in its refusal.
        owner: the account that owns the resource.
        keys: condition keys beside those that ``parameters``, ``secret`` and ``context`` fill in.
        parameters: those of the call, in AWS's names; not checked yet but for their types.
        context: where the call came from; without one the principal's own account and no address.
        at: the time of the call.
        secret: the secret, where the resource is one that exists.
        policies: resource policies to decide by in place of the secret's own.
        key: the KMS key, where the action is one of KMS that the service does for the caller.
        setting: reads the store's settings as the open transaction sees them.
    """

    principal: Principal
    action: str
    resource: str
    named: str
    owner: str
    keys: Mapping[str, str | Sequence[str]] = field(default_factory=dict)
    parameters: Mapping[str, Any] = field(default_factory=dict)
    context: RequestContext | None = None
    at: datetime | None = None
    secret: SecretRecord | None = None
    policies: Sequence[str] | None = None
    key: KeyRecord | None = None
    setting: ReadSetting | None = None


@dataclass(frozen=True, slots=True)
class Access:
    """The answer, with AWS's words for a refusal.

    Attributes:
        stamp: the state of the accounts that it was worked out from, if that, the question and the
            store are all that had a part in it: nothing that is the call's own, such as its time
            or the address it came from.
    """

    allowed: bool
    reason: str = ""
    stamp: str | None = field(default=None, compare=False)


ALLOWED = Access(allowed=True)


class Authoriser(Protocol):
    """Decides one request, by the policies that it knows of. Never raises: what cannot be decided
    is refused."""

    def __call__(self, request: AccessRequest) -> Access:
        """Whether the caller may."""
        ...


def administrator_only(request: AccessRequest) -> Access:
    """The administrator may do all in the own account, everybody else nothing."""
    principal = request.principal
    if principal.kind == "administrator" and principal.account == request.owner:
        return ALLOWED
    return Access(
        allowed=False,
        reason=f"because no identity-based policy allows the {request.action} action",
    )


def denial(request: AccessRequest, access: Access) -> AccessDeniedException:
    """AWS's refusal, as recorded."""
    arn = request.principal.arn
    return AccessDeniedException(denial_text(arn, request.action, request.named, access.reason))


def refuse_ended_session(principal: Principal, now: datetime) -> None:
    """Refuse a caller whose session is over. Raises ``ExpiredTokenException``."""
    session = principal.session
    if session is not None and session.expires_at is not None and now >= session.expires_at:
        raise ExpiredTokenException("The security token included in the request is expired")
