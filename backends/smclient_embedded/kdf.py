"""From a passphrase to a key: Argon2id, scrypt where OpenSSL lacks it, PBKDF2 where FIPS is asked.

Parameters come from a store that may be hostile, so they are checked before any work is done: too
weak would let a thief guess, too strong would exhaust the machine.
"""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass

from cryptography.exceptions import UnsupportedAlgorithm

KEY_BYTES = 32

ARGON2ID, SCRYPT, PBKDF2 = "argon2id", "scrypt", "pbkdf2-sha256"
MEMORY_HARD = frozenset({ARGON2ID, SCRYPT})

BOUNDS: Mapping[str, Mapping[str, tuple[int, int]]] = {
    ARGON2ID: {"m": (19 * 1024, 2 * 1024 * 1024), "t": (2, 10), "p": (1, 16)},
    SCRYPT: {"cost": (2**15, 2**20), "r": (8, 8), "p": (1, 4)},
    PBKDF2: {"i": (600_000, 10_000_000)},
}
"""What is accepted on reading. ``m`` is in KiB, as Argon2 counts."""

DEFAULTS: Mapping[str, Mapping[str, int]] = {
    ARGON2ID: {"m": 64 * 1024, "t": 3, "p": 4},  # RFC 9106, second recommendation
    SCRYPT: {"cost": 2**17, "r": 8, "p": 1},
    PBKDF2: {"i": 1_000_000},
}

LOWEST: Mapping[str, Mapping[str, int]] = {
    name: {parameter: low for parameter, (low, _) in bounds.items()}
    for name, bounds in BOUNDS.items()
}
"""The cheapest that is accepted; for tests."""

_SALT_BYTES = 16


class KdfRefused(ValueError):
    """Parameters outside the bounds, or a derivation that this machine cannot do."""


@dataclass(frozen=True, slots=True)
class Kdf:
    """A derivation with its parameters, as a store carries it."""

    name: str
    parameters: Mapping[str, int]
    salt: bytes

    @classmethod
    def choose(cls, name: str | None = None, **parameters: int) -> Kdf:
        """A new derivation: by name, else Argon2id where OpenSSL has it, else scrypt.

        Raises:
            KdfRefused: unknown, or parameters outside the bounds.
        """
        name = name or (ARGON2ID if has_argon2() else SCRYPT)
        if name not in DEFAULTS:
            raise KdfRefused(f"there is no key derivation {name!r}; known: {', '.join(DEFAULTS)}")
        kdf = cls(name, {**DEFAULTS[name], **parameters}, os.urandom(_SALT_BYTES))
        kdf.check()
        return kdf

    def check(self) -> None:
        """Raises ``KdfRefused`` unless every parameter is within its bounds."""
        bounds = BOUNDS.get(self.name)
        if bounds is None or set(bounds) != set(self.parameters):
            raise KdfRefused(f"the key derivation {self.name!r} is not known")
        for parameter, (low, high) in bounds.items():
            given = self.parameters[parameter]
            if not low <= given <= high:
                raise KdfRefused(f"{self.name} with {parameter}={given}, outside {low}..{high}")
        if self.name == SCRYPT and self.parameters["cost"].bit_count() != 1:
            raise KdfRefused(
                f"scrypt with cost={self.parameters['cost']}, which is no power of two"
            )
        if len(self.salt) != _SALT_BYTES:
            raise KdfRefused(f"a salt of {len(self.salt)} bytes instead of {_SALT_BYTES}")

    def cost(self) -> float:
        """The work as a share of the most that one derivation may be."""
        bounds = BOUNDS[self.name]
        share = 1.0
        for parameter, (_, high) in bounds.items():
            if not (self.name == ARGON2ID and parameter == "p"):
                share *= self.parameters[parameter] / high
        return share

    def derive(self, passphrase: str) -> bytes:
        """The key of a passphrase, which is taken in Unicode's composed form (NFC).

        Raises:
            KdfRefused: this build of OpenSSL lacks it, or memory does not suffice.
        """
        self.check()
        secret = unicodedata.normalize("NFC", passphrase).encode("utf-8", "surrogatepass")
        try:
            return self._derive(secret)
        except UnsupportedAlgorithm:
            raise KdfRefused(
                f"this build of OpenSSL has no {self.name}; install cryptography from its wheel, "
                "or take scrypt for it where the store opens"
            ) from None
        except MemoryError:
            raise KdfRefused(
                f"{self.name} with {dict(self.parameters)} needs more memory than there is"
            ) from None

    def _derive(self, secret: bytes) -> bytes:
        given = self.parameters  # what is imported takes time, and few stores have a passphrase
        if self.name == ARGON2ID:
            from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

            return Argon2id(
                salt=self.salt,
                length=KEY_BYTES,
                iterations=given["t"],
                lanes=given["p"],
                memory_cost=given["m"],
            ).derive(secret)
        if self.name == SCRYPT:
            from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

            return Scrypt(
                salt=self.salt, length=KEY_BYTES, n=given["cost"], r=given["r"], p=given["p"]
            ).derive(secret)
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.kdf.pbkdf2 import PBKDF2HMAC

        return PBKDF2HMAC(hashes.SHA256(), KEY_BYTES, self.salt, given["i"]).derive(secret)


def has_argon2() -> bool:
    """Whether this build of cryptography and OpenSSL has Argon2id."""
    try:
        from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

        Argon2id(salt=bytes(16), length=KEY_BYTES, iterations=1, lanes=1, memory_cost=8)
    except (ImportError, UnsupportedAlgorithm):
        return False
    return True
