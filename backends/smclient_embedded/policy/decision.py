"""The answer to one request, and how it explains itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

from .request import Request


class Reason(StrEnum):
    """The three outcomes of AWS's evaluation logic."""

    ALLOW = "allow"
    IMPLICIT_DENY = "implicitDeny"
    EXPLICIT_DENY = "explicitDeny"


class PolicyType(StrEnum):
    """Which kind of policy decided."""

    IDENTITY = "identity-based policy"
    RESOURCE = "resource-based policy"
    SESSION = "session policy"
    BOUNDARY = "permissions boundary"
    SCP = "service control policy"
    RCP = "resource control policy"
    KEY = "KMS key policy"
    GRANT = "KMS grant"


@dataclass(frozen=True, slots=True)
class StatementRef:
    """Where a statement stands: policy and statement are counted from 0 within their policy type.

    ``level`` is the level of the organization for service control policies, root first.
    """

    policy_type: PolicyType
    policy: int
    statement: int
    sid: str | None = None
    level: int | None = None

    def __str__(self) -> str:
        """The place in words, counted from 1."""
        name = f"statement {self.statement + 1}"
        if self.sid is not None:
            name += f" ({self.sid!r})"
        place = f"{self.policy_type} {self.policy + 1}"
        if self.level is not None:
            place += f" of level {self.level + 1}"
        return f"{name} of {place}"


@dataclass(frozen=True, slots=True)
class ConditionView:
    """What a condition wants, beside what the request has (nothing: the key is absent)."""

    operator: str
    key: str
    wanted: tuple[str, ...]
    seen: tuple[str, ...]

    def __str__(self) -> str:
        """The condition in words."""
        seen = _listed(self.seen) if self.seen else "no value"
        return f"{self.operator} {self.key} {_listed(self.wanted)}; the request has {seen}"


@dataclass(frozen=True, slots=True)
class NearMiss:
    """An Allow that does not apply, and the first thing that keeps it from applying.

    ``element`` is Resource, Principal or Condition; ``condition`` is the first that failed.
    """

    statement: StatementRef
    element: str
    condition: ConditionView | None = None


@dataclass(frozen=True, slots=True)
class Details:
    """What an explanation adds to a decision; worked out only when it is asked for."""

    near_misses: tuple[NearMiss, ...] = ()
    conditions: tuple[ConditionView, ...] = ()


def denial_text(principal: str, action: str, resource: str, blame: str) -> str:
    """AWS's sentence for a denial; ``*`` is nobody's resource and is not named.

    Args:
        resource: As the caller named it.
        blame: See ``Decision.blame``.

    Source: recorded AWS answers; IAM user guide, "Troubleshoot access denied error messages".
    """
    where = "" if resource == "*" else f"on resource: {resource} "
    return f"User: {principal} is not authorized to perform: {action} {where}{blame}"


def no_details() -> Details:
    """For decisions about which there is nothing more to say."""
    return Details()


@dataclass(frozen=True, slots=True)
class Decision:
    """The answer to one request.

    Attributes:
        allowed: Whether the request may go ahead.
        reason: Which of AWS's three outcomes this is.
        request: The request that was decided.
        policy_type: The policy type that decided; for an implicit deny, the one that lacks an
            Allow.
        statement: The statement that decided; None for an implicit deny, and for a root user's
            own rights.
        missing: Policy types that would have had to allow and did not, the first to blame first.
        level: For service control policies the level that lacks an Allow, root first from 0.
        error: Why evaluation could not be completed; such a request is always refused.
    """

    allowed: bool
    reason: Reason
    request: Request
    policy_type: PolicyType | None = None
    statement: StatementRef | None = None
    missing: tuple[PolicyType, ...] = ()
    level: int | None = None
    error: str | None = None
    details: Callable[[], Details] = field(default=no_details, repr=False, compare=False)

    @property
    def failed_condition(self) -> ConditionView | None:
        """The condition that kept the nearest Allow from applying, if it was a condition."""
        misses = self.details().near_misses
        return next((miss.condition for miss in misses if miss.condition is not None), None)

    def explain(self) -> tuple[str, ...]:
        """Say in sentences what decided and, for a refusal, what would have been needed."""
        if self.error is not None:
            return (f"Refused, because evaluation failed: {self.error}.",)
        if self.reason is Reason.ALLOW:
            return (self._allowed(),)
        if self.reason is Reason.EXPLICIT_DENY:
            return tuple(self._explicit())
        return tuple(self._implicit())

    def message(self, resource: str | None = None) -> str:
        """AWS's denial text for this decision.

        Args:
            resource: The resource as the caller named it; by default the one of the request.
        """
        request = self.request
        where = request.resource if resource is None else resource
        return denial_text(request.principal, request.action, where, self.blame())

    def blame(self) -> str:
        """The end of AWS's denial text: which kind of policy refused, and how."""
        decider = self.policy_type or PolicyType.IDENTITY
        if decider in (PolicyType.KEY, PolicyType.GRANT):
            decider = PolicyType.RESOURCE
        if self.reason is Reason.EXPLICIT_DENY:
            return f"with an explicit deny in {_with_article(decider)}"
        return f"because no {decider} allows the {self.request.action} action"

    def _allowed(self) -> str:
        request = self.request
        if self.statement is None:
            return f"Allowed: the root user of account {request.account} has every permission."
        return f"Allowed by {self.statement}."

    def _explicit(self) -> list[str]:
        lines = [f"Denied: {self.statement} denies {self.request.action}."]
        for condition in self.details().conditions:
            lines.append(f"Its condition applies: {condition}.")
        lines.append("Needed: no Allow outweighs it; that statement must not match the request.")
        return lines

    def _implicit(self) -> list[str]:
        request = self.request
        lines = [
            f"Not allowed: no {self.policy_type} allows {request.action} on {request.resource}."
        ]
        if self.missing:
            needed = " and in ".join(_with_article(lacking) for lacking in self.missing)
            if self.level is not None:
                needed += f" of level {self.level + 1} of the organization"
            lines.append(f"Needed: an Allow for {request.principal} in {needed}.")
        lines.extend(_near(miss) for miss in self.details().near_misses)
        return lines


def _with_article(policy_type: PolicyType) -> str:
    return f"{'an' if policy_type is PolicyType.IDENTITY else 'a'} {policy_type}"


def _near(miss: NearMiss) -> str:
    if miss.condition is not None:
        return f"Nearest: {miss.statement} asks for {miss.condition}."
    return f"Nearest: {miss.statement} does not match by its {miss.element}."


def _listed(values: tuple[str, ...]) -> str:
    shown = [repr(value) for value in values[:5]]
    if len(values) > len(shown):
        shown.append("...")
    return " or ".join(shown) if shown else "nothing"
