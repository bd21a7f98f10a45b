"""The file's own ``Keyring``: values are sealed by the file's keys, never twice."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from smclient_embedded.errors import DecryptionFailure, EncryptionFailure
from smclient_embedded.store import Sealed
from smclient_file.crypto import TAG_BYTES, Place, SealBroken, StoreKeys
from smclient_file.errors import FileStoreError, StoreDamaged, StoreLimitExceeded, StoreTampered
from smclient_file.lines import OwnKey, own_sealed, setting_of, setting_place, value_of

MAX_VALUE = 65_536


class FileKeyring:
    """Seals and opens with the keys that the store has at the moment.

    ``key_id`` (a secret's KmsKeyId) is remembered by the secret and means nothing here.
    """

    def __init__(self, store: str, keys: Callable[[], tuple[StoreKeys, int]]) -> None:
        self._store = store
        self._keys = keys

    def seal(self, plaintext: bytes, *, key_id: str | None, context: Mapping[str, str]) -> Sealed:
        """See ``Keyring.seal``."""
        place = _place(context, "")
        if place is None:
            raise EncryptionFailure("Secrets Manager can't encrypt the secret value: no context")
        keys, epoch = self._keys()
        value = keys.seal(plaintext, place, epoch)
        return own_sealed(place, OwnKey(keys.store_id, epoch), value)

    def open(self, sealed: Sealed) -> bytes:
        """See ``Keyring.open``."""
        keys, _ = self._keys()
        own = OwnKey.parse(sealed.key_id)
        place = None if own is None else _place(sealed.context, own.kind)
        if own is None or place is None or own.store_id != keys.store_id:
            raise DecryptionFailure(
                f"Secrets Manager can't decrypt the secret value: {self._store} did not seal it"
            )
        try:
            return keys.open(value_of(sealed), place, own.epoch)
        except SealBroken:
            raise DecryptionFailure(
                f"Secrets Manager can't decrypt the secret value: in {self._store}, version "
                f"{place.version_id} of {place.arn} was changed or moved"
            ) from None


def filed(store: str, keys: StoreKeys, epoch: int, sealed: Sealed, place: Place) -> Sealed:
    """A seal as it is kept: bound to the kind too, which ``Keyring.seal`` is not told, and of the
    present epoch. What is so already, and what somebody else sealed, stays as it is.

    Raises:
        StoreLimitExceeded: a value of the file's own seal is too big.
        StoreTampered: it was sealed for another version, or changed.
    """
    own = OwnKey.parse(sealed.key_id)
    if own is None:
        return sealed
    if len(sealed.ciphertext) > MAX_VALUE + TAG_BYTES:
        raise StoreLimitExceeded(
            store,
            f"a value of {place.arn} has {len(sealed.ciphertext) - TAG_BYTES} bytes; "
            f"{MAX_VALUE} are allowed",
            part=f"secret {place.arn}",
        )
    was = _place(sealed.context, own.kind)
    if own.store_id != keys.store_id:
        raise FileStoreError(store, f"a value of {place.arn} was sealed by another file")
    if was == place:
        return sealed
    try:
        if was is None or (was.arn, was.version_id) != (place.arn, place.version_id):
            raise SealBroken
        plaintext = keys.open(value_of(sealed), was, own.epoch)
    except SealBroken:
        raise StoreTampered(
            store,
            f"a value was sealed for another version than {place.version_id} of {place.arn}",
            part=f"secret {place.arn}",
        ) from None
    value = keys.seal(plaintext, place, epoch)
    return own_sealed(place, OwnKey(keys.store_id, epoch, place.kind), value)


def opened_setting(store: str, keys: StoreKeys, name: str, line: bytes) -> bytes:
    """The value of a setting of the store. Raises ``StoreDamaged``."""
    try:
        _, epoch, value = setting_of(line)
        return keys.open(value, setting_place(name), epoch)
    except (SealBroken, ValueError):
        raise setting_damaged(store, name) from None


def setting_damaged(store: str, name: str) -> StoreDamaged:
    """The error of a setting that does not open although the file as a whole is believed."""
    return StoreDamaged(
        store,
        f"the setting {name!r} does not open, although the MAC fits: a faulty program with the key "
        "wrote it",
        part=f"setting {name}",
        remedy="restore an older file",
    )


def _place(context: Mapping[str, str], kind: str) -> Place | None:
    if set(context) != {"SecretARN", "SecretVersionId"}:
        return None
    return Place(context["SecretARN"], context["SecretVersionId"], kind)
