"""Key slots, as LUKS has them: each wraps the one root key for one way of unlocking the store.

A slot's material (from a passphrase, a key file, KMS, the system keyring) gives a check value, by
which a wrong key is told from a damaged slot, and the key that wraps the root key. Both are bound
to the store and to everything else that the slot says.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from smclient_embedded.kdf import BOUNDS, Kdf, KdfRefused
from smclient_file.crypto import (
    FORMAT,
    KEY_BYTES,
    NONCE_BYTES,
    TAG_BYTES,
    SealBroken,
    bound,
    derive,
)

PASSPHRASE, KEY_FILE, KMS, KEYRING = "passphrase", "keyfile", "kms", "keyring"
MAX_SLOTS = 16
_ID_BYTES = 4
_LABEL_CHARACTERS = 64
_OWN: Mapping[str, tuple[str, ...]] = {
    KEY_FILE: (),
    KMS: ("kms", "region", "blob"),
    KEYRING: ("service",),
}


def canonical(value: Any) -> str:
    """JSON as the format writes it: no spaces, no escapes that UTF-8 does not need.

    Raises:
        ValueError: text with two halves of one character, which would come back as that character.
    """
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    if _HALF.search(text):  # UTF-8 has no place for a half alone; JSON's escape does
        if _TWO_HALVES.search(text):
            raise ValueError("text with a surrogate pair cannot be kept")
        text = _HALF.sub(lambda match: f"\\u{ord(match[0]):04x}", text)
    return text


_HALF = re.compile("[\ud800-\udfff]")
_TWO_HALVES = re.compile("[\ud800-\udbff][\udc00-\udfff]")


@dataclass(frozen=True, slots=True)
class SlotHead:
    """What a slot says in clear text: its kind, and what is needed to get at its material."""

    id: str
    kind: str
    label: str
    own: tuple[tuple[str, str | int], ...]

    def fields(self) -> dict[str, str | int]:
        """The members, in the order of the format."""
        return {"id": self.id, "kind": self.kind, "label": self.label, **dict(self.own)}

    def kdf(self) -> Kdf:
        """The key derivation of a passphrase slot."""
        own = dict(self.own)
        name, salt = str(own.pop("kdf")), unpacked(str(own.pop("salt")))
        return Kdf(name, {key: int(value) for key, value in own.items()}, salt)

    def wrap(self, material: bytes, root: bytes, store_id: str) -> Slot:
        """The slot that lets this material unlock this root key."""
        said = canonical(self.fields())
        nonce = os.urandom(NONCE_BYTES)
        cipher = AESGCM(derive(material, store_id.encode(), "slot", said))
        return Slot(
            self,
            nonce,
            cipher.encrypt(nonce, root, bound(FORMAT, store_id, said)),
            derive(material, store_id.encode(), "check", said),
        )


@dataclass(frozen=True, slots=True)
class Slot:
    """A slot: its head, the wrapped root key with its nonce, the check value."""

    head: SlotHead
    nonce: bytes
    key: bytes
    check: bytes

    def recognises(self, material: bytes, store_id: str) -> bool:
        """Whether this material is the one the slot was made with."""
        check = derive(material, store_id.encode(), "check", canonical(self.head.fields()))
        return hmac.compare_digest(check, self.check)

    def unwrap(self, material: bytes, store_id: str) -> bytes:
        """The root key. Raises ``SealBroken`` if the slot is damaged."""
        said = canonical(self.head.fields())
        cipher = AESGCM(derive(material, store_id.encode(), "slot", said))
        try:
            return cipher.decrypt(self.nonce, self.key, bound(FORMAT, store_id, said))
        except InvalidTag:
            raise SealBroken from None

    def fields(self) -> dict[str, str | int]:
        """The members, in the order of the format."""
        return {
            **self.head.fields(),
            "n": packed(self.nonce),
            "key": packed(self.key),
            "check": packed(self.check),
        }

    @classmethod
    def parse(cls, fields: Any) -> Slot:
        """A slot from its members, none too many and none too few.

        Raises:
            KdfRefused: a key derivation outside the bounds; nothing was derived.
            ValueError: anything else that a slot is not.
        """
        if not isinstance(fields, dict):
            raise ValueError("a slot is no object")
        own = _own_members(fields)
        expected = ("id", "kind", "label", *own, "n", "key", "check")
        if tuple(fields) != expected:
            raise ValueError("a slot has other members than its kind has")
        for name, value in fields.items():
            if not isinstance(value, int if name in _NUMBERS else str) or value is True:
                raise ValueError(f"a slot's {name!r} has the wrong type")
        if len(fields["id"]) != 2 * _ID_BYTES or len(fields["label"]) > _LABEL_CHARACTERS:
            raise ValueError("a slot's id or label has a length that the format does not have")
        head = SlotHead(
            fields["id"], fields["kind"], fields["label"], tuple((n, fields[n]) for n in own)
        )
        if head.kind == PASSPHRASE:
            head.kdf().check()
        return cls(
            head,
            unpacked(fields["n"], NONCE_BYTES),
            unpacked(fields["key"], KEY_BYTES + TAG_BYTES),
            unpacked(fields["check"], KEY_BYTES),
        )


_NUMBERS = frozenset(name for bounds in BOUNDS.values() for name in bounds)


def _own_members(fields: Mapping[str, Any]) -> tuple[str, ...]:
    kind = fields.get("kind")
    if kind == PASSPHRASE:
        name = fields.get("kdf")
        if not isinstance(name, str) or name not in BOUNDS:
            raise KdfRefused(f"the key derivation {name!r} is not known")
        return ("kdf", *BOUNDS[name], "salt")
    if not isinstance(kind, str) or kind not in _OWN:
        raise ValueError(f"a slot of the unknown kind {kind!r}")
    return _OWN[kind]


def check_total(slots: tuple[Slot, ...]) -> None:
    """All passphrase slots together may not cost more than the dearest single one.

    Raises:
        KdfRefused
    """
    total = sum(slot.head.kdf().cost() for slot in slots if slot.head.kind == PASSPHRASE)
    if total > 1.0:
        raise KdfRefused("the passphrase slots together cost more than one derivation may")


def head(kind: str, label: str, **own: str | int) -> SlotHead:
    """The head of a new slot. Raises ``ValueError`` for a label that is too long."""
    if len(label) > _LABEL_CHARACTERS:
        raise ValueError(f"a slot's label has at most {_LABEL_CHARACTERS} characters")
    return SlotHead(os.urandom(_ID_BYTES).hex(), kind, label, tuple(own.items()))


def passphrase_head(kdf: Kdf, label: str) -> SlotHead:
    """The head of a new passphrase slot."""
    return head(PASSPHRASE, label, kdf=kdf.name, **kdf.parameters, salt=packed(kdf.salt))


def packed(raw: bytes) -> str:
    """Bytes as base64 text."""
    return base64.b64encode(raw).decode()


def unpacked(text: str, length: int | None = None) -> bytes:
    """Bytes from base64 text in its one canonical form. Raises ``ValueError``."""
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("not base64") from None
    if packed(raw) != text or length not in (None, len(raw)):
        raise ValueError("not base64 of the right length")
    return raw
