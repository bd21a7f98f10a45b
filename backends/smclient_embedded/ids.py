"""Randomness as an argument: ids, ARN suffixes and choices come from one replaceable source."""

from __future__ import annotations

import secrets
import string
import uuid
from collections.abc import Sequence
from typing import Protocol, TypeVar

T = TypeVar("T")

_SUFFIX_ALPHABET = string.ascii_letters + string.digits


class Ids(Protocol):
    """Where ids and random choices come from."""

    def uuid(self) -> str:
        """A new UUID as text."""
        ...

    def suffix(self) -> str:
        """The six random characters that end a secret's ARN."""
        ...

    def choice(self, options: Sequence[T]) -> T:
        """One of the options, each as likely."""
        ...

    def shuffle(self, items: list[T]) -> None:
        """Put a list into random order."""
        ...


class SystemIds:
    """Ids from the operating system's randomness."""

    def uuid(self) -> str:
        """A random UUID."""
        return str(uuid.uuid4())

    def suffix(self) -> str:
        """Six letters or digits."""
        return "".join(secrets.choice(_SUFFIX_ALPHABET) for _ in range(6))

    def choice(self, options: Sequence[T]) -> T:
        """One of the options, unbiased."""
        return secrets.choice(options)

    def shuffle(self, items: list[T]) -> None:
        """A random order, unbiased."""
        secrets.SystemRandom().shuffle(items)
