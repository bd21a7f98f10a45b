"""Wildcards in actions, resources and ARNs.

Every pattern is compiled once. Matching is linear in the length of the text: each ``*`` becomes
an atomic group, so that no policy text can make the engine backtrack for long.

Sources: IAM user guide, "IAM JSON policy elements: Action", "... Resource", "... Condition
operators" (ARN).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Protocol

from .variables import Lookup, Resolved, Token, Variable, Wildcard, fill, tokenize

ARN_FIELDS = 6
_ANY_CHARACTER = "."
_FIELD_CHARACTER = "[^:]"


class TextPattern(Protocol):
    """Something a request value can be compared with."""

    def matches(self, text: str, lookup: Lookup) -> bool | None:
        """Whether the text matches; None if a variable in the pattern has no value."""
        ...


def wildcard_source(tokens: Sequence[Resolved], character: str = _ANY_CHARACTER) -> str:
    """Regular expression for literal text and wildcards.

    ``character`` is what a wildcard may stand for. The expression must be the last thing matched,
    or be followed by something that ``character`` excludes.
    """
    pieces = [""]
    for token in tokens:
        if token is Wildcard.ANY_RUN:
            pieces.append("")
        elif token is Wildcard.ONE_CHARACTER:
            pieces[-1] += character
        else:
            pieces[-1] += re.escape(str(token))
    if len(pieces) == 1:
        return pieces[0]
    first, *middle, last = pieces
    inner = "".join(f"(?>{character}*?{piece})" for piece in middle if piece)
    return f"{first}{inner}{character}*{last}"


class _Pattern:
    """What string and ARN patterns share: fixed ones compile once, others once per variable values.

    A fixed pattern without wildcards is compared as text. For the others `_source` builds a regular
    expression from the resolved tokens, or None where these can match nothing.
    """

    __slots__ = ("_expression", "_literal", "_variables", "text")

    def __init__(self, text: str, tokens: Sequence[Token]) -> None:
        self.text = text
        self._variables = tuple(token for token in tokens if isinstance(token, Variable))
        self._literal: str | None = None
        self._expression: re.Pattern[str] | None = None
        if not self._variables:
            if all(isinstance(token, str) for token in tokens):
                self._literal = "".join(str(token) for token in tokens)
            self._expression = self.expression_for(())

    @property
    def literal(self) -> str | None:
        """The text itself if it holds neither wildcards nor variables."""
        return self._literal

    def matches(self, text: str, lookup: Lookup) -> bool | None:
        """Whether the whole text matches; None if a variable has neither a value nor a default."""
        if self._literal is not None:
            return text == self._literal
        expression = self._expression
        if self._variables:
            values: list[str] = []
            for variable in self._variables:
                value = lookup(variable.key)
                if value is None:
                    value = variable.default
                if value is None:
                    return None
                values.append(value)
            expression = _expression_for(self, tuple(values))
        return expression is not None and expression.fullmatch(text) is not None

    def expression_for(self, values: Sequence[str]) -> re.Pattern[str] | None:
        """The expression with these values for the variables, in their order."""
        source = self._source(iter(values))
        return None if source is None else re.compile(source, re.DOTALL)

    def _source(self, values: Iterator[str]) -> str | None:
        raise NotImplementedError


@lru_cache(maxsize=2048)
def _expression_for(pattern: _Pattern, values: tuple[str, ...]) -> re.Pattern[str] | None:
    return pattern.expression_for(values)


class StringPattern(_Pattern):
    """A whole-string pattern for StringEquals (no wildcards) and StringLike; case-sensitive."""

    __slots__ = ("_tokens",)

    def __init__(self, text: str, *, wildcards: bool, variables: bool) -> None:
        """Compile the pattern; raises VariableError if a variable is malformed."""
        self._tokens = tokenize(text, wildcards=wildcards, variables=variables)
        super().__init__(text, self._tokens)

    def _source(self, values: Iterator[str]) -> str | None:
        return wildcard_source(fill(self._tokens, values))


class ArnPattern(_Pattern):
    """Six ARN fields with their own wildcards: ``*`` never crosses one of the first five colons.

    A pattern with fewer than six fields matches nothing.
    """

    __slots__ = ("_fields",)

    def __init__(self, text: str, fields: Sequence[Sequence[Token]]) -> None:
        """Use `for_resource` or `for_condition`: they differ in where variables may stand."""
        self._fields = tuple(fields)
        super().__init__(text, [token for field in self._fields for token in (*field, ":")][:-1])
        if len(self._fields) != ARN_FIELDS:
            self._literal = None

    @classmethod
    def for_resource(cls, text: str, *, variables: bool) -> ArnPattern:
        """A Resource entry: variables only in the sixth field. Raises VariableError."""
        parts = text.split(":", ARN_FIELDS - 1)
        last = ARN_FIELDS - 1
        return cls(
            text,
            [
                tokenize(part, wildcards=True, variables=variables and index == last)
                for index, part in enumerate(parts)
            ],
        )

    @classmethod
    def for_condition(cls, text: str, *, variables: bool) -> ArnPattern:
        """A value of ArnLike and its kin: variables in any field. Raises VariableError."""
        return cls(text, _split_fields(tokenize(text, wildcards=True, variables=variables)))

    def _source(self, values: Iterator[str]) -> str | None:
        if len(self._fields) != ARN_FIELDS:
            return None
        *front, last = [fill(field, values) for field in self._fields]
        if any(":" in str(token) for field in front for token in field):
            return None  # a value with a colon in it is no single field
        heads = [wildcard_source(field, _FIELD_CHARACTER) for field in front]
        return ":".join([*heads, wildcard_source(last)])


class Actions:
    """The Action or NotAction entries of one statement; case is ignored."""

    __slots__ = ("_every", "_exact", "_patterns", "negated")

    def __init__(self, entries: Sequence[str], *, negated: bool) -> None:
        """Compile the entries; one without a fixed service prefix names no action."""
        self.negated = negated
        self._every = any(entry in ("*", "*:*") for entry in entries)
        self._exact: set[str] = set()
        self._patterns: list[re.Pattern[str]] = []
        for entry in entries:
            prefix, colon, name = entry.lower().partition(":")
            if not colon or "*" in prefix or "?" in prefix:
                continue
            if "*" in name or "?" in name:
                tokens = tokenize(name, wildcards=True, variables=False)
                source = re.escape(prefix) + ":" + wildcard_source(fill(tokens, iter(())))
                self._patterns.append(re.compile(source, re.DOTALL))
            else:
                self._exact.add(f"{prefix}:{name}")

    def match(self, action: str) -> bool:
        """Whether the statement is about this action, given in lower case."""
        if self._every or action in self._exact:
            return not self.negated
        for pattern in self._patterns:
            if pattern.fullmatch(action) is not None:
                return not self.negated
        return self.negated


class Resources:
    """The Resource or NotResource entries of one statement. Case-sensitive."""

    __slots__ = ("_every", "_patterns", "negated")

    def __init__(self, entries: Sequence[str], *, negated: bool, variables: bool) -> None:
        """Compile the entries; raises VariableError if a variable is malformed."""
        self.negated = negated
        self._every = "*" in entries
        self._patterns = tuple(
            ArnPattern.for_resource(entry, variables=variables) for entry in entries if entry != "*"
        )

    def match(self, resource: str, lookup: Lookup, *, allowing: bool) -> bool:
        """Whether the statement is about this resource.

        An action without a resource type has the resource ``*``, which only a literal ``*``
        covers. An entry whose variable has no value covers nothing; in NotResource it leaves open
        what was to be spared, so an Allow does not apply and a Deny does.
        """
        if self._every:
            return not self.negated
        if resource == "*":
            return self.negated
        unresolved = False
        for pattern in self._patterns:
            result = pattern.matches(resource, lookup)
            if result:
                return not self.negated
            unresolved = unresolved or result is None
        if self.negated:
            return not (unresolved and allowing)
        return False


def _split_fields(tokens: Sequence[Token]) -> list[list[Token]]:
    fields: list[list[Token]] = [[]]
    for token in tokens:
        if not isinstance(token, str):
            fields[-1].append(token)
            continue
        first, *rest = token.split(":", ARN_FIELDS - len(fields))
        if first:
            fields[-1].append(first)
        for part in rest:
            fields.append([part] if part else [])
    return fields
