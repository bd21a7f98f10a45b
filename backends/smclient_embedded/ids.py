"""Randomness as an argument: ids, ARN suffixes and choices come from one replaceable source."""

from __future__ import annotations

import os
import random
import secrets
import string
from collections.abc import Sequence
from typing import Protocol, TypeVar

T = TypeVar("T")

_SUFFIX_ALPHABET = string.ascii_letters + string.digits


_VERSION_4 = (4 << 76) | (0b10 << 62)
_FREE_BITS = (1 << 128) - 1 & ~((0b1111 << 76) | (0b11 << 62))
_random = random.Random()  # noqa: S311  seeded by the system; these ids are unique, not secret
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_random.seed)


def random_uuid() -> str:
    """A UUID of version 4 as text. Unique, no secret; ``uuid.uuid4`` asks the system for each."""
    digits = (_random.getrandbits(128) & _FREE_BITS | _VERSION_4).to_bytes(16, "big").hex()
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


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
        return random_uuid()

    def suffix(self) -> str:
        """Six letters or digits."""
        return "".join(secrets.choice(_SUFFIX_ALPHABET) for _ in range(6))

    def choice(self, options: Sequence[T]) -> T:
        """One of the options, unbiased."""
        return secrets.choice(options)

    def shuffle(self, items: list[T]) -> None:
        """A random order, unbiased."""
        secrets.SystemRandom().shuffle(items)
