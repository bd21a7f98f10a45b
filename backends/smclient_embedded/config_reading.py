"""Reading a configuration file: TOML or JSON, every fault with its file and key."""

from __future__ import annotations

import json
import os
import stat
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from smclient.errors import ConfigError


def read_file(path: Path) -> Table:
    """The top of a file: TOML if its name ends so, else JSON.

    Raises:
        ConfigError: it cannot be read, is neither, or no table.
    """
    return Table(path, "", content_of(path, str(path)))


def content_of(path: Path, called: str) -> Any:
    """What a file says: TOML if its name ends so, else JSON; ``called`` is its name in messages.

    Raises:
        ConfigError: it cannot be read, or is neither. Nothing of it is repeated.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8"
        raise ConfigError(f"{called} cannot be read: {reason}") from None
    is_toml = path.suffix == ".toml"
    try:
        return tomllib.loads(text) if is_toml else json.loads(text)
    except (ValueError, RecursionError) as error:  # its text may repeat the file's
        where = f", line {error.lineno}" if isinstance(error, json.JSONDecodeError) else ""
        raise ConfigError(f"{called}{where} is not {'TOML' if is_toml else 'JSON'}") from None


@dataclass(slots=True)
class Table:
    """A table of a file that knows where it stands, and what of it was read."""

    path: Path
    where: str
    content: Any
    _read: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        if not isinstance(self.content, Mapping):
            raise self.fault("has to be a table")

    def fault(self, what: str, key: str | None = None) -> ConfigError:
        """A fault at a key of this table, or of the table itself."""
        place = self._place(key) if key is not None else self.where
        return ConfigError(f"{self.path}: {place or 'it'} {what}")

    @contextmanager
    def faults(self, key: str | None = None) -> Iterator[None]:
        """A ``ConfigError`` inside becomes a fault at a key of this table, or of the table."""
        try:
            yield
        except ConfigError as error:
            raise self.fault(f"is wrong: {error}", key) from error

    def has(self, key: str) -> bool:
        """Whether there is such a key."""
        return key in self.content

    def get(self, key: str) -> Any:
        """Whatever there is, or ``None``."""
        self._read.add(key)
        return self.content.get(key)

    def text(self, key: str) -> str | None:
        """A text, or ``None``. Raises ``ConfigError`` if it is something else."""
        found = self.get(key)
        if found is not None and not isinstance(found, str):
            raise self.fault("has to be a text", key)
        return found

    def needed(self, key: str) -> str:
        """A text that has to be there. Raises ``ConfigError``."""
        found = self.text(key)
        if not found:
            raise self.fault("is missing", key)
        return found

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of texts, empty if there is none. Raises ``ConfigError``."""
        found = self.get(key)
        if found is None:
            return ()
        if not isinstance(found, list) or not all(isinstance(each, str) for each in found):
            raise self.fault("has to be a list of texts", key)
        return tuple(found)

    def pairs(self, key: str) -> dict[str, str] | None:
        """A table of texts, or ``None``. Raises ``ConfigError``."""
        found = self.get(key)
        if found is None:
            return None
        if not isinstance(found, Mapping) or not all(isinstance(v, str) for v in found.values()):
            raise self.fault("has to be a table of texts", key)
        return dict(found)

    def table(self, key: str) -> Table | None:
        """A table, or ``None``. Raises ``ConfigError``."""
        found = self.get(key)
        return None if found is None else Table(self.path, self._place(key), found)

    def tables(self, key: str) -> Iterator[Table]:
        """The tables of a list. Raises ``ConfigError``."""
        found = self.get(key)
        if found is None:
            return
        if not isinstance(found, list):
            raise self.fault("has to be a list of tables", key)
        for index, each in enumerate(found):
            yield Table(self.path, f"{self._place(key)}[{index}]", each)

    def document(self, key: str) -> Any:
        """A policy: a table, JSON text, or ``@file`` beside this one. Raises ``ConfigError``."""
        return self._document(self.get(key), self._place(key))

    def documents(self, key: str) -> Any:
        """Policies: one, a list of them, or a table of names and policies; ``None`` for none."""
        found, place = self.get(key), self._place(key)
        if isinstance(found, list):
            return [self._document(each, f"{place}[{i}]") for i, each in enumerate(found)]
        if isinstance(found, Mapping) and "Statement" not in found:
            return {name: self._document(each, f"{place}.{name}") for name, each in found.items()}
        return self._document(found, place)

    def secret(self, key: str) -> str:
        """A secret: ``env:NAME``, ``@file``, or the text itself in a file that only its owner may
        read. Raises ``ConfigError``, which does not repeat it."""
        given = self.needed(key)
        if given.startswith("env:"):
            found = os.environ.get(given[4:])
            if not found:
                raise self.fault(f"names {given[4:]}, which is not in the environment", key)
            return found
        if given.startswith("@"):
            return self._file(given[1:], self._place(key)).strip()
        mode = self.path.stat().st_mode
        if os.name == "posix" and mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise self.fault(
                f"is a secret in a file that others may read: write env:NAME or @file, or chmod "
                f"600 {self.path}",
                key,
            )
        return given

    def done(self) -> None:
        """Everything was read. Raises ``ConfigError`` for a key that nobody reads."""
        left = sorted(str(key) for key in self.content if key not in self._read)
        if left:
            known = ", ".join(sorted(self._read))
            raise self.fault(f"is not known here; known are {known}", left[0])

    def _place(self, key: str) -> str:
        return f"{self.where}.{key}" if self.where else key

    def _document(self, given: Any, place: str) -> Any:
        if given is None or isinstance(given, Mapping):
            return given
        if not isinstance(given, str):
            raise ConfigError(f"{self.path}: {place} has to be a policy, JSON text or @file")
        return self._file(given[1:], place) if given.startswith("@") else given

    def _file(self, name: str, place: str) -> str:
        try:
            return (self.path.parent / name).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "it is not UTF-8"
            raise ConfigError(f"{self.path}: {place}: {name} cannot be read: {reason}") from None
