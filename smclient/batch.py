"""Many ids to few calls: pages of 20 for BatchGetSecretValue, and the result of reading many."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from smclient.errors import ConfigError, SmclientError
from smclient.secret import SecretRef, SecretValue

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

    def update(self, other: Batch) -> None:
        """Take in what another batch brought."""
        self.values.update(other.values)
        self.errors.update(other.errors)

    def add(self, secret_id: str, result: SecretValue | Exception) -> None:
        """Take in what one id got. What is no ``SmclientError`` is raised: no backend meant it."""
        if isinstance(result, SmclientError):
            self.errors[secret_id] = result
        elif isinstance(result, Exception):
            raise result
        else:
            self.values[secret_id] = result

    def add_each(self, page: Iterable[str], one: Callable[[SecretRef], SecretValue]) -> None:
        """Read these ids one by one."""
        for secret_id in page:
            try:
                self.values[secret_id] = one(SecretRef(secret_id))
            except SmclientError as error:
                self.errors[secret_id] = error


def several(method: str, secret_ids: Iterable[str]) -> list[str]:
    """The ids; a single one given as it is would be read letter by letter. Raises ``ConfigError``
    for it."""
    if isinstance(secret_ids, str):
        raise ConfigError(f"{method} takes several ids, not one text: [{secret_ids!r}]")
    return list(secret_ids)


def pages(secret_ids: Iterable[str], size: int = PAGE) -> Iterator[list[str]]:
    """The ids in order, each once, in lists of at most ``size``."""
    ids = list(dict.fromkeys(secret_ids))
    for start in range(0, len(ids), size):
        yield ids[start : start + size]
