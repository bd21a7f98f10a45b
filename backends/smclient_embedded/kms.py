"""Keys and envelopes: each value under a data key of its own, each data key under a KMS key, each
KMS key under the master key, which is never in a store.

AES-256-GCM throughout. The encryption context (ARN and version id, as AWS sets it) is authenticated
with both the data key and the value, so that neither opens anywhere else.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from smclient_embedded.errors import (
    AccessDeniedException,
    DecryptionFailure,
    EncryptionFailure,
    InvalidParameterException,
    ServiceError,
)
from smclient_embedded.master import MasterKey, MasterKeyError, Wrapping
from smclient_embedded.store.ports import Keyring
from smclient_embedded.store.records import KeyRecord, Scope, Sealed, VersionRecord

__all__ = [
    "MANAGED_ALIAS",
    "Kms",
    "KmsAccessDenied",
    "MasterKey",
    "MasterKeyError",
    "encryption_context",
    "find_key",
    "key_arn",
    "open_version",
    "said_by_kms",
]

MANAGED_ALIAS = "alias/aws/secretsmanager"
VALIDATION = "RequestToValidateKeyAccess"
"""The version that AWS names where it tries a key that a secret is to be put under."""

_KEY_BYTES = 32
NONCE_BYTES = 12
_CANNOT_ENCRYPT = "Secrets Manager can't encrypt the secret value: "
_CANNOT_DECRYPT = "Secrets Manager can't decrypt the secret value: "
_INVALID_KEY = "The operation failed because of an invalid KMS key: "


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
        raise DecryptionFailure(f"{_CANNOT_DECRYPT}it was sealed for another version")
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


class KmsAccessDenied(AccessDeniedException):
    """The caller may not use a key. ``said`` is how KMS itself puts it, ``User: … is not authorized
    to perform: kms:Decrypt …``; the service says less."""

    def __init__(self, said: str, request_id: str) -> None:
        super().__init__("Access to KMS is not allowed")
        self.said = f"{said} {_tail('AccessDeniedException', request_id)}"

    @property
    def code(self) -> str:
        """As any other denial."""
        return "AccessDeniedException"


def said_by_kms(error: ServiceError) -> str:
    """KMS's part of a refusal, without what the service says before it."""
    if isinstance(error, KmsAccessDenied):
        return error.said
    text = str(error)
    for before in (_CANNOT_ENCRYPT, _CANNOT_DECRYPT, _INVALID_KEY):
        text = text.removeprefix(before)
    return text


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

Permit = Callable[[str, KeyRecord, Mapping[str, str]], object]
"""Is asked before each use of a key for a caller: the action without ``kms:``, the key, and the
encryption context. Raises ``AccessDeniedException`` if the caller may not."""


def _unnoted(use: KeyUse) -> None:
    """Nobody notes it."""


def _anyone(action: str, key: KeyRecord, context: Mapping[str, str]) -> None:
    """Nobody is kept from a key: for the service's own business."""


@dataclass(frozen=True, slots=True)
class Kms:
    """KMS in one transaction: the ``Keyring`` of stores without their own.

    Keys are looked for in ``scope``, or where the secret is that the encryption context names: its
    default key and its aliases are there, whoever calls.
    """

    master: Wrapping
    keys: KeyRepository
    scope: Scope
    now: datetime
    new_id: Callable[[], str]
    used: NoteUse = _unnoted
    permit: Permit = _anyone

    def seal(self, plaintext: bytes, *, key_id: str | None, context: Mapping[str, str]) -> Sealed:
        """See ``Keyring.seal``. Raises ``AccessDeniedException`` too."""
        return self._seal("GenerateDataKey", plaintext, key_id, context)

    def encrypt(
        self, plaintext: bytes, *, key_id: str | None, context: Mapping[str, str]
    ) -> Sealed:
        """``seal``, for which the caller needs the right to ``Encrypt`` instead: so AWS replicates
        to another account."""
        return self._seal("Encrypt", plaintext, key_id, context)

    def _seal(
        self, action: str, plaintext: bytes, key_id: str | None, context: Mapping[str, str]
    ) -> Sealed:
        key = self._key_of(key_id, context)
        self._use(action, key, context)
        data_key, nonce = os.urandom(_KEY_BYTES), os.urandom(NONCE_BYTES)
        bound = bound_to(key.arn, context)
        return Sealed(
            key_id=key.arn,
            wrapped_key=self._wrap(key, data_key, context),
            nonce=nonce,
            ciphertext=AESGCM(data_key).encrypt(nonce, plaintext, bound),
            context=dict(context),
        )

    def open(self, sealed: Sealed) -> bytes:
        """See ``Keyring.open``. Any one of a value's keys opens it; where none can, the first one
        says why. Raises ``AccessDeniedException`` too."""
        data_key = self._data_key(sealed)
        bound = bound_to(sealed.key_id, sealed.context)
        try:
            return AESGCM(data_key).decrypt(sealed.nonce, sealed.ciphertext, bound)
        except InvalidTag:
            raise self._tampered() from None

    def wrapped_anew(self, sealed: Sealed, key_id: str | None) -> Sealed:
        """The same value, which another key opens from now on as well: its data key is wrapped once
        more. The value itself is not touched.

        Raises:
            DecryptionFailure, EncryptionFailure, AccessDeniedException: a key is of no use.
        """
        key = self._key_of(key_id, sealed.context)
        if key.arn in sealed.key_ids:
            return sealed
        data_key = self._data_key(sealed)
        self._use("Encrypt", key, sealed.context)
        wrapped = self._wrap(key, data_key, sealed.context)
        return replace(sealed, also=(*sealed.also, (key.arn, wrapped)))

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
        """The key of an id, an ARN or an alias, in AWS's words if there is none. An ARN reaches
        other accounts, too.

        Raises:
            InvalidParameterException
        """
        place, short = _place_of(self.scope, key_id)
        home = f"arn:aws:kms:{place.region}:{place.account}"
        if short == MANAGED_ALIAS and place == self.scope:
            return self.managed_key()
        key = find_key(self.keys, self.scope, key_id)
        if key is not None:
            return key
        if short.startswith("alias/"):
            said = f"Alias {home}:{short} is not found."
        elif short.startswith(("key/", "arn:")) or short.count("-") == 4:
            arn = short if short.startswith("arn:") else f"{home}:key/{short.removeprefix('key/')}"
            said = f"Key '{arn}' does not exist"
        else:
            said = f"Invalid keyId '{short}'"
        raise InvalidParameterException(
            f"{_INVALID_KEY}{said} {_tail('NotFoundException', self.new_id())}"
        )

    def check_usable(self, key_id: str, secret_arn: str) -> None:
        """Refuse a key that a secret cannot be put under, in AWS's words.

        Raises:
            InvalidParameterException: there is no such key, or it is not enabled.
            AccessDeniedException: the caller may not use it.
        """
        context = encryption_context(secret_arn, VALIDATION)
        key = self._key_of(key_id, context)
        if key.state == "Disabled":
            raise InvalidParameterException(
                "The operation failed because the specified KMS key is disabled."
            )
        if key.state != "Enabled":
            raise InvalidParameterException(f"{_INVALID_KEY}{_unusable(key, self.new_id())}")
        if not key.managed:  # AWS tries a customer key with an empty value
            for action in ("GenerateDataKey", "Decrypt"):
                self._use(action, key, context)

    # --- inside -----------------------------------------------------------------------------------

    def _key_of(self, key_id: str | None, context: Mapping[str, str]) -> KeyRecord:
        parts = context.get("SecretARN", "").split(":")
        home = self if len(parts) < 5 else replace(self, scope=Scope(parts[4], parts[3]))
        return home.managed_key() if key_id is None else home.resolve(key_id)

    def _data_key(self, sealed: Sealed) -> bytes:
        first: ServiceError | None = None
        for key_id, wrapped in ((sealed.key_id, sealed.wrapped_key), *sealed.also):
            try:
                return self._unwrap(key_id, wrapped, sealed.context)
            except (DecryptionFailure, AccessDeniedException) as error:
                first = first or error
        raise first or self._tampered()

    def _unwrap(self, key_id: str, wrapped: bytes, context: Mapping[str, str]) -> bytes:
        key = self.keys.key(key_id)
        if key is None:
            raise DecryptionFailure(
                f"{_CANNOT_DECRYPT}Key '{key_id}' does not exist "
                f"{_tail('NotFoundException', self.new_id())}"
            )
        self._use("Decrypt", key, context)
        nonce, sealed_key = wrapped[:NONCE_BYTES], wrapped[NONCE_BYTES:]
        try:
            return self._cipher(key).decrypt(nonce, sealed_key, bound_to(key.arn, context))
        except InvalidTag:
            raise self._tampered() from None

    def _wrap(self, key: KeyRecord, data_key: bytes, context: Mapping[str, str]) -> bytes:
        nonce = os.urandom(NONCE_BYTES)
        return nonce + self._cipher(key).encrypt(nonce, data_key, bound_to(key.arn, context))

    def _use(self, action: str, key: KeyRecord, context: Mapping[str, str]) -> None:
        """What each use of a key begins with: may the caller, is the key in use? It is told
        either way."""
        try:
            self.permit(action, key, context)
            if key.state != "Enabled":
                failure, prefix = (
                    (DecryptionFailure, _CANNOT_DECRYPT)
                    if action == "Decrypt"
                    else (EncryptionFailure, _CANNOT_ENCRYPT)
                )
                raise failure(prefix + _unusable(key, self.new_id()))
        except ServiceError as error:
            self.used(KeyUse(action, key, context, _as_kms_says(error, key)))
            raise
        self.used(KeyUse(action, key, context))

    def _tampered(self) -> DecryptionFailure:
        return DecryptionFailure(
            f"{_CANNOT_DECRYPT}the ciphertext was changed or moved "
            f"{_tail('InvalidCiphertextException', self.new_id())}"
        )

    def _cipher(self, key: KeyRecord) -> AESGCM:
        return self.master.cipher(key.wrapped_material, key.arn)


def find_key(keys: KeyRepository, scope: Scope, key_id: str) -> KeyRecord | None:
    """The key that ``Kms.resolve`` finds in a scope by id, ARN or alias, if it is there."""
    place, short = _place_of(scope, key_id)
    for key in keys.keys(place):
        if short in (key.key_id, "key/" + key.key_id, key.arn) or short == key.alias:
            return key
    return None


def key_arn(keys: KeyRepository, scope: Scope, key_id: str) -> str | None:
    """The ARN of the key that ``Kms.resolve`` finds in a scope by id, ARN or alias, without making
    one; of a key that is not there what its ARN would be, of such an alias ``None``."""
    key = find_key(keys, scope, key_id)
    if key is not None:
        return key.arn
    place, short = _place_of(scope, key_id)
    if short.startswith("arn:"):
        return short
    home = f"arn:aws:kms:{place.region}:{place.account}"
    return None if short.startswith("alias/") else f"{home}:key/{short.removeprefix('key/')}"


def _place_of(scope: Scope, key_id: str) -> tuple[Scope, str]:
    """The scope that a key is looked for in, and what it is called there."""
    parts = key_id.split(":", 5)
    if len(parts) == 6 and parts[:3] == ["arn", "aws", "kms"] and parts[3] == scope.region:
        return Scope(parts[4], parts[3]), parts[5]
    return scope, key_id


def bound_to(key_arn: str, context: Mapping[str, str]) -> bytes:
    """The authenticated data: every part with its length before it, so none can be confused."""
    return _joined(key_arn, tuple(sorted(context.items())))


@functools.lru_cache(maxsize=2048)
def _joined(key_arn: str, pairs: tuple[tuple[str, str], ...]) -> bytes:
    """Kept, as a value and its data key are bound to the same: names and ids, nothing secret."""
    parts = [key_arn]
    for pair in pairs:
        parts += pair
    encoded = [part.encode() for part in parts]
    return b"".join([len(part).to_bytes(4, "big") + part for part in encoded])


def _unusable(key: KeyRecord, request_id: str) -> str:
    if key.state == "Disabled":
        return f"{key.arn} is disabled. {_tail('DisabledException', request_id)}"
    return f"{key.arn} is pending deletion. {_tail('KMSInvalidStateException', request_id)}"


def _as_kms_says(error: ServiceError, key: KeyRecord) -> tuple[str, str]:
    """Code and message of a refusal as KMS gives them."""
    said = said_by_kms(error).partition(" (Service: ")[0]
    if isinstance(error, AccessDeniedException):
        return "AccessDeniedException", said
    return ("DisabledException" if key.state == "Disabled" else "KMSInvalidStateException"), said


def _tail(code: str, request_id: str) -> str:
    return (
        f"(Service: AWSKMS; Status Code: 400; Error Code: {code}; "
        f"Request ID: {request_id}; Proxy: null)"
    )
