"""EventBridge's event patterns: a pure function from a pattern and an event to yes or no.

A pattern is a JSON object whose leaves are lists of alternatives; every member must fit (and), one
alternative of each list is enough (or). An alternative is a value, compared exactly (numbers by
value, nothing is made text), or a comparison: ``prefix``, ``suffix``, ``equals-ignore-case``,
``wildcard``, ``anything-but``, ``numeric``, ``exists``, ``cidr``. ``$or`` is a list of patterns of
which one must fit. Where the event has an array, one of its elements must fit; members of the same
array of objects must fit in the same element.
"""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from smclient.errors import ConfigError

MOST_BYTES = 4096
"""The longest pattern, as JSON."""
MOST_WILDCARDS = 16
_NUMBER_LIMIT = 5_000_000_000
_OR = "$or"

Comparison = Callable[[Any], bool]
"""Whether one value of an event fits."""


class InvalidPatternError(ConfigError):
    """The pattern is not one that EventBridge takes; the message says where and why."""


@dataclass(frozen=True, slots=True)
class EventPattern:
    """A pattern, checked and compiled once."""

    source: str
    _fits: Callable[[Mapping[str, Any]], bool]

    @classmethod
    def parse(cls, pattern: str | Mapping[str, Any]) -> EventPattern:
        """Of JSON text or of what JSON text means.

        Raises:
            InvalidPatternError
        """
        content: Any = pattern
        if isinstance(pattern, str):
            try:
                content = json.loads(pattern, object_pairs_hook=_unique)
            except RecursionError:
                raise InvalidPatternError("the event pattern is nested too deeply") from None
            except ValueError as error:
                raise InvalidPatternError(f"the event pattern is not JSON: {error}") from None
        if not isinstance(content, Mapping) or not content:
            raise InvalidPatternError("an event pattern is a JSON object with at least one member")
        try:
            source = json.dumps(content, separators=(",", ":"), allow_nan=False)
        except (TypeError, ValueError, RecursionError):
            raise InvalidPatternError("the event pattern is more than JSON can say") from None
        if len(source.encode()) > MOST_BYTES:
            raise InvalidPatternError(f"the event pattern is longer than {MOST_BYTES} bytes")
        return cls(source, _object(json.loads(source), ""))

    def matches(self, event: Mapping[str, Any]) -> bool:
        """Whether an event fits."""
        return self._fits(event)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a member is there twice")
    return found


# --- the parts of a pattern -----------------------------------------------------------------------

_Test = Callable[[Any], bool]
"""Whether the value of a member fits; ``_ABSENT`` where the event does not have it."""


class _Absent:
    """What an event does not have."""


_ABSENT = _Absent()


def _object(pattern: Mapping[str, Any], where: str) -> _Test:
    if not pattern:
        raise InvalidPatternError(f"the event pattern's {where or 'root'} is empty")
    members: list[tuple[str, _Test]] = []
    choices: list[list[_Test]] = []
    for name, part in pattern.items():
        at = f"{where}.{name}" if where else name
        if name == _OR and _is_or(part):
            choices.append([_object(choice, at) for choice in part])
        elif isinstance(part, Mapping):
            members.append((name, _nested(_object(part, at))))
        elif isinstance(part, list):
            members.append((name, _leaf(part, at)))
        else:
            raise InvalidPatternError(
                f"the event pattern's {at} is neither a list of values nor an object"
            )

    def fits(event: Any) -> bool:
        if not isinstance(event, Mapping):
            event = {}
        return all(test(event.get(name, _ABSENT)) for name, test in members) and all(
            any(choice(event) for choice in tests) for tests in choices
        )

    return fits


def _is_or(part: Any) -> bool:
    """``$or`` is a field like others unless it is a list of two patterns or more."""
    return (
        isinstance(part, list)
        and len(part) >= 2
        and all(isinstance(choice, Mapping) and choice for choice in part)
        and not all(choice.keys() <= _COMPARISONS.keys() for choice in part)
    )


def _nested(test: _Test) -> _Test:
    def fits(value: Any) -> bool:
        if isinstance(value, list):
            return any(map(fits, value)) if value else test({})
        return test(value)

    return fits


def _leaf(alternatives: list[Any], where: str) -> _Test:
    if not alternatives:
        raise InvalidPatternError(f"the event pattern's {where} is an empty list: nothing fits")
    tests = [_alternative(alternative, where) for alternative in alternatives]
    return lambda value: any(test(value) for test in tests)


def _alternative(alternative: Any, where: str) -> _Test:
    if isinstance(alternative, list):
        raise InvalidPatternError(f"the event pattern's {where} has a list in its list")
    if not isinstance(alternative, Mapping):
        return _each(_equal_to(alternative))
    if len(alternative) != 1:
        raise InvalidPatternError(
            f"the event pattern's {where} has a comparison with {len(alternative)} members; one is "
            "needed"
        )
    ((name, wanted),) = alternative.items()
    if name not in _COMPARISONS:
        raise InvalidPatternError(
            f"the event pattern's {where} compares by {name!r}; there are {', '.join(_COMPARISONS)}"
        )
    return _COMPARISONS[name](wanted, where)


def _each(comparison: Comparison) -> _Test:
    """One element of an array is enough."""

    def fits(value: Any) -> bool:
        if isinstance(value, list):
            return any(fits(item) for item in value)
        return not isinstance(value, _Absent | Mapping) and comparison(value)

    return fits


# --- comparisons ----------------------------------------------------------------------------------


def _equal_to(wanted: Any) -> Comparison:
    """Equal, of the same kind: ``true`` is not 1, and 1 is 1.0."""
    kind = _kind(wanted)
    return lambda value: _kind(value) == kind and bool(value == wanted)


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "truth"
    return "number" if isinstance(value, int | float | Decimal) else type(value).__name__


def _text(wanted: Any, where: str, name: str, *, empty: bool = False) -> str:
    if not isinstance(wanted, str) or not (wanted or empty):
        raise InvalidPatternError(f"the event pattern's {where}: {name} needs a text")
    return wanted


def _affix(name: str) -> Callable[[Any, str], _Test]:
    """``prefix`` and ``suffix``, also inside ``equals-ignore-case``."""
    starts = name == "prefix"

    def of(wanted: Any, where: str) -> _Test:
        if isinstance(wanted, Mapping):
            if list(wanted) != ["equals-ignore-case"]:
                raise InvalidPatternError(
                    f"the event pattern's {where}: {name} takes a text or equals-ignore-case"
                )
            folded = _text(wanted["equals-ignore-case"], where, name).casefold()
            return _each(lambda value: isinstance(value, str) and _has(value.casefold(), folded))
        text = _text(wanted, where, name, empty=True)
        return _each(lambda value: isinstance(value, str) and _has(value, text))

    def _has(value: str, affix: str) -> bool:
        return value.startswith(affix) if starts else value.endswith(affix)

    return of


def _ignore_case(wanted: Any, where: str) -> _Test:
    folded = _text(wanted, where, "equals-ignore-case", empty=True).casefold()
    return _each(lambda value: isinstance(value, str) and value.casefold() == folded)


def _wildcard(wanted: Any, where: str) -> _Test:
    fits = _like(_text(wanted, where, "wildcard"), where)
    return _each(lambda value: isinstance(value, str) and fits(value))


def _like(wildcard: str, where: str) -> Callable[[str], bool]:
    """``*`` is any text; ``\\*`` and ``\\\\`` are the signs themselves."""
    pieces = [""]
    signs = iter(wildcard)
    for sign in signs:
        if sign == "\\":
            escaped = next(signs, "")
            if escaped not in ("*", "\\"):
                raise InvalidPatternError(
                    f"the event pattern's {where}: in a wildcard a backslash comes before * or "
                    "another backslash"
                )
            pieces[-1] += escaped
        elif sign == "*":
            pieces.append("")
        else:
            pieces[-1] += sign
    if "**" in wildcard.replace("\\\\", "").replace("\\*", ""):
        raise InvalidPatternError(f"the event pattern's {where}: a wildcard has no ** in it")
    if len(pieces) > MOST_WILDCARDS:
        raise InvalidPatternError(
            f"the event pattern's {where}: a wildcard has {MOST_WILDCARDS - 1} * at most"
        )
    return lambda value: _in_order(pieces, value)


def _in_order(pieces: Sequence[str], value: str) -> bool:
    """Whether a value begins and ends with the outer pieces and has the inner ones between, in
    order. Taking the first place of each leaves most room, so nothing is tried twice."""
    first, *inner = pieces
    if not inner:
        return value == first
    last = inner.pop()
    if len(value) < len(first) + len(last):
        return False
    if not (value.startswith(first) and value.endswith(last)):
        return False
    at, end = len(first), len(value) - len(last)
    for piece in inner:
        found = value.find(piece, at, end)
        if found < 0:
            return False
        at = found + len(piece)
    return True


def _numeric(wanted: Any, where: str) -> _Test:
    if not isinstance(wanted, list) or len(wanted) not in (2, 4):
        raise InvalidPatternError(
            f'the event pattern\'s {where}: numeric needs one comparison or two, as in [">", 0]'
        )
    bounds = [
        (_operator(sign, where), _bound(number, where))
        for sign, number in zip(wanted[::2], wanted[1::2], strict=True)
    ]
    if len(bounds) == 2 and (wanted[0] not in (">", ">=") or wanted[2] not in ("<", "<=")):
        raise InvalidPatternError(
            f"the event pattern's {where}: a numeric range is written lower bound first"
        )
    if len(bounds) == 2 and bounds[0][1] > bounds[1][1]:
        raise InvalidPatternError(f"the event pattern's {where}: the numeric range is empty")

    def fits(value: Any) -> bool:
        if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
            return False
        return all(compare(value, bound) for compare, bound in bounds)

    return _each(fits)


_OPERATORS: Mapping[str, Callable[[Any, Any], bool]] = {
    "=": lambda value, bound: bool(value == bound),
    ">": lambda value, bound: bool(value > bound),
    ">=": lambda value, bound: bool(value >= bound),
    "<": lambda value, bound: bool(value < bound),
    "<=": lambda value, bound: bool(value <= bound),
}


def _operator(sign: Any, where: str) -> Callable[[Any, Any], bool]:
    if not isinstance(sign, str) or sign not in _OPERATORS:
        raise InvalidPatternError(
            f"the event pattern's {where}: numeric compares by {', '.join(_OPERATORS)}"
        )
    return _OPERATORS[sign]


def _bound(number: Any, where: str) -> int | float:
    is_number = isinstance(number, int | float) and not isinstance(number, bool)
    if not is_number or not abs(number) <= _NUMBER_LIMIT:
        raise InvalidPatternError(
            f"the event pattern's {where}: numeric compares with numbers from -5e9 to 5e9"
        )
    return float(number) if isinstance(number, float) else int(number)


def _exists(wanted: Any, where: str) -> _Test:
    if not isinstance(wanted, bool):
        raise InvalidPatternError(f"the event pattern's {where}: exists is true or false")
    # a leaf is what is there; an object or an empty list is none
    return lambda value: _is_there(value) is wanted


def _is_there(value: Any) -> bool:
    return not isinstance(value, _Absent | Mapping) and value != []


def _cidr(wanted: Any, where: str) -> _Test:
    try:
        network = ipaddress.ip_network(_text(wanted, where, "cidr"), strict=False)
    except ValueError:
        raise InvalidPatternError(
            f"the event pattern's {where}: cidr needs a range such as 10.0.0.0/24"
        ) from None

    def fits(value: Any) -> bool:
        try:
            return isinstance(value, str) and ipaddress.ip_address(value) in network
        except ValueError:
            return False

    return _each(fits)


def _anything_but(wanted: Any, where: str) -> _Test:
    """There is a value, and it is none of these. In an array, one such element is enough."""
    excluded = [_excluded(one, where) for one in _wanted_list(wanted, where)]
    return _each(lambda value: not any(test(value) for test in excluded))


def _wanted_list(wanted: Any, where: str) -> Iterator[Any]:
    if not isinstance(wanted, Mapping):
        several = wanted if isinstance(wanted, list) else [wanted]
        if not several or any(isinstance(one, list | Mapping) for one in several):
            raise InvalidPatternError(
                f"the event pattern's {where}: anything-but takes texts, numbers or one comparison"
            )
        yield from several
        return
    if len(wanted) != 1 or not wanted.keys() <= set(_NEGATABLE):
        raise InvalidPatternError(
            f"the event pattern's {where}: anything-but takes one of {', '.join(_NEGATABLE)}"
        )
    ((name, inner),) = wanted.items()
    for one in inner if isinstance(inner, list) else [inner]:
        yield {name: one}


def _excluded(one: Any, where: str) -> Comparison:
    if isinstance(one, Mapping):
        return _alternative(one, where)
    if one is None or isinstance(one, bool):
        raise InvalidPatternError(
            f"the event pattern's {where}: anything-but takes texts and numbers"
        )
    return _equal_to(one)


_NEGATABLE = ("prefix", "suffix", "equals-ignore-case", "wildcard")

_COMPARISONS: Mapping[str, Callable[[Any, str], _Test]] = {
    "prefix": _affix("prefix"),
    "suffix": _affix("suffix"),
    "equals-ignore-case": _ignore_case,
    "wildcard": _wildcard,
    "anything-but": _anything_but,
    "numeric": _numeric,
    "exists": _exists,
    "cidr": _cidr,
}
