"""Why a request was decided as it was: worked out only when somebody asks."""

from __future__ import annotations

from collections.abc import Iterable

from .decision import ConditionView, Details, NearMiss, PolicyType, StatementRef
from .document import CompiledPolicy, Statement
from .request import Facts

_SHOWN = 3
_CLOSEST_FIRST = ("Condition", "Resource", "Principal")

Place = tuple[PolicyType, int | None, int, CompiledPolicy]
"""Policy type, organization level, index of the policy, and the policy."""


def conditions_of(statement: Statement, facts: Facts) -> Details:
    """The conditions of a Deny that applied, beside what the request has."""
    return Details(conditions=tuple(_views(statement, facts)))


def near_misses(places: Iterable[Place], facts: Facts) -> Details:
    """The Allow statements for the action that come closest to applying, the closest first."""
    found: list[NearMiss] = []
    for policy_type, level, index, policy in places:
        for statement in policy.allows:
            if statement.actions.match(facts.action) and statement.match(facts) is None:
                ref = StatementRef(policy_type, index, statement.index, statement.sid, level)
                found.append(_near_miss(ref, statement, facts))
    found.sort(key=lambda miss: _CLOSEST_FIRST.index(miss.element))
    return Details(near_misses=tuple(found[:_SHOWN]))


def _near_miss(ref: StatementRef, statement: Statement, facts: Facts) -> NearMiss:
    if not statement.resources.match(facts.resource, facts.lookup, allowing=True):
        return NearMiss(ref, "Resource")
    principals = statement.principals
    has_boundary = facts.has_boundary
    if principals is not None and not principals.match(facts.caller, has_boundary=has_boundary):
        return NearMiss(ref, "Principal")
    failed = next(c for c in statement.conditions if c.holds(facts) is not True)
    return NearMiss(
        ref,
        "Condition",
        ConditionView(failed.operator, failed.key, failed.wanted, failed.seen(facts)),
    )


def _views(statement: Statement, facts: Facts) -> Iterable[ConditionView]:
    for condition in statement.conditions:
        yield ConditionView(
            condition.operator, condition.key, condition.wanted, condition.seen(facts)
        )
