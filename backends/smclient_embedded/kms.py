"""Keys and envelopes: each value under a data key of its own, each data key under a KMS key, each
KMS key under the master key, which is never in a store.

AES-256-GCM throughout. The encryption context (ARN and version id, as AWS sets it) is authenticated
with both the data key and the value, so that neither opens anywhere else.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from smclient_embedded.errors import (
    DecryptionFailure,
    EncryptionFailure,
    InvalidParameterException,
)
from smclient_embedded.master import MasterKey, MasterKeyError, Wrapping
from smclient_embedded.store.ports import Keyring
from smclient_embedded.store.records import KeyRecord, Scope, Sealed, VersionRecord

__all__ = [
    "MANAGED_ALIAS",
    "Kms",
    "MasterKey",
    "MasterKeyError",
    "encryption_context",
    "open_version",
]

MANAGED_ALIAS = "alias/aws/secretsmanager"
_KEY_BYTES = 32
_NONCE_BYTES = 12


def encryption_context(arn: str, version_id: str) -> dict[str, str]:
    """What a value is bound to: its secret and its version, as AWS names them."""
    return {"SecretARN": arn, "SecretVersionId": version_id}


def open_version(keys: Keyring, version: VersionRecord) -> bytes:
    """The value of a version, if it was sealed for this very version; empty if it has none.

    Raises:
        DecryptionFailure: the key or the seal is not good, or the seal belongs elsewhere.
    """
    if version.sealed is None:
        return b""
    if dict(version.sealed.context) != encryption_context(version.arn, version.version_id):
        raise DecryptionFailure(
            "Secrets Manager can't decrypt the secret value: it was sealed for another version"
        )
    return keys.open(version.sealed)


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
class KeyUse:
    """A call that AWS would make to KMS: ``GenerateDataKey``, ``Decrypt`` or ``Encrypt``, the key,
    the encryption context; and with which code and message KMS refused it, if it did."""

    action: str
    key: KeyRecord
    context: Mapping[str, str]
    refused: tuple[str, str] | None = None


NoteUse = Callable[[KeyUse], object]
"""Is told of each use of a key."""

VALIDATION = "RequestToValidateKeyAccess"
"""The version id in the context of the calls that only try a key."""


def _unnoted(use: KeyUse) -> None:
    """Nobody notes it."""


@dataclass(frozen=True, slots=True)
class Kms:
    """The keys of one scope, in one transaction: the ``Keyring`` of stores without their own."""

    master: Wrapping
    keys: KeyRepository
    scope: Scope
    now: datetime
    new_id: Callable[[], str]
    used: NoteUse = _unnoted

    def seal(self, plaintext: bytes, *, key_id: str | None, context: Mapping[str, str]) -> Sealed:
        """See ``Keyring.seal``."""
        key = self.managed_key() if key_id is None else self.resolve(key_id)
        if key.state != "Enabled":
            self.used(_refused_use("GenerateDataKey", key, context))
            raise EncryptionFailure(
                f"Secrets Manager can't encrypt the secret value: {_unusable(key, self.new_id())}"
            )
        self.used(KeyUse("GenerateDataKey", key, context))
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
            self.used(_refused_use("Decrypt", key, sealed.context))
            raise DecryptionFailure(
                f"Secrets Manager can't decrypt the secret value: {_unusable(key, self.new_id())}"
            )
        self.used(KeyUse("Decrypt", key, sealed.context))
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

    def check_usable(self, key_id: str) -> None:
        """Refuse a key that a secret cannot be put under, in AWS's words.

        Raises:
            InvalidParameterException: there is no such key, or it is not enabled.
        """
        key = self.resolve(key_id)
        if key.state == "Disabled":
            raise InvalidParameterException(
                "The operation failed because the specified KMS key is disabled."
            )
        if key.state != "Enabled":
            raise InvalidParameterException(
                "The operation failed because of an invalid KMS key: "
                f"{_unusable(key, self.new_id())}"
            )
        if not key.managed:  # AWS tries a customer key with an empty value
            context = {"SecretVersionId": VALIDATION}
            self.used(KeyUse("GenerateDataKey", key, context))
            self.used(KeyUse("Decrypt", key, context))

    def _cipher(self, key: KeyRecord) -> AESGCM:
        return AESGCM(self.master.unwrap(key.wrapped_material, key.arn))


def _bound(key_arn: str, context: Mapping[str, str]) -> bytes:
    """The authenticated data: every part with its length before it, so none can be confused."""
    parts = [key_arn]
    for pair in sorted(context.items()):
        parts += pair
    encoded = [part.encode() for part in parts]
    return b"".join([len(part).to_bytes(4, "big") + part for part in encoded])


def _unusable(key: KeyRecord, request_id: str) -> str:
    if key.state == "Disabled":
        return f"{key.arn} is disabled. {_tail('DisabledException', request_id)}"
    return f"{key.arn} is pending deletion. {_tail('KMSInvalidStateException', request_id)}"


def _refused_use(action: str, key: KeyRecord, context: Mapping[str, str]) -> KeyUse:
    if key.state == "Disabled":
        return KeyUse(action, key, context, ("DisabledException", f"{key.arn} is disabled."))
    said = f"{key.arn} is pending deletion."
    return KeyUse(action, key, context, ("KMSInvalidStateException", said))


def _tail(code: str, request_id: str) -> str:
    return (
        f"(Service: AWSKMS; Status Code: 400; Error Code: {code}; "
        f"Request ID: {request_id}; Proxy: null)"
    )
