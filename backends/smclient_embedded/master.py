"""The master key: over all KMS keys, never in a store, and how another one takes its place.

A store remembers by which master key it was made (``CHECK``) and takes no other. Changing it
rewraps the material of every KMS key and the check in one transaction, so that after a crash the
store opens with the old key or with the new one, never with neither. Values are not touched.

A key may come from a passphrase. Then how it does, salt and parameters, is a setting of the store
too (``DERIVATION``), changed in the same transaction.
"""

from __future__ import annotations

import base64
import json
import os
import stat
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from smclient.errors import ConfigError
from smclient_embedded.disk import write_private
from smclient_embedded.kdf import MEMORY_HARD, Kdf, KdfRefused
from smclient_embedded.store.ports import Store, StoreError, Transaction

CHECK = "master-key-check"
"""The setting of a store that its master key is recognised by."""

DERIVATION = "master-key-derivation"
"""The setting that says how the master key comes from a passphrase; empty where it does not."""

ReadSetting = Callable[[str], bytes | None]
"""Reads a setting of a store."""

_LABEL = "smclient.master-key-check"
_KEY_BYTES = 32
_NONCE_BYTES = 12
_REMEMBERED = 4
_MOST_CIPHERS = 256
_LONGEST_DERIVATION = 1024


class MasterKeyError(StoreError):
    """The master key is absent, unreadable, or not the one that this store was made with."""


class MasterKey:
    """Wraps the material of KMS keys. Hides itself.

    Attributes:
        derivation: how it comes from a passphrase, if it does.
    """

    __slots__ = ("_cipher", "derivation")

    def __init__(self, material: bytes, derivation: Kdf | None = None) -> None:
        if len(material) != _KEY_BYTES:
            raise MasterKeyError(
                f"a master key has {_KEY_BYTES} bytes, this one has {len(material)}"
            )
        self._cipher = AESGCM(material)
        self.derivation = derivation

    @classmethod
    def random(cls) -> MasterKey:
        """A key that lives as long as this process."""
        return cls(os.urandom(_KEY_BYTES))

    @classmethod
    def from_base64(cls, text: str) -> MasterKey:
        """The key that a text of base64 holds, as a variable does.

        Raises:
            MasterKeyError: it holds none. The text is not repeated.
        """
        try:
            material = base64.b64decode(text.strip(), validate=True)
        except ValueError:
            raise MasterKeyError(f"a master key as text is base64 of {_KEY_BYTES} bytes") from None
        return cls(material)

    @classmethod
    def from_file(cls, path: Path, *, create: bool) -> MasterKey:
        """The key in a file of 32 bytes that only its owner may read; made anew if allowed.

        Raises:
            MasterKeyError: absent, too open, or not a key; or it cannot be made, and none is left.
        """
        if create and not path.exists():
            try:
                write_private(path, os.urandom(_KEY_BYTES))
            except OSError as error:
                raise MasterKeyError(
                    f"the master key file {path} cannot be made ({error.strerror}); make one "
                    "elsewhere, and name it with ?master_key_file= or SMCLIENT_MASTER_KEY_FILE"
                ) from error
        try:
            mode = path.stat().st_mode
            material = path.read_bytes()
        except OSError as error:
            raise MasterKeyError(
                f"the master key file {path} cannot be read ({error.strerror}); name it with "
                "?master_key_file= or SMCLIENT_MASTER_KEY_FILE, or give the key in "
                "SMCLIENT_MASTER_KEY. Without it the store is useless."
            ) from error
        if os.name == "posix" and mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise MasterKeyError(f"the master key file {path} is open to others: chmod 600 {path}")
        return cls(material)

    def wrap(self, material: bytes, label: str) -> bytes:
        """Seal key material, bound to a label."""
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, material, label.encode())

    def unwrap(self, wrapped: bytes, label: str) -> bytes:
        """Open key material. Raises ``MasterKeyError`` if this is not the key it was wrapped by."""
        try:
            nonce, sealed = wrapped[:_NONCE_BYTES], wrapped[_NONCE_BYTES:]
            return self._cipher.decrypt(nonce, sealed, label.encode())
        except InvalidTag:
            raise MasterKeyError(
                f"the master key does not open {label}: it is not the one this store was made "
                "with, or the store is damaged"
            ) from None

    def check(self) -> bytes:
        """What a store keeps to recognise its master key by."""
        return self.wrap(_LABEL.encode(), _LABEL)

    def verify(self, check: bytes) -> None:
        """Raises ``MasterKeyError`` if ``check`` was made by another key."""
        self.unwrap(check, _LABEL)

    def __repr__(self) -> str:
        return "MasterKey(***)"

    def __reduce__(self) -> str:
        raise TypeError("a master key refuses pickling")


class Passphrase:
    """A master key as people and variables hold it. Hides itself.

    A key is derived from it for each store anew: with Argon2id, with scrypt where OpenSSL lacks it.

    Raises:
        MasterKeyError: it is empty.
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        if not text.strip():
            raise MasterKeyError("an empty passphrase protects nothing")
        self._text = text

    def key(self, derivation: Kdf | None = None) -> MasterKey:
        """The key that it gives; by a new derivation, unless there is one. Takes some 0.2 s, and
        64 MiB of memory.

        Raises:
            MasterKeyError: this machine cannot derive so.
        """
        try:
            derivation = derivation or Kdf.choose()
            return MasterKey(derivation.derive(self._text), derivation)
        except KdfRefused as error:
            raise MasterKeyError(f"no key can be derived from the passphrase: {error}") from None

    def __repr__(self) -> str:
        return "Passphrase(***)"

    def __reduce__(self) -> str:
        raise TypeError("a passphrase refuses pickling")


def new_key(given: MasterKey | Passphrase) -> MasterKey:
    """The key for a store that is not under it yet. Raises ``MasterKeyError``."""
    return given.key() if isinstance(given, Passphrase) else given


class Wrapping(Protocol):
    """Seals and opens the material of KMS keys."""

    def wrap(self, material: bytes, label: str) -> bytes:
        """Seal it, bound to a label."""
        ...

    def cipher(self, wrapped: bytes, label: str) -> AESGCM:
        """The material, ready to encrypt and decrypt with. Raises ``MasterKeyError``."""
        ...


class MasterKeys:
    """The master key of an open store, and those before it: a reader may still see the store as it
    was before a rotation, or before the last few."""

    def __init__(self, master: MasterKey) -> None:
        self._known: tuple[MasterKey, ...] = (master,)
        self._ciphers: dict[tuple[bytes, str], AESGCM] = {}
        self._rotating = threading.Lock()

    def within(self, setting: ReadSetting) -> Wrapping:
        """The keys as one transaction has to use them; ``setting`` reads the store's settings."""
        return _Within(self, setting)

    def of(self, check: bytes | None) -> MasterKey:
        """The key that a store with this check is under, the newest without one.

        Raises:
            MasterKeyError: it is another one; somebody else changed it meanwhile.
        """
        for master in self._known if check is not None else ():
            try:
                master.verify(check or b"")
            except MasterKeyError:
                continue
            return master
        if check is None:
            return self._known[0]
        raise MasterKeyError(
            "the master key of this store was changed by another process: start again with the "
            "new one"
        )

    def unwrap(self, wrapped: bytes, label: str) -> bytes:
        """Open key material with whichever key it is under. Raises ``MasterKeyError``."""
        first, *others = self._known
        try:
            return first.unwrap(wrapped, label)
        except MasterKeyError:
            for master in others:
                try:
                    return master.unwrap(wrapped, label)
                except MasterKeyError:
                    continue
            raise

    def cipher(self, wrapped: bytes, label: str) -> AESGCM:
        """Key material as a cipher, kept while it is wrapped so. Raises ``MasterKeyError``."""
        found = self._ciphers.get((wrapped, label))
        if found is None:
            found = AESGCM(self.unwrap(wrapped, label))
            if len(self._ciphers) >= _MOST_CIPHERS:
                self._ciphers = {}
            self._ciphers[wrapped, label] = found
        return found

    def rotate(self, store: Store, new: MasterKey) -> int:
        """Put a store under another master key, while it is in use. Returns how many KMS keys were
        rewrapped.

        Raises:
            ConfigError: the store brings its own keys.
            MasterKeyError, StoreError: nothing was changed.
        """
        if store.keyring() is not None:
            raise ConfigError("this store brings its own keys; it is under no master key")
        with self._rotating:
            before = self._known
            try:
                with store.transaction(write=True) as tx:
                    old = self.of(tx.setting(CHECK))
                    others = (master for master in before if master not in (new, old))
                    # from here on either opens: nobody need wait
                    self._known = (new, old, *others)[:_REMEMBERED]
                    rewrapped = 0
                    for scope in tx.scopes():
                        for key in tx.keys(scope):
                            material = old.unwrap(key.wrapped_material, key.arn)
                            wrapped = new.wrap(material, key.arn)
                            tx.put_key(replace(key, wrapped_material=wrapped))
                            rewrapped += 1
                    remember(tx, new)
                self._ciphers = {}
            except BaseException:
                # a commit that failed late may have been one
                self._known = (*before[: _REMEMBERED - 1], new)
                raise
            return rewrapped


class _Within:
    __slots__ = ("_masters", "_setting")

    def __init__(self, masters: MasterKeys, setting: ReadSetting) -> None:
        self._masters = masters
        self._setting = setting

    def wrap(self, material: bytes, label: str) -> bytes:
        """By the key that the store is under in this very transaction, whatever is rotated."""
        return self._masters.of(self._setting(CHECK)).wrap(material, label)

    def cipher(self, wrapped: bytes, label: str) -> AESGCM:
        """See ``MasterKeys.cipher``."""
        return self._masters.cipher(wrapped, label)


# --- what a store says of its master key ----------------------------------------------------------


def remember(tx: Transaction, master: MasterKey) -> None:
    """Have a store say that it is under this key."""
    tx.put_setting(CHECK, master.check())
    how = master.derivation
    if how is not None:
        said = {"kdf": how.name, **how.parameters, "salt": base64.b64encode(how.salt).decode()}
        tx.put_setting(DERIVATION, json.dumps(said).encode())
    elif tx.setting(DERIVATION):
        tx.put_setting(DERIVATION, b"")


def derivation_of(setting: ReadSetting) -> Kdf | None:
    """How the master key of a store comes from a passphrase, if it does. Whoever can write the
    store can write this too, so it is checked before any work is done.

    Raises:
        MasterKeyError: it is damaged, or outside the bounds.
    """
    raw = setting(DERIVATION)
    if not raw:
        return None
    try:
        return _derivation(raw)
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
        reason = f": {error}" if isinstance(error, KdfRefused) else ""
        raise MasterKeyError(
            f"what the store says of its passphrase cannot be{reason}; nothing was derived. The "
            "store is damaged, or somebody changed it"
        ) from None


def _derivation(raw: bytes) -> Kdf:
    if len(raw) > _LONGEST_DERIVATION:
        raise ValueError("too long")
    said = json.loads(raw)
    name, salt = said.pop("kdf"), base64.b64decode(said.pop("salt"), validate=True)
    if name not in MEMORY_HARD:
        raise KdfRefused("it is derived by none of " + ", ".join(sorted(MEMORY_HARD)))
    if not all(type(parameter) is int for parameter in said.values()):
        raise TypeError("no number")
    derivation = Kdf(name, said, salt)
    derivation.check()
    return derivation
