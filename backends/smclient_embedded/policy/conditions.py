"""The Condition element: IfExists, set qualifiers, missing keys, several values, Null.

A condition is true, false or undecided (None). Undecided is what the policy language leaves open,
such as a number that cannot be read under a negated operator; an Allow then does not apply and a
Deny does.

Source: IAM user guide, "IAM JSON policy elements: Condition operators", "Condition with multiple
keys or values".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from .operators import NEGATED, NULL, POSITIVE, TAKES_VARIABLES, Test
from .request import Facts
from .values import truth

_IF_EXISTS = "ifexists"


class UnknownOperatorError(ValueError):
    """Raised for a condition operator that the policy language does not have."""


class Qualifier(Enum):
    """How the values of a multivalued key are combined."""

    NONE = ""
    FOR_ALL = "forallvalues"
    FOR_ANY = "foranyvalue"


@dataclass(frozen=True, slots=True)
class Operator:
    """A condition operator taken apart; ``base`` is its bare name in lower case."""

    base: str
    qualifier: Qualifier
    if_exists: bool

    @property
    def takes_variables(self) -> bool:
        """Whether policy variables may stand in its values."""
        return self.base.removeprefix("not").startswith(TAKES_VARIABLES)


def read_operator(text: str) -> Operator:
    """Take an operator name such as ``ForAllValues:StringLikeIfExists`` apart.

    Raises:
        UnknownOperatorError: No such operator or qualifier, or IfExists on Null.
    """
    prefix, colon, name = text.partition(":")
    if not colon:
        prefix, name = "", text
    try:
        qualifier = Qualifier(prefix.lower())
    except ValueError:
        raise UnknownOperatorError(f"unknown set qualifier {prefix!r}") from None
    if colon and qualifier is Qualifier.NONE:
        raise UnknownOperatorError(f"unknown condition operator {text!r}")
    lowered = name.lower()
    base = lowered.removesuffix(_IF_EXISTS)
    if base == NULL and base != lowered:
        raise UnknownOperatorError(
            "Null does not take IfExists: it already asks whether the key exists"
        )
    if base != NULL and base not in POSITIVE and base not in NEGATED:
        raise UnknownOperatorError(f"unknown condition operator {text!r}")
    return Operator(base, qualifier, base != lowered)


class Condition:
    """One key under one operator, compiled.

    Attributes:
        operator: The operator as the policy spells it.
        key: The condition key as the policy spells it.
        wanted: The policy's values as text.
    """

    __slots__ = (
        "_if_exists",
        "_lowered",
        "_negated",
        "_null",
        "_qualifier",
        "_test",
        "key",
        "operator",
        "wanted",
    )

    def __init__(self, operator: str, key: str, wanted: Sequence[str], *, variables: bool) -> None:
        """Compile it; raises UnknownOperatorError or VariableError."""
        read = read_operator(operator)
        self.operator = operator
        self.key = key
        self.wanted = tuple(wanted)
        self._lowered = key.lower()
        self._qualifier = read.qualifier
        self._if_exists = read.if_exists
        self._negated = read.base in NEGATED
        self._null = read.base == NULL
        self._test: Test | None = None
        if not self._null:
            build = POSITIVE[NEGATED.get(read.base, read.base)]
            self._test = build(self.wanted, variables and read.takes_variables)

    def holds(self, facts: Facts) -> bool | None:
        """Whether the request meets the condition; None if that is undecided."""
        value = facts.values(self._lowered)
        if self._test is None:
            return self._holds_null(value is None)
        if value is None:
            return self._holds_without_value()
        if self._qualifier is Qualifier.NONE:
            if isinstance(value, str):
                return self._passes(self._test, value, facts)
            return None  # several values need a set qualifier
        values = (value,) if isinstance(value, str) else value
        results = [self._passes(self._test, item, facts) for item in values]
        return _all(results) if self._qualifier is Qualifier.FOR_ALL else _any(results)

    def seen(self, facts: Facts) -> tuple[str, ...]:
        """The request's values for the key; empty if it is absent."""
        value = facts.values(self._lowered)
        if value is None:
            return ()
        return (value,) if isinstance(value, str) else tuple(value)

    def _passes(self, test: Test, value: str, facts: Facts) -> bool | None:
        matched = test(value, facts)
        if self._negated:
            return None if matched is None else not matched
        return matched is True

    def _holds_without_value(self) -> bool | None:
        if self._qualifier is Qualifier.FOR_ALL:
            return True
        if self._qualifier is Qualifier.FOR_ANY:
            return None if self._if_exists else False
        return self._if_exists or self._negated

    def _holds_null(self, absent: bool) -> bool | None:
        if self._qualifier is not Qualifier.NONE:
            return self._qualifier is Qualifier.FOR_ALL
        wanted = [truth(text) for text in self.wanted]
        if absent in wanted:
            return True
        return None if None in wanted or not wanted else False


def _all(results: Sequence[bool | None]) -> bool | None:
    if False in results:
        return False
    return None if None in results else True


def _any(results: Sequence[bool | None]) -> bool | None:
    if True in results:
        return True
    return None if None in results else False
