"""The condition operators: how one request value compares with the values a policy lists.

Each operator is compiled once for its policy values and then answers true, false, or None where
the two cannot be compared. Negated operators are the positive ones turned round (`conditions`).

Source: IAM user guide, "IAM JSON policy elements: Condition operators".
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from .match import ArnPattern, StringPattern, TextPattern
from .request import Facts
from .values import address, binary, instant, network, number, truth
from .variables import substitute, tokenize

Test = Callable[[str, Facts], bool | None]
"""Whether a request value matches any policy value; None if it cannot be compared."""

Builder = Callable[[Sequence[str], bool], Test]
"""Compiles the policy values of one key; the flag says whether variables are in force."""

T = TypeVar("T")


def _never(value: str, facts: Facts) -> None:
    """Compare with an empty list of policy values: there is nothing to decide by."""
    return


def _any_of(patterns: Sequence[TextPattern]) -> Test:
    def test(value: str, facts: Facts) -> bool | None:
        # A variable without a value matches nothing; AWS documents StringNotEquals as true then.
        return any(pattern.matches(value, facts.lookup) for pattern in patterns)

    return test if patterns else _never


def _string_equals(values: Sequence[str], variables: bool) -> Test:
    patterns = [StringPattern(value, wildcards=False, variables=variables) for value in values]
    literals = frozenset(p.literal for p in patterns if p.literal is not None)
    if not patterns or any(pattern.literal is None for pattern in patterns):
        return _any_of(patterns)
    return lambda value, facts: value in literals


def _string_equals_ignore_case(values: Sequence[str], variables: bool) -> Test:
    templates = [tokenize(value, wildcards=False, variables=variables) for value in values]

    def test(value: str, facts: Facts) -> bool | None:
        wanted = value.lower()
        for template in templates:
            text = substitute(template, facts.lookup)
            if text is not None and text.lower() == wanted:
                return True
        return False

    return test if templates else _never


def _string_like(values: Sequence[str], variables: bool) -> Test:
    return _any_of([StringPattern(v, wildcards=True, variables=variables) for v in values])


def _arn_like(values: Sequence[str], variables: bool) -> Test:
    return _any_of([ArnPattern.for_condition(v, variables=variables) for v in values])


def _typed(parse: Callable[[str], T | None], holds: Callable[[Any, Any], bool]) -> Builder:
    """Operator on parsed values: ``holds(request value, policy value)``."""

    def build(values: Sequence[str], variables: bool) -> Test:
        parsed = [parse(value) for value in values]
        wanted = [value for value in parsed if value is not None]
        unreadable = len(wanted) < len(parsed)

        def test(value: str, facts: Facts) -> bool | None:
            seen = parse(value)
            if seen is None:
                return None
            if any(holds(seen, want) for want in wanted):
                return True
            return None if unreadable else False

        return test if values else _never

    return build


def _bool(values: Sequence[str], variables: bool) -> Test:
    templates = [tokenize(value, wildcards=False, variables=variables) for value in values]

    def test(value: str, facts: Facts) -> bool | None:
        seen = truth(value)
        if seen is None:
            return None
        texts = [substitute(template, facts.lookup) for template in templates]
        return any(text is not None and truth(text) is seen for text in texts)

    return test if templates else _never


def _ip_address(values: Sequence[str], variables: bool) -> Test:
    parsed = [network(value) for value in values]
    ranges = [found for found in parsed if found is not None]
    unreadable = len(ranges) < len(parsed)

    def test(value: str, facts: Facts) -> bool | None:
        seen = address(value)
        if seen is None:
            return None
        version, bits = seen
        if any(version == family and bits & mask == start for family, start, mask in ranges):
            return True
        return None if unreadable else False

    return test if values else _never


POSITIVE: dict[str, Builder] = {
    "stringequals": _string_equals,
    "stringequalsignorecase": _string_equals_ignore_case,
    "stringlike": _string_like,
    "numericequals": _typed(number, operator.eq),
    "numericlessthan": _typed(number, operator.lt),
    "numericlessthanequals": _typed(number, operator.le),
    "numericgreaterthan": _typed(number, operator.gt),
    "numericgreaterthanequals": _typed(number, operator.ge),
    "dateequals": _typed(instant, operator.eq),
    "datelessthan": _typed(instant, operator.lt),
    "datelessthanequals": _typed(instant, operator.le),
    "dategreaterthan": _typed(instant, operator.gt),
    "dategreaterthanequals": _typed(instant, operator.ge),
    "bool": _bool,
    "binaryequals": _typed(binary, operator.eq),
    "ipaddress": _ip_address,
    "arnequals": _arn_like,
    "arnlike": _arn_like,
}
"""Operators that are true on a match, by lower-case name: AWS ignores the case of operators."""

NEGATED: dict[str, str] = {
    "stringnotequals": "stringequals",
    "stringnotequalsignorecase": "stringequalsignorecase",
    "stringnotlike": "stringlike",
    "numericnotequals": "numericequals",
    "datenotequals": "dateequals",
    "notipaddress": "ipaddress",
    "arnnotequals": "arnequals",
    "arnnotlike": "arnlike",
}
"""Operators that are true where their positive counterpart is not."""

NULL = "null"
"""The operator that asks whether a key is absent."""

TAKES_VARIABLES = ("string", "arn", "bool")
"""How the names of the operators begin whose values may hold policy variables."""
