"""From policy text to a compiled policy.

`parse` is strict: what AWS would not store is refused with the place of every fault.
`compile_policy` is for evaluation and never raises: what cannot be read grants nothing, and
refuses where it might have been a Deny. Both compile a text once and keep the result in a bounded
cache.

Source: IAM user guide, "Grammar of the IAM JSON policy language"; for Version, "IAM JSON policy
elements: Version".
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from .conditions import Condition
from .grammar import (
    CURRENT_VERSION,
    MAX_RESOURCE_POLICY,
    Fault,
    Kind,
    as_list,
    as_text,
    find_faults,
    statements_of,
)
from .match import Actions, Resources
from .principals import Grant, Principals
from .request import Facts

_CACHED_POLICIES = 1024
_MAX_CACHED_TEXT = 4 * MAX_RESOURCE_POLICY


class PolicyGrammarError(ValueError):
    """Raised if a text is not a policy; the message and ``faults`` say where and why."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        """Keep the faults; there is at least one."""
        super().__init__("; ".join(str(fault) for fault in faults))
        self.faults = tuple(faults)


class Statement:
    """One compiled statement; ``allows`` is its effect, ``index`` its place in the document."""

    __slots__ = ("actions", "allows", "conditions", "index", "principals", "resources", "sid")

    def __init__(self, element: Mapping[str, Any], index: int, *, variables: bool) -> None:
        """Compile a statement that has no fatal fault."""
        sid = element.get("Sid")
        self.index = index
        self.sid = sid if isinstance(sid, str) and sid else None
        self.allows = element["Effect"] == "Allow"
        not_action, not_resource = "NotAction" in element, "NotResource" in element
        self.actions = Actions(
            as_list(element["NotAction" if not_action else "Action"]), negated=not_action
        )
        self.resources = Resources(
            as_list(element["NotResource" if not_resource else "Resource"]),
            negated=not_resource,
            variables=variables,
        )
        self.principals = _principals(element)
        self.conditions = tuple(
            Condition(operator, key, [as_text(v) for v in as_list(wanted)], variables=variables)
            for operator, block in element.get("Condition", {}).items()
            for key, wanted in block.items()
        )

    def match(self, facts: Facts) -> Grant | None:
        """How the statement names the caller, if it applies to the request; otherwise None.

        Statements of policies without a Principal element name their caller directly.
        """
        if not self.actions.match(facts.action):
            return None
        if not self.resources.match(facts.resource, facts.lookup, allowing=self.allows):
            return None
        grant: Grant | None = Grant.DIRECT
        if self.principals is not None:
            grant = self.principals.match(facts.caller, has_boundary=facts.has_boundary)
        if grant is None or not self.conditions_hold(facts):
            return None
        return grant

    def conditions_hold(self, facts: Facts) -> bool:
        """Whether every condition is met; an undecided one counts against the caller."""
        for condition in self.conditions:
            held = condition.holds(facts)
            if held is False or (held is None and self.allows):
                return False
        return True


class CompiledPolicy:
    """A policy ready for decisions.

    Attributes:
        text: The JSON text it came from.
        kind: What it is attached to.
        faults: What `parse` would have refused; empty for a valid policy.
        allows: The usable Allow statements.
        denies: The usable Deny statements.
        unusable: Why no decision can rest on this policy, or None. A Deny that cannot be read is
            a reason.
    """

    __slots__ = ("allows", "denies", "faults", "kind", "text", "unusable")

    def __init__(self, text: str, kind: Kind, document: object, faults: Sequence[Fault]) -> None:
        """Compile the statements that have no fatal fault."""
        self.text = text
        self.kind = kind
        self.faults = tuple(faults)
        self.allows: tuple[Statement, ...] = ()
        self.denies: tuple[Statement, ...] = ()
        fatal = [fault for fault in faults if fault.fatal]
        whole = next((fault for fault in fatal if fault.statement is None), None)
        self.unusable = None if whole is None else str(whole)
        if whole is not None or not isinstance(document, dict):
            return
        broken = {fault.statement: fault for fault in reversed(fatal)}
        variables = document.get("Version") == CURRENT_VERSION
        usable: list[Statement] = []
        for index, element in enumerate(statements_of(document)):
            fault = broken.get(index)
            if fault is None:
                usable.append(Statement(element, index, variables=variables))
            elif not (isinstance(element, dict) and element.get("Effect") == "Allow"):
                self.unusable = self.unusable or str(fault)
        self.allows = tuple(s for s in usable if s.allows)
        self.denies = tuple(s for s in usable if not s.allows)


def parse(policy: str | Mapping[str, Any], kind: Kind) -> CompiledPolicy:
    """Check and compile a policy.

    Args:
        policy: JSON text, or the object it stands for.
        kind: ``identity`` (also boundaries and session policies), ``resource`` (also key
            policies), ``scp`` or ``rcp``.

    Raises:
        PolicyGrammarError: It is not a policy of this kind; says where every fault is.
    """
    compiled = compile_policy(policy, kind)
    if compiled.faults:
        raise PolicyGrammarError(compiled.faults)
    return compiled


def compile_policy(policy: object, kind: Kind) -> CompiledPolicy:
    """Compile a policy for evaluation, whatever its faults; never raises.

    Faults are in ``faults``. An unreadable policy is ``unusable``, and evaluation then refuses.
    """
    if isinstance(policy, str):
        text = policy
    else:
        try:
            text = json.dumps(policy, ensure_ascii=False, allow_nan=False)
        except (TypeError, ValueError, RecursionError) as error:
            return CompiledPolicy("", kind, None, [Fault("policy", f"is not JSON: {error}")])
    if len(text) > _MAX_CACHED_TEXT:
        return _compile_text(text, kind)
    return _compile_cached(text, kind)


@lru_cache(maxsize=_CACHED_POLICIES)
def _compile_cached(text: str, kind: Kind) -> CompiledPolicy:
    return _compile_text(text, kind)


def _compile_text(text: str, kind: Kind) -> CompiledPolicy:
    try:
        document = json.loads(text, object_pairs_hook=_unique, parse_constant=_no_constant)
    except _RepeatedNameError as error:
        return CompiledPolicy(text, kind, None, [Fault("policy", str(error))])
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        return CompiledPolicy(text, kind, None, [Fault(place, f"is not JSON: {error.msg}")])
    except (
        ValueError,
        RecursionError,
    ) as error:  # a number too long to read, or too deep a nesting
        return CompiledPolicy(text, kind, None, [Fault("policy", f"is not JSON: {error}")])
    faults = find_faults(document, kind)
    if kind == "resource" and len(text) > MAX_RESOURCE_POLICY:
        what = f"is longer than {MAX_RESOURCE_POLICY} characters"
        faults.append(Fault("policy", what, fatal=False))
    return CompiledPolicy(text, kind, document, faults)


class _RepeatedNameError(ValueError):
    """Raised if an object has the same name twice, so that JSON readers differ on its meaning."""


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members: dict[str, Any] = {}
    for name, value in pairs:
        if name in members:
            raise _RepeatedNameError(f"{name!r} stands twice in one object")
        members[name] = value
    return members


def _no_constant(text: str) -> None:
    raise ValueError(f"{text} is no JSON value")


def _principals(element: Mapping[str, Any]) -> Principals | None:
    negated = "NotPrincipal" in element
    if not negated and "Principal" not in element:
        return None
    principal = element["NotPrincipal" if negated else "Principal"]
    if principal == "*":
        principal = {"AWS": "*"}
    return Principals({key: as_list(value) for key, value in principal.items()}, negated=negated)
