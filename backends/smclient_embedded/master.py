"""The master key: over all KMS keys, never in a store, and how another one takes its place.

A store remembers by which master key it was made (``CHECK``) and takes no other. Changing it
rewraps the material of every KMS key and the check in one transaction, so that after a crash the
store opens with the old key or with the new one, never with neither. Values are not touched.
"""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from smclient.backend import BackendUrl
from smclient.errors import ConfigError
from smclient_embedded.store.ports import Store, StoreError

CHECK = "master-key-check"
"""The setting of a store that its master key is recognised by."""

MASTER_KEY_FILE = "SMCLIENT_MASTER_KEY_FILE"
_LABEL = "smclient.master-key-check"
_KEY_BYTES = 32
_NONCE_BYTES = 12
_REMEMBERED = 4
_MOST_CIPHERS = 256


class MasterKeyError(StoreError):
    """The master key is absent, unreadable, or not the one that this store was made with."""


class MasterKey:
    """Wraps the material of KMS keys. Hides itself."""

    __slots__ = ("_cipher",)

    def __init__(self, material: bytes) -> None:
        if len(material) != _KEY_BYTES:
            raise MasterKeyError(
                f"a master key has {_KEY_BYTES} bytes, this one has {len(material)}"
            )
        self._cipher = AESGCM(material)

    @classmethod
    def random(cls) -> MasterKey:
        """A key that lives as long as this process."""
        return cls(os.urandom(_KEY_BYTES))

    @classmethod
    def from_file(cls, path: Path, *, create: bool) -> MasterKey:
        """The key in a file of 32 bytes that only its owner may read; made anew if allowed.

        Raises:
            MasterKeyError: absent, too open, or not a key.
        """
        if create and not path.exists():
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(os.urandom(_KEY_BYTES))
                file.flush()
                os.fsync(file.fileno())
        try:
            mode = path.stat().st_mode
            material = path.read_bytes()
        except OSError as error:
            raise MasterKeyError(
                f"the master key file {path} cannot be read ({error.strerror}); name it with "
                "?master_key_file= or SMCLIENT_MASTER_KEY_FILE. Without it the store is useless."
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

    def within(self, setting: Callable[[str], bytes | None]) -> Wrapping:
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
                    tx.put_setting(CHECK, new.check())
                self._ciphers = {}
            except BaseException:
                # a commit that failed late may have been one
                self._known = (*before[: _REMEMBERED - 1], new)
                raise
            return rewrapped


class _Within:
    __slots__ = ("_masters", "_setting")

    def __init__(self, masters: MasterKeys, setting: Callable[[str], bytes | None]) -> None:
        self._masters = masters
        self._setting = setting

    def wrap(self, material: bytes, label: str) -> bytes:
        """By the key that the store is under in this very transaction, whatever is rotated."""
        return self._masters.of(self._setting(CHECK)).wrap(material, label)

    def cipher(self, wrapped: bytes, label: str) -> AESGCM:
        """See ``MasterKeys.cipher``."""
        return self._masters.cipher(wrapped, label)


# --- when a store is opened -----------------------------------------------------------------------


def recognised(store: Store, url: BackendUrl, given: MasterKey | None) -> MasterKey:
    """The master key of a store. A key file is made only for a store that is new, so a lost one is
    never papered over.

    Raises:
        MasterKeyError: it cannot be read, or is not the one that the store was made with.
    """
    if store.keyring() is not None:
        return given or MasterKey.random()
    with store.transaction(write=True) as tx:
        check = tx.setting(CHECK)
        master = given or named_master_key(url, is_new=check is None)
        if check is None:
            tx.put_setting(CHECK, master.check())
        else:
            master.verify(check)
    return master


def named_master_key(url: BackendUrl, *, is_new: bool) -> MasterKey:
    """The key that a URL or the environment names, else the file beside an SQLite store; for a
    store in memory one that dies with the process. Others have no place of their own for a key
    file, so it must be named. Raises ``MasterKeyError``."""
    named = url.options.get("master_key_file") or os.environ.get(MASTER_KEY_FILE)
    if named:
        return MasterKey.from_file(Path(named), create=False)
    if url.scheme.startswith("embedded+"):
        raise MasterKeyError(
            f"an {url.scheme}: store needs its master key named, with ?master_key_file= or "
            f"{MASTER_KEY_FILE}: the same file of {_KEY_BYTES} random bytes, mode 0600, on every "
            f"node. To make one: (umask 077; head -c {_KEY_BYTES} /dev/urandom > master.key)"
        )
    if not url.path:
        return MasterKey.random()
    return MasterKey.from_file(Path(url.path + ".key"), create=is_new)
