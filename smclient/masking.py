"""``Masker``: replaces, in text that is about to be shown, what a client holds just now."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterator
from typing import Any
from urllib.parse import quote, quote_plus

from smclient.client import SecretsClient
from smclient.errors import SecretContentError
from smclient.secret import MASK, LazySecret, SecretValue

PLAIN_FIELDS = frozenset(
    {"dbInstanceIdentifier", "dbClusterIdentifier", "dbname", "engine", "host", "masterarn", "port"}
    | {"username", "user"}
)
"""Fields of AWS's database secrets that say where and who, not with what."""
SHORTEST = 6
"""Text shorter than this is not looked for: it would be found everywhere."""


class Masker:
    """A callable from text to text in which every secret that the client holds is stars.

    Looks for whole values and for the texts in their JSON, as they are, percent-encoded and as
    JSON or Python writes them. What the client does not hold (yet, or any more) is not found, so
    this is a net under careful logging, not instead of it.

    Args:
        client: whose held values are looked for.
        plain_fields: fields of JSON values that are shown.
        shortest: texts of fewer characters are shown.
    """

    def __init__(
        self,
        client: SecretsClient,
        *,
        plain_fields: Collection[str] = PLAIN_FIELDS,
        shortest: int = SHORTEST,
    ) -> None:
        self._cache = client._cache  # not the client: whoever masks for it does not keep it
        self._plain = frozenset(plain_fields)
        self._shortest = shortest
        self._made: tuple[frozenset[tuple[str, str]], re.Pattern[str] | None] = (frozenset(), None)

    def __call__(self, text: str) -> str:
        """The text without secrets."""
        pattern = self._pattern()
        return text if pattern is None else pattern.sub(MASK, text)

    def deep(self, value: Any) -> Any:
        """The same for texts inside lists, tuples and dicts, however deep. Of anything else that
        would show a secret (an exception, bytes, an object) comes what it shows, masked; the rest
        as it is."""
        if isinstance(value, str):
            return self(value)
        if value is None or isinstance(value, int | float):
            return value
        if isinstance(value, dict):
            return {self.deep(key): self.deep(item) for key, item in value.items()}
        if type(value) in (list, tuple, set, frozenset):
            return type(value)(self.deep(item) for item in value)
        return self._unless_it_shows(value)

    def _unless_it_shows(self, value: Any) -> Any:
        if isinstance(value, LazySecret):
            return repr(value)  # which shows nothing; its text would be read for this
        kind: Any = type(value)
        shows: list[Callable[[object], str]] = [repr]
        if kind.__str__ is not object.__str__:  # else it is the same once more
            shows.append(str)
        for show in shows:
            try:
                text = show(value)
            except Exception:  # noqa: BLE001, S112  whatever it raises, whoever shows it is told
                continue
            if (masked := self(text)) != text:
                return masked
        return value

    def _pattern(self) -> re.Pattern[str] | None:
        values = self._cache.values()
        versions = frozenset((value.arn, value.version_id) for value in values)
        known, pattern = self._made
        if versions != known:
            texts = {form for value in values for form in self._forms(value)}
            longest_first = sorted(texts, key=len, reverse=True)
            pattern = re.compile("|".join(map(re.escape, longest_first))) if texts else None
            self._made = (versions, pattern)
        return pattern

    def _forms(self, value: SecretValue) -> Iterator[str]:
        for text in self._texts(value):
            if len(text) >= self._shortest:
                yield from (text, quote(text, safe=""), quote(text), quote_plus(text))
                yield from (json.dumps(text)[1:-1], repr(str(text))[1:-1])

    def _texts(self, value: SecretValue) -> Iterator[str]:
        if value.is_binary:
            yield repr(value.binary)[2:-1]
            return
        yield str(value.text)
        try:
            yield from self._leaves(value.json())
        except SecretContentError:
            return  # no JSON: it is text, and that is all of it

    def _leaves(self, parsed: Any) -> Iterator[str]:
        if isinstance(parsed, str):
            yield str(parsed)
        elif isinstance(parsed, dict):
            for field, item in parsed.items():
                if field not in self._plain:
                    yield from self._leaves(item)
        elif isinstance(parsed, list):
            for item in parsed:
                yield from self._leaves(item)
