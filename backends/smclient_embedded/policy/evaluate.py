"""The decision for one request: AWS's evaluation logic in its documented order.

1. A matching Deny in any policy that applies, on either side: explicit deny.
2. Every level of service control policies must allow.
3. How the resource policy names the caller decides what else is needed (`_decide_same_account`).
4. Across accounts the owner's grant and the caller's own policies are both needed; nothing is
bypassed.

Resource control policies can only deny, because RCPFullAWSAccess is always attached. Whatever
goes wrong on the way refuses the request.

Source: IAM user guide, "Policy evaluation logic", "Cross-account policy evaluation logic";
Organizations user guide, "SCP evaluation", "RCP evaluation".
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from .decision import Decision, Details, PolicyType, Reason, StatementRef
from .document import CompiledPolicy
from .explain import Place, conditions_of, near_misses
from .principals import CallerKind, Grant
from .request import Facts, Request

Policies = tuple[CompiledPolicy, ...]


@dataclass(frozen=True, slots=True)
class PolicySet:
    """Every policy that may bear on a request.

    Attributes:
        identity: The user's or role's own policies and, for users, those of their groups.
        resource: The policies on the resource.
        boundary: The caller's permissions boundary, if there is one.
        session: The session policies; None if none was passed, which is not the same as passing
            empty ones.
        scp: Service control policies of the caller's account by level, organization root first;
            None outside an organization and for its management account.
        rcp: The resource control policies that bind the resource, without RCPFullAWSAccess.
    """

    identity: Policies = ()
    resource: Policies = ()
    boundary: CompiledPolicy | None = None
    session: Policies | None = None
    scp: tuple[Policies, ...] | None = None
    rcp: Policies = ()
    guards: tuple[Place, ...] = field(init=False, repr=False, compare=False)
    """Those of the policies that can refuse: they hold a Deny or cannot be read."""

    def __post_init__(self) -> None:
        """Pick the policies to ask first; most hold no Deny."""
        guards = [p for p in self.places() if p[3].denies or p[3].unusable is not None]
        object.__setattr__(self, "guards", tuple(guards))

    def places(self) -> Iterator[Place]:
        """Every policy with its type, organization level and index."""
        for level, documents in enumerate(self.scp or ()):
            for index, policy in enumerate(documents):
                yield PolicyType.SCP, level, index, policy
        layers: tuple[tuple[PolicyType, Policies], ...] = (
            (PolicyType.RCP, self.rcp),
            (PolicyType.RESOURCE, self.resource),
            (PolicyType.IDENTITY, self.identity),
            (PolicyType.BOUNDARY, () if self.boundary is None else (self.boundary,)),
            (PolicyType.SESSION, self.session or ()),
        )
        for policy_type, documents in layers:
            for index, policy in enumerate(documents):
                yield policy_type, None, index, policy


@dataclass(slots=True)
class Hit:
    """A statement that applies, and how it names the caller."""

    grant: Grant
    statement: StatementRef


@dataclass(slots=True, eq=False)
class Case:
    """A request beside the policies that apply to it.

    ``owner`` is the account of the resource. ``resource_first`` is set for a KMS key and for a role
    that is to be assumed: nothing counts that its policy does not let in. For a key
    ``resource_type`` is the key policy and ``granted`` is the strongest KMS grant that covers the
    request.
    """

    facts: Facts
    policies: PolicySet
    owner: str
    resource_type: PolicyType = PolicyType.RESOURCE
    resource_first: bool = False
    granted: Hit | None = None


def evaluate(request: Request, policies: PolicySet) -> Decision:
    """Decide a request on anything but a KMS key (for keys see `kms.evaluate_key`).

    Never raises: an error in evaluation is a refusal whose ``error`` says what happened.
    """
    try:
        facts = Facts(request)
        return decide(Case(facts, applicable(facts, policies), request.account))
    except Exception as error:  # noqa: BLE001 - authorization fails closed, whatever comes in
        return refused(request, error)


def evaluate_trust(request: Request, policies: PolicySet) -> Decision:
    """Decide whether a role may be assumed; ``resource`` is its trust policy, which comes first: in
    the role's own account, too, identity policies count only where it trusts the account.

    Never raises, as `evaluate`. Source: IAM user guide, "Roles terms and concepts", "Cross-account
    resource access"; STS API reference, AssumeRole.
    """
    try:
        facts = Facts(request)
        bound = applicable(facts, policies)
        return decide(Case(facts, bound, request.account, resource_first=True))
    except Exception as error:  # noqa: BLE001 - authorization fails closed, whatever comes in
        return refused(request, error)


def locks_out(request: Request, policies: PolicySet, replacement: Policies) -> bool:
    """Whether putting other policies on the resource takes from the caller what ``request`` asks.

    Args:
        request: Normally ``secretsmanager:PutResourcePolicy`` by the caller on the secret.
        policies: The policies in force, with the present resource policies.
        replacement: The resource policies that would be there instead.

    Source: Secrets Manager API reference, ValidateResourcePolicy ("does not lock out the user").
    """
    if evaluate(request, replace(policies, resource=replacement)).allowed:
        return False
    return evaluate(request, policies).allowed


def refused(request: Request, error: Exception) -> Decision:
    """The decision for a request that could not be evaluated."""
    what = str(error) or type(error).__name__
    return Decision(False, Reason.IMPLICIT_DENY, request, error=what)


def applicable(facts: Facts, policies: PolicySet) -> PolicySet:
    """The policies that bind this caller; notes in ``facts`` whether a boundary is among them.

    A service has no policies of its own. Service-linked roles are exempt from organization
    policies.
    """
    if facts.caller.kind is CallerKind.SERVICE:
        return PolicySet(resource=policies.resource, rcp=policies.rcp)
    facts.has_boundary = policies.boundary is not None
    if facts.caller.service_linked:
        return replace(policies, scp=None, rcp=())
    return policies


def decide(case: Case) -> Decision:
    """Apply the evaluation logic to a case."""
    facts = case.facts
    denied = _denied(case)
    if denied is not None:
        return denied
    for level, documents in enumerate(case.policies.scp or ()):
        if find_allow(facts, PolicyType.SCP, documents, level) is None:
            return _lacking(case, [PolicyType.SCP], level)
    granted = find_allow(facts, case.resource_type, case.policies.resource)
    if case.granted is not None and (granted is None or case.granted.grant > granted.grant):
        granted = case.granted
    if facts.caller.kind is CallerKind.SERVICE:
        return _lacking(case, [case.resource_type]) if granted is None else _allowed(case, granted)
    if facts.caller.account == case.owner:
        return _decide_same_account(case, granted)
    return _decide_cross_account(case, granted)


def _decide_same_account(case: Case, granted: Hit | None) -> Decision:
    """Inside one account the way the resource policy names the caller matters.

    A direct grant (user, session or federated-user ARN, or ``*``) is enough, whatever the other
    policies leave out. A role grant stands in for identity policies, but boundary and session
    policy still limit it. An account grant adds nothing to a secret; to a KMS key or a role it is
    what lets identity policies count at all.
    """
    if granted is not None and granted.grant is Grant.DIRECT:
        return _allowed(case, granted)
    if granted is None and case.resource_first:
        return _lacking(case, [case.resource_type])
    if granted is not None and granted.grant > Grant.ACCOUNT:
        missing = _missing_limits(case)
        return _lacking(case, missing) if missing else _allowed(case, granted)
    own, missing = _own_side(case)
    return _lacking(case, missing) if missing else _allowed(case, own)


def _decide_cross_account(case: Case, granted: Hit | None) -> Decision:
    own, missing = _own_side(case)
    if granted is None:
        missing = [case.resource_type, *missing]
    return _lacking(case, missing) if missing else _allowed(case, granted or own)


def _own_side(case: Case) -> tuple[Hit | None, list[PolicyType]]:
    """The caller's own Allow, and what its side lacks. A root user needs no policy of its own."""
    missing = _missing_limits(case)
    if case.facts.caller.kind is CallerKind.ROOT:
        return None, missing
    own = find_allow(case.facts, PolicyType.IDENTITY, case.policies.identity)
    return own, missing if own is not None else [PolicyType.IDENTITY, *missing]


def _missing_limits(case: Case) -> list[PolicyType]:
    """Which of boundary and session policy is there and does not allow.

    A federated-user session has no permissions unless a session policy was passed.
    """
    facts, policies = case.facts, case.policies
    missing: list[PolicyType] = []
    boundary = policies.boundary
    if boundary is not None and find_allow(facts, PolicyType.BOUNDARY, (boundary,)) is None:
        missing.append(PolicyType.BOUNDARY)
    session = policies.session
    if session is None and facts.caller.kind is CallerKind.FEDERATED_USER:
        session = ()
    if session is not None and find_allow(facts, PolicyType.SESSION, session) is None:
        missing.append(PolicyType.SESSION)
    return missing


def find_allow(
    facts: Facts,
    policy_type: PolicyType,
    policies: Sequence[CompiledPolicy],
    level: int | None = None,
) -> Hit | None:
    """The matching Allow that names the caller most strongly; the first of equals."""
    best: Hit | None = None
    for index, policy in enumerate(policies):
        for statement in policy.allows:
            grant = statement.match(facts)
            if grant is not None and (best is None or grant > best.grant):
                place = StatementRef(policy_type, index, statement.index, statement.sid, level)
                best = Hit(grant, place)
                if grant is Grant.DIRECT:
                    return best
    return best


def _denied(case: Case) -> Decision | None:
    """The refusal by a matching Deny, or else by a policy that cannot be read and may hold one."""
    facts = case.facts
    unreadable: Decision | None = None
    for kind, level, index, policy in case.policies.guards:
        policy_type = case.resource_type if kind is PolicyType.RESOURCE else kind
        for statement in policy.denies:
            if statement.match(facts) is not None:
                place = StatementRef(policy_type, index, statement.index, statement.sid, level)
                return Decision(
                    False,
                    Reason.EXPLICIT_DENY,
                    facts.request,
                    policy_type,
                    place,
                    details=partial(conditions_of, statement, facts),
                )
        if policy.unusable is not None and unreadable is None:
            what = f"{policy_type} {index + 1} cannot be read ({policy.unusable})"
            unreadable = Decision(
                False, Reason.IMPLICIT_DENY, facts.request, policy_type, error=what
            )
    return unreadable


def _allowed(case: Case, hit: Hit | None) -> Decision:
    request = case.facts.request
    if hit is None:
        return Decision(True, Reason.ALLOW, request)
    return Decision(True, Reason.ALLOW, request, hit.statement.policy_type, hit.statement)


def _lacking(case: Case, missing: Sequence[PolicyType], level: int | None = None) -> Decision:
    return Decision(
        False,
        Reason.IMPLICIT_DENY,
        case.facts.request,
        missing[0],
        missing=tuple(missing),
        level=level,
        details=partial(_nearest, case, tuple(missing), level),
    )


def _nearest(case: Case, missing: tuple[PolicyType, ...], level: int | None) -> Details:
    places = [
        (case.resource_type if kind is PolicyType.RESOURCE else kind, at, index, policy)
        for kind, at, index, policy in case.policies.places()
    ]
    lacking = [place for place in places if place[0] in missing and place[1] == level]
    return near_misses(lacking, case.facts)
