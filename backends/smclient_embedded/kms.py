"""Keys and envelopes: each value under a data key of its own, each data key under a KMS key, each
KMS key under the master key, which is never in a store.

AES-256-GCM throughout. The encryption context (ARN and version id, as AWS sets it) is authenticated
with both the data key and the value, so that neither opens anywhere else.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from smclient_embedded.errors import (
    DecryptionFailure,
    EncryptionFailure,
    InvalidParameterException,
)
from smclient_embedded.store.ports import StoreError
from smclient_embedded.store.records import KeyRecord, Scope, Sealed

MANAGED_ALIAS = "alias/aws/secretsmanager"
_KEY_BYTES = 32
_NONCE_BYTES = 12
_CHECK = "smclient.master-key-check"


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
        return self.wrap(_CHECK.encode(), _CHECK)

    def verify(self, check: bytes) -> None:
        """Raises ``MasterKeyError`` if ``check`` was made by another key."""
        self.unwrap(check, _CHECK)

    def __repr__(self) -> str:
        return "MasterKey(***)"

    def __reduce__(self) -> str:
        raise TypeError("a master key refuses pickling")


class KeyRepository(Protocol):
    """Where KMS keys are kept; a store's transaction is one."""

    def key(self, arn: str) -> KeyRecord | None:
        """A key by ARN."""
        ...

    def keys(self, scope: Scope) -> Sequence[KeyRecord]:
        """The keys of a scope."""
        ...

    def put_key(self, record: KeyRecord) -> None:
        """Keep a key."""
        ...


@dataclass(frozen=True, slots=True)
class Kms:
    """The keys of one scope, in one transaction: the ``Keyring`` of stores without their own."""

    master: MasterKey
    keys: KeyRepository
    scope: Scope
    now: datetime
    new_id: Callable[[], str]

    def seal(self, plaintext: bytes, *, key_id: str | None, context: Mapping[str, str]) -> Sealed:
        """See ``Keyring.seal``."""
        key = self.managed_key() if key_id is None else self.resolve(key_id)
        if key.state != "Enabled":
            raise EncryptionFailure(
                f"Secrets Manager can't encrypt the secret value: {_unusable(key, self.new_id())}"
            )
        data_key, nonce = os.urandom(_KEY_BYTES), os.urandom(_NONCE_BYTES)
        bound = _bound(key.arn, context)
        wrapping_nonce = os.urandom(_NONCE_BYTES)
        wrapped = self._cipher(key).encrypt(wrapping_nonce, data_key, bound)
        return Sealed(
            key_id=key.arn,
            wrapped_key=wrapping_nonce + wrapped,
            nonce=nonce,
            ciphertext=AESGCM(data_key).encrypt(nonce, plaintext, bound),
            context=dict(context),
        )

    def open(self, sealed: Sealed) -> bytes:
        """See ``Keyring.open``."""
        key = self.keys.key(sealed.key_id)
        if key is None:
            raise DecryptionFailure(
                f"Secrets Manager can't decrypt the secret value: Key '{sealed.key_id}' does not "
                f"exist {_tail('NotFoundException', self.new_id())}"
            )
        if key.state != "Enabled":
            raise DecryptionFailure(
                f"Secrets Manager can't decrypt the secret value: {_unusable(key, self.new_id())}"
            )
        bound = _bound(key.arn, sealed.context)
        nonce, wrapped = sealed.wrapped_key[:_NONCE_BYTES], sealed.wrapped_key[_NONCE_BYTES:]
        try:
            data_key = self._cipher(key).decrypt(nonce, wrapped, bound)
            return AESGCM(data_key).decrypt(sealed.nonce, sealed.ciphertext, bound)
        except InvalidTag:
            raise DecryptionFailure(
                "Secrets Manager can't decrypt the secret value: the ciphertext was changed or "
                f"moved {_tail('InvalidCiphertextException', self.new_id())}"
            ) from None

    def managed_key(self) -> KeyRecord:
        """``alias/aws/secretsmanager`` of this scope, made when first used."""
        for key in self.keys.keys(self.scope):
            if key.managed:
                return key
        return self.create_key(managed=True)

    def create_key(self, *, managed: bool = False, alias: str | None = None) -> KeyRecord:
        """A new key in this scope."""
        key_id = self.new_id()
        arn = f"arn:aws:kms:{self.scope.region}:{self.scope.account}:key/{key_id}"
        record = KeyRecord(
            arn=arn,
            scope=self.scope,
            key_id=key_id,
            managed=managed,
            created_at=self.now,
            wrapped_material=self.master.wrap(os.urandom(_KEY_BYTES), arn),
            alias=MANAGED_ALIAS if managed else alias,
        )
        self.keys.put_key(record)
        return record

    def resolve(self, key_id: str) -> KeyRecord:
        """The key of an id, an ARN or an alias, in AWS's words if there is none.

        Raises:
            InvalidParameterException
        """
        place = f"arn:aws:kms:{self.scope.region}:{self.scope.account}"
        short = key_id.removeprefix(place + ":")
        if short == MANAGED_ALIAS:
            return self.managed_key()
        for key in self.keys.keys(self.scope):
            if short in (key.key_id, "key/" + key.key_id, key.arn) or short == key.alias:
                return key
        if short.startswith("alias/"):
            said = f"Alias {place}:{short} is not found."
        elif short.startswith(("key/", "arn:")) or short.count("-") == 4:
            arn = short if short.startswith("arn:") else f"{place}:key/{short.removeprefix('key/')}"
            said = f"Key '{arn}' does not exist"
        else:
            said = f"Invalid keyId '{short}'"
        raise InvalidParameterException(
            f"The operation failed because of an invalid KMS key: {said} "
            f"{_tail('NotFoundException', self.new_id())}"
        )

    def _cipher(self, key: KeyRecord) -> AESGCM:
        return AESGCM(self.master.unwrap(key.wrapped_material, key.arn))


def _bound(key_arn: str, context: Mapping[str, str]) -> bytes:
    """The authenticated data: every part with its length before it, so none can be confused."""
    parts = [key_arn, *(part for pair in sorted(context.items()) for part in pair)]
    return b"".join(len(p.encode()).to_bytes(4, "big") + p.encode() for p in parts)


def _unusable(key: KeyRecord, request_id: str) -> str:
    if key.state == "Disabled":
        return f"{key.arn} is disabled. {_tail('DisabledException', request_id)}"
    return f"{key.arn} is pending deletion. {_tail('KMSInvalidStateException', request_id)}"


def _tail(code: str, request_id: str) -> str:
    return (
        f"(Service: AWSKMS; Status Code: 400; Error Code: {code}; "
        f"Request ID: {request_id}; Proxy: null)"
    )
