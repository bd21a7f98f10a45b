"""Who calls, and how a Principal element names the caller.

The way a caller is named decides what a resource policy grants: a session ARN grants to that
session directly, a role ARN grants to the role that boundaries and session policies still limit,
an account only delegates.

Sources: IAM user guide, "AWS JSON policy elements: Principal", "... NotPrincipal", "Policy
evaluation logic".
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum, IntEnum
from functools import lru_cache

_ARN = re.compile(r"arn:([a-z0-9-]+):(iam|sts)::([0-9]{12}):(.+)", re.DOTALL)
_SERVICE = re.compile(r"[a-z0-9-]+(?:\.[a-z0-9-]+)+")


class CallerKind(Enum):
    """The kinds of principal that can call."""

    USER = "user"
    ROLE_SESSION = "role session"
    FEDERATED_USER = "federated user"
    ROOT = "root user"
    SERVICE = "service"


class Grant(IntEnum):
    """How an Allow named the caller, weakest first."""

    ACCOUNT = 1
    PARENT = 2
    ROLE = 3
    SERVICE = 4
    DIRECT = 5


@dataclass(frozen=True, slots=True)
class Caller:
    """The principal of a request, taken apart.

    ``parent`` is the role of a role session (with its path), or the user who asked for a
    federated session. ``account_names`` are the two spellings of the caller's account; empty for
    a service.
    """

    kind: CallerKind
    arn: str
    account: str | None
    parent: str | None
    account_names: frozenset[str]
    service_linked: bool


@lru_cache(maxsize=1024)
def identify(principal: str, principal_role: str | None, principal_user: str | None) -> Caller:
    """Take a caller's names apart.

    Args:
        principal: ARN of an IAM user, role session, federated-user session or account root, or
            the name of an AWS service. The ARN of a role itself counts as a session of that role.
        principal_role: Role of a role session, with its path. Without it the role is taken to
            have no path.
        principal_user: User whose credentials asked for a federated-user session, where that is
            known.

    Raises:
        ValueError: The principal is none of these, or its role belongs to another account.
    """
    if not principal.startswith("arn:"):
        if _SERVICE.fullmatch(principal) is None:
            raise ValueError(f"{principal!r} is neither a principal ARN nor a service name")
        return Caller(CallerKind.SERVICE, principal, None, None, frozenset(), False)
    found = _ARN.fullmatch(principal)
    if found is None:
        raise ValueError(f"{principal!r} is not the ARN of a principal")
    partition, service, account, name = found.groups()
    kind, parent = _kind(partition, service, account, name)
    if kind is CallerKind.ROLE_SESSION and principal_role is not None:
        parent = principal_role
    elif kind is CallerKind.FEDERATED_USER:
        parent = principal_user
    home = f"arn:{partition}:iam::{account}:"
    if parent is not None and not parent.startswith(home):
        raise ValueError(f"{parent!r} is not of the account of {principal!r}")
    linked = parent is not None and parent.startswith(f"{home}role/aws-service-role/")
    return Caller(kind, principal, account, parent, frozenset({account, f"{home}root"}), linked)


def _kind(partition: str, service: str, account: str, name: str) -> tuple[CallerKind, str | None]:
    role = f"arn:{partition}:iam::{account}:role/"
    prefix, _, rest = name.partition("/")
    match (service, prefix):
        case ("iam", "root") if not rest and name == "root":
            return CallerKind.ROOT, None
        case ("iam", "user") if rest:
            return CallerKind.USER, None
        case ("iam", "role") if rest:
            return CallerKind.ROLE_SESSION, role + rest
        case ("sts", "assumed-role") if rest:
            return CallerKind.ROLE_SESSION, role + rest.partition("/")[0]
        case ("sts", "federated-user") if rest:
            return CallerKind.FEDERATED_USER, None
    raise ValueError(f"{name!r} names no kind of principal that can call")


class Principals:
    """The Principal or NotPrincipal of one statement: exact strings, and ``*`` for everyone.

    A wildcard inside an ARN is an ordinary character and so names nobody.
    """

    __slots__ = ("_aws", "_everyone", "_services", "negated")

    def __init__(self, element: Mapping[str, Iterable[str]], *, negated: bool) -> None:
        """Take the element in its long form; ``{"AWS": ["*"]}`` stands for the plain ``"*"``."""
        self.negated = negated
        self._aws = frozenset(element.get("AWS", ()))
        self._services = frozenset(element.get("Service", ()))
        self._everyone = "*" in self._aws

    def match(self, caller: Caller, *, has_boundary: bool) -> Grant | None:
        """How the statement names the caller; None if it does not apply to it.

        NotPrincipal always applies to a principal that has a permissions boundary, and spares
        others only if each of their names is listed: session, role and account.
        """
        if self.negated:
            return Grant.DIRECT if has_boundary or not self._lists_all_of(caller) else None
        if self._everyone:
            return Grant.DIRECT
        return named(caller, self._aws, self._services)

    def _lists_all_of(self, caller: Caller) -> bool:
        if self._everyone:
            return True
        if caller.kind is CallerKind.SERVICE:
            return caller.arn in self._services
        names = {caller.arn}
        if caller.kind is CallerKind.ROLE_SESSION and caller.parent is not None:
            names.add(caller.parent)
        return names <= self._aws and not caller.account_names.isdisjoint(self._aws)


def named(caller: Caller, aws: frozenset[str], services: frozenset[str]) -> Grant | None:
    """The strongest way in which these exact names stand for the caller."""
    if caller.kind is CallerKind.SERVICE:
        return Grant.SERVICE if caller.arn in services else None
    if caller.arn in aws and caller.kind is not CallerKind.ROOT and caller.arn != caller.parent:
        return Grant.DIRECT
    if caller.parent is not None and caller.parent in aws:
        return Grant.ROLE if caller.kind is CallerKind.ROLE_SESSION else Grant.PARENT
    if not caller.account_names.isdisjoint(aws):
        return Grant.ACCOUNT
    return None
