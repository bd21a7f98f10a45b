"""ListSecrets' and BatchGetSecretValue's filters, as a predicate over secrets.

Filters are ANDed, the values of one filter ORed, ``!`` before a value negates it. Names, tag keys
and tag values match from their start and by case; descriptions by the start of any word, whatever
the case; ``all`` breaks the value into words and looks for words that start so in everything.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from smclient_embedded.errors import InvalidParameterException
from smclient_embedded.store.records import SecretRecord

Wanted = Callable[[SecretRecord], bool]

_WORD = re.compile(r"[A-Za-z0-9]+|[^A-Za-z0-9\s]")


def matches(filters: Sequence[Mapping[str, Any]]) -> Wanted:
    """Whether a secret passes all filters.

    Raises:
        InvalidParameterException: a filter without key or values, or with an unknown key.
    """
    tests = [_filter(f) for f in filters]
    return lambda secret: all(test(secret) for test in tests)


def name_prefixes(filters: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """Prefixes one of which the name of every secret that passes has; none if there is no such
    bound. Stores find names by these without looking at the others."""
    for shape in filters:
        values = [str(value) for value in shape.get("Values") or ()]
        if shape.get("Key") == "name" and not any(value.startswith("!") for value in values):
            return tuple(values)
    return ()


def _filter(shape: Mapping[str, Any]) -> Wanted:
    if "Key" not in shape:
        raise InvalidParameterException("Invalid filter key")
    if not shape.get("Values"):
        raise InvalidParameterException(f"Invalid filter values for key: {shape['Key']}")
    test = _TESTS.get(shape["Key"])
    if test is None:
        raise InvalidParameterException("Invalid filter key")
    values = [str(value) for value in shape["Values"]]

    def passes(secret: SecretRecord) -> bool:
        return any(
            not test(secret, value[1:]) if value.startswith("!") else test(secret, value)
            for value in values
        )

    return passes


def _words(text: str) -> list[str]:
    return [word.lower() for word in _WORD.findall(text)]


def _some_word_starts(text: str, value: str) -> bool:
    wanted = value.lower()
    lowered = text.lower()
    starts = (match.start() for match in _WORD.finditer(lowered))
    return any(lowered.startswith(wanted, start) for start in starts)


def _description(secret: SecretRecord, value: str) -> bool:
    return _some_word_starts(secret.description or "", value)


def _everything(secret: SecretRecord, value: str) -> bool:
    tags = [part for tag in secret.tags or () for part in tag]
    words = [w for text in (secret.name, secret.description or "", *tags) for w in _words(text)]
    return all(any(word.startswith(part) for word in words) for part in _words(value))


_TESTS: dict[str, Callable[[SecretRecord, str], bool]] = {
    "name": lambda secret, value: secret.name.startswith(value),
    "description": _description,
    "tag-key": lambda secret, value: any(k.startswith(value) for k, _ in secret.tags or ()),
    "tag-value": lambda secret, value: any(v.startswith(value) for _, v in secret.tags or ()),
    "primary-region": lambda secret, value: (secret.primary_region or "").startswith(value or "\0"),
    "owning-service": lambda secret, value: (secret.owning_service or "").startswith(value or "\0"),
    "all": _everything,
}
