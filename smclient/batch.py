"""Many ids to few calls: pages of 20 for BatchGetSecretValue, and the result of reading many."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from smclient.errors import SmclientError
from smclient.secret import SecretValue

PAGE = 20
"""Ids that one BatchGetSecretValue takes (the service model's own limit)."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Many secrets read at once: a value or an error for each id, as it was asked."""

    values: dict[str, SecretValue] = field(default_factory=dict)
    errors: dict[str, SmclientError] = field(default_factory=dict)

    def raise_for_errors(self) -> Batch:
        """This batch, if every id has a value; else the first error."""
        for error in self.errors.values():
            raise error
        return self


def pages(secret_ids: Iterable[str], size: int = PAGE) -> Iterator[list[str]]:
    """The ids in order, each once, in lists of at most ``size``."""
    ids = list(dict.fromkeys(secret_ids))
    for start in range(0, len(ids), size):
        yield ids[start : start + size]
