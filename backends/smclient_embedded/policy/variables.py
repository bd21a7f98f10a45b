"""Policy variables: ``${aws:username}``, ``${key, 'default'}``; escapes ``${*} ${?} ${$}``.

A policy string becomes a sequence of tokens once, when the policy is compiled. At decision time
the variables among them are replaced by request values, which are always literal: a ``*`` inside
a tag value is no wildcard.

Source: IAM user guide, "IAM policy elements: Variables and tags".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum


class Wildcard(Enum):
    """The two wildcards of the policy language."""

    ANY_RUN = "*"
    ONE_CHARACTER = "?"


@dataclass(frozen=True, slots=True)
class Variable:
    """A place that a request value fills; ``key`` is in lower case, since names ignore case."""

    key: str
    default: str | None = None


Token = str | Wildcard | Variable
Resolved = str | Wildcard
Lookup = Callable[[str], str | None]

_VARIABLE = re.compile(r"\$\{(?:([*?$])|([^\s{}'$,*?]+)(?:,\s*'([^']*)')?)\}")
_WILDCARDS = {wildcard.value: wildcard for wildcard in Wildcard}
_NEEDS_TAG_KEY = frozenset({"aws:principaltag", "aws:resourcetag", "aws:requesttag"})


class VariableError(ValueError):
    """Raised if ``${`` starts something that is not a variable; the message says why."""


def tokenize(text: str, *, wildcards: bool, variables: bool) -> tuple[Token, ...]:
    """Split a policy string into literal text, wildcards and variables.

    Args:
        text: The string as the policy has it.
        wildcards: Whether ``*`` and ``?`` are wildcards here.
        variables: Whether ``${...}`` is a variable here; False under Version 2008-10-17.

    Raises:
        VariableError: A variable is malformed. Blanks in a variable's name are refused, not
            trimmed: Access Analyzer calls them an error, and a name with a blank never finds a
            key.
    """
    tokens: list[Token] = []
    literal: list[str] = []

    def flush() -> None:
        if literal:
            tokens.append("".join(literal))
            literal.clear()

    position = 0
    while position < len(text):
        character = text[position]
        if variables and text.startswith("${", position):
            found = _VARIABLE.match(text, position)
            if found is None:
                raise VariableError(_complaint(text[position:]))
            escape, key, default = found.groups()
            if escape is not None:
                literal.append(escape)
            else:
                flush()
                tokens.append(_variable(key, default))
            position = found.end()
            continue
        if wildcards and character in _WILDCARDS:
            flush()
            tokens.append(_WILDCARDS[character])
        else:
            literal.append(character)
        position += 1
    flush()
    return tuple(tokens)


def fill(tokens: Sequence[Token], values: Iterator[str]) -> list[Resolved]:
    """Put values in place of the variables, in their order."""
    return [next(values) if isinstance(token, Variable) else token for token in tokens]


def substitute(tokens: Sequence[Token], lookup: Lookup) -> str | None:
    """Text with request values in place; None if a variable has neither a value nor a default.

    Args:
        tokens: The result of `tokenize`, without wildcards.
        lookup: Gives the single value of a lower-case key, or None if it is absent or multivalued.
    """
    pieces: list[str] = []
    for token in tokens:
        if isinstance(token, Variable):
            value = lookup(token.key)
            value = token.default if value is None else value
            if value is None:
                return None
            pieces.append(value)
        else:
            pieces.append(str(token))
    return "".join(pieces)


def _variable(key: str, default: str | None) -> Variable:
    lowered = key.lower()
    if lowered.rstrip("/") in _NEEDS_TAG_KEY:
        raise VariableError(
            f"variable ${{{key}}} needs a tag key, as in ${{{key.rstrip('/')}/team}}"
        )
    return Variable(lowered, default)


def _complaint(text: str) -> str:
    body, brace, _ = text[2:].partition("}")
    if not brace:
        return f"variable {text[:40]!r} has no closing brace"
    if not body.strip():
        return "a variable is empty"
    if "," in body:
        return f"the default value in ${{{body}}} must stand between single quotes"
    if body != "".join(body.split()):
        return f"the variable name in ${{{body}}} must not contain blanks"
    return f"${{{body}}} is not a valid variable"
