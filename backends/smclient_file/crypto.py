"""Keys and seals of one store: a root key, keys derived from it, a data key for each version.

    root key ─HKDF─┬─ wrap key of an epoch ─ wraps ─ data key of a version ─ seals ─ its value
                   └─ MAC key of an epoch  ─ authenticates the whole file

Everything that says where a value belongs is authenticated with it, each part with its length
before it: format, store, ARN, version and kind with the value; the same and the epoch with its key.
"""

from __future__ import annotations

import hmac
import os
from dataclasses import dataclass
from typing import NoReturn

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from smclient_file.errors import FileStoreError

FORMAT = "SMSTORE 1"
KEY_BYTES = 32
NONCE_BYTES = 12
TAG_BYTES = 16

ALGORITHMS: dict[str, type[AESGCM] | type[ChaCha20Poly1305]] = {
    "A256GCM": AESGCM,
    "C20P1305": ChaCha20Poly1305,
}


class SealBroken(Exception):
    """A seal does not fit: changed, moved, or of another key. Callers say which value it was."""


def bound(*parts: str) -> bytes:
    """Parts as authenticated data; no two lists of parts give the same bytes."""
    encoded = (part.encode("utf-8", "surrogatepass") for part in parts)
    return b"".join(len(raw).to_bytes(4, "big") + raw for raw in encoded)


def derive(key: bytes | bytearray, salt: bytes, *info: str) -> bytes:
    """A key from a key, by HKDF-SHA256, for one purpose."""
    return HKDF(hashes.SHA256(), KEY_BYTES, salt, bound(FORMAT, *info)).derive(bytes(key))


@dataclass(frozen=True, slots=True)
class Place:
    """Where a value belongs. It opens nowhere else."""

    arn: str
    version_id: str
    kind: str


@dataclass(frozen=True, slots=True)
class Value:
    """A sealed value: its wrapped data key (nonce first), its nonce, its ciphertext."""

    wrapped_key: bytes
    nonce: bytes
    ciphertext: bytes

    def __repr__(self) -> str:
        return f"Value({len(self.ciphertext)} bytes)"


class StoreKeys:
    """The root key of a store, and what is derived from it. Hides itself.

    ``wipe`` ends it: whoever works with it afterwards gets a ``FileStoreError``.
    """

    def __init__(self, root: bytes, *, store_id: str, algorithm: str = "A256GCM") -> None:
        if len(root) != KEY_BYTES:
            raise ValueError("a root key has 32 bytes")
        self._root = bytearray(root)
        self._cipher = ALGORITHMS[algorithm]
        self._wrapping: dict[int, AESGCM | ChaCha20Poly1305] = {}
        self._wiped = False
        self.store_id = store_id
        self.algorithm = algorithm

    @classmethod
    def random(cls, *, store_id: str, algorithm: str = "A256GCM") -> StoreKeys:
        """A new root key."""
        return cls(os.urandom(KEY_BYTES), store_id=store_id, algorithm=algorithm)

    def root(self) -> bytes:
        """The root key itself, for a slot to wrap."""
        return bytes(self._root)

    def same_root(self, other: StoreKeys) -> bool:
        """Whether both are of one root key."""
        return hmac.compare_digest(self._root, other._root)

    def mac(self, data: bytes | memoryview, epoch: int) -> str:
        """The MAC over a file, in hex."""
        key = self._derived("mac", epoch)
        return hmac.digest(key, data, "sha256").hex()

    def seal(self, plaintext: bytes, place: Place, epoch: int) -> Value:
        """Seal a value for a place under a data key of its own."""
        data_key, nonce = os.urandom(KEY_BYTES), os.urandom(NONCE_BYTES)
        sealed = self._cipher(data_key).encrypt(nonce, plaintext, self._of_value(place))
        return Value(self._wrap(data_key, place, epoch), nonce, sealed)

    def open(self, value: Value, place: Place, epoch: int) -> bytes:
        """Open a value. Raises ``SealBroken``."""
        data_key = self._unwrap(value.wrapped_key, place, epoch)
        try:
            aad = self._of_value(place)
            return self._cipher(data_key).decrypt(value.nonce, value.ciphertext, aad)
        except (InvalidTag, ValueError):
            raise SealBroken from None

    def rewrap(self, value: Value, place: Place, epoch: int, to: StoreKeys, new: int) -> Value:
        """The same sealed value with its data key under another epoch, or other keys of the store.

        Raises ``SealBroken``.
        """
        data_key = self._unwrap(value.wrapped_key, place, epoch)
        return Value(to._wrap(data_key, place, new), value.nonce, value.ciphertext)

    def wipe(self) -> None:
        """Overwrite the root key. Copies that Python made meanwhile are out of reach."""
        self._wiped = True
        self._root[:] = bytes(len(self._root))
        self._wrapping.clear()

    def __repr__(self) -> str:
        return "StoreKeys(***)"

    def __reduce__(self) -> NoReturn:
        raise TypeError("keys refuse pickling")

    # --- inside ---------------------------------------------------------------------------------

    def _of_value(self, place: Place) -> bytes:
        return bound(FORMAT, self.store_id, place.arn, place.version_id, place.kind)

    def _of_key(self, place: Place, epoch: int) -> bytes:
        return self._of_value(place) + bound("epoch", str(epoch))

    def _wrap_key(self, epoch: int) -> AESGCM | ChaCha20Poly1305:
        known = self._wrapping.get(epoch)
        if known is None:
            known = self._wrapping[epoch] = self._cipher(self._derived("wrap", epoch))
        return known

    def _derived(self, purpose: str, epoch: int) -> bytes:
        key = derive(self._root, self.store_id.encode(), purpose, str(epoch))
        if self._wiped:  # asked afterwards: the root may have been overwritten while it was read
            raise FileStoreError(
                f"store {self.store_id}",
                "its keys were wiped: it was closed, or this process forked",
                part="keys",
                remedy="open it anew",
            )
        return key

    def _wrap(self, data_key: bytes, place: Place, epoch: int) -> bytes:
        nonce = os.urandom(NONCE_BYTES)
        return nonce + self._wrap_key(epoch).encrypt(nonce, data_key, self._of_key(place, epoch))

    def _unwrap(self, wrapped: bytes, place: Place, epoch: int) -> bytes:
        nonce, sealed = wrapped[:NONCE_BYTES], wrapped[NONCE_BYTES:]
        try:
            return self._wrap_key(epoch).decrypt(nonce, sealed, self._of_key(place, epoch))
        except (InvalidTag, ValueError):
            raise SealBroken from None
