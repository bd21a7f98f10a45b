"""``SMSTORE 1``: the bytes of the file, and in which order they may be believed.

    SMSTORE 1
    {"store_id":…,"alg":…,"generation":…,"prev_mac":…,"epoch":…,"slots":[…],"sum":…}
    {"t":"secret","arn":…,…}
    {"t":"version","arn":…,"id":…,…}
    MAC hmac-sha256 <hex over every byte above>

UTF-8, LF, one object a line, lines sorted, JSON in one canonical form. Only the header, capped in
size, is read before the MAC has been checked: the key for it is behind the header's slots. ``sum``
is a plain SHA-256 that tells a damaged header from a wrong key; the MAC is what proves it.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from smclient_embedded.kdf import KdfRefused
from smclient_file.crypto import ALGORITHMS, FORMAT, StoreKeys
from smclient_file.errors import (
    KdfParametersRefused,
    StoreDamaged,
    StoreFormatUnknown,
    StoreLimitExceeded,
    StoreTampered,
    StoreTruncated,
)
from smclient_file.slots import MAX_SLOTS, Slot, canonical, check_total

MAGIC = FORMAT.encode() + b"\n"
MAX_FILE = 64 * 1024 * 1024
MAX_HEADER = 64 * 1024
NO_MAC = "0" * 64
"""``prev_mac`` of a first generation."""

_MAC_LINE = re.compile(rb"MAC hmac-sha256 ([0-9a-f]{64})\n")
MAC_BYTES = len(b"MAC hmac-sha256 \n") + 64
_MEMBERS = ("store_id", "alg", "generation", "prev_mac", "epoch", "slots", "sum")
_HEX = re.compile(r"[0-9a-f]{64}")
_RESTORE = "restore it from a backup or from git"


@dataclass(frozen=True, slots=True)
class Header:
    """The second line of the file."""

    store_id: str
    generation: int
    slots: tuple[Slot, ...]
    prev_mac: str = NO_MAC
    epoch: int = 1
    algorithm: str = "A256GCM"

    def line(self) -> bytes:
        """The line, with its LF."""
        text = self._text("")
        return (self._text(hashlib.sha256(text.encode()).hexdigest()) + "\n").encode()

    def _text(self, checksum: str) -> str:
        return canonical(
            {
                "store_id": self.store_id,
                "alg": self.algorithm,
                "generation": self.generation,
                "prev_mac": self.prev_mac,
                "epoch": self.epoch,
                "slots": [slot.fields() for slot in self.slots],
                "sum": checksum,
            }
        )


@dataclass(frozen=True, slots=True)
class Image:
    """A whole file, taken apart but not yet believed."""

    header: Header
    raw: bytes
    body_start: int
    mac: str

    def body(self, store: object, keys: StoreKeys) -> bytes:
        """The lines between header and MAC, after the MAC was checked over every byte above it.

        Raises:
            StoreTampered
        """
        signed = memoryview(self.raw)[:-MAC_BYTES]
        if not hmac.compare_digest(keys.mac(signed, self.header.epoch), self.mac):
            raise StoreTampered(
                store,
                "the MAC does not fit the file: header, body or MAC line were changed without "
                "the key (or merged as text)",
                part="body",
                remedy=f"{_RESTORE}, or merge with 'smclient file merge'",
            )
        return self.raw[self.body_start : -MAC_BYTES]


def assemble(
    store: object, header: Header, blocks: Sequence[bytes], keys: StoreKeys
) -> tuple[bytes, str]:
    """A whole file from its header and its lines, each with its LF; and its MAC.

    Raises:
        StoreLimitExceeded: the file or its header would be too big.
    """
    line = header.line()
    signed = b"".join([MAGIC, line, *blocks])
    if len(line) > MAX_HEADER:
        raise StoreLimitExceeded(store, _too_big("header", len(line), MAX_HEADER))
    if len(signed) + MAC_BYTES > MAX_FILE:
        raise StoreLimitExceeded(
            store,
            _too_big("file", len(signed), MAX_FILE),
            remedy="delete old versions, or use the service with a database: embedded:///…",
        )
    mac = keys.mac(signed, header.epoch)
    return signed + f"MAC hmac-sha256 {mac}\n".encode(), mac


def take_apart(store: object, raw: bytes) -> Image:
    """Read the outer form of a file: magic, header, MAC line. Believes none of it.

    Raises:
        StoreFormatUnknown, StoreTruncated, StoreDamaged, StoreLimitExceeded, KdfParametersRefused
    """
    if len(raw) > MAX_FILE:
        raise StoreLimitExceeded(store, _too_big("file", len(raw), MAX_FILE))
    _check_magic(store, raw)
    end = raw.find(b"\n", len(MAGIC), len(MAGIC) + MAX_HEADER)
    if end < 0:
        if len(raw) - len(MAGIC) >= MAX_HEADER:
            problem = _too_big("header", len(raw), MAX_HEADER)
            raise StoreLimitExceeded(store, problem, part="header", remedy=_RESTORE)
        raise StoreTruncated(store, "the header is cut off", part="header", remedy=_RESTORE)
    header = parse_header(store, raw[len(MAGIC) : end + 1])
    match = _MAC_LINE.fullmatch(raw, max(len(raw) - MAC_BYTES, end + 1))
    if match is None or raw[len(raw) - MAC_BYTES - 1] != 0x0A:
        _without_mac(store, raw)
    return Image(header, raw, end + 1, match[1].decode())


def parse_header(store: object, line: bytes) -> Header:
    """A header from its line.

    Raises:
        KdfParametersRefused: found before anything is derived.
        StoreDamaged: anything else that is wrong with it.
    """
    try:
        fields = parse_object(line)
        if tuple(fields) != _MEMBERS:
            raise ValueError("it has other members than the format has")
        slots = fields["slots"]
        if not isinstance(slots, list) or not 1 <= len(slots) <= MAX_SLOTS:
            raise ValueError("it has no key slots, or too many")
        header = Header(
            store_id=_store_id(fields["store_id"]),
            generation=_number(fields["generation"], 2**53),
            slots=tuple(Slot.parse(slot) for slot in slots),
            prev_mac=_hex(fields["prev_mac"]),
            epoch=_number(fields["epoch"], 2**31),
            algorithm=_algorithm(fields["alg"]),
        )
        check_total(header.slots)
        if header.line() != line:
            raise ValueError("its checksum does not fit")
    except KdfRefused as error:
        raise KdfParametersRefused(
            store,
            f"a key slot asks for {error}; nothing was derived",
            part="key slot",
            remedy="someone changed the header, or it is damaged: " + _RESTORE,
        ) from None
    except (ValueError, RecursionError) as error:
        raise StoreDamaged(
            store, f"the header is damaged: {error}", part="header", remedy=_RESTORE
        ) from None
    return header


def parse_object(line: bytes) -> dict[str, Any]:
    """A JSON object without doubled members and without numbers that are not integers.

    Raises:
        ValueError: with a message that quotes nothing of the line.
    """
    try:
        value = _DECODER.decode(line.decode())
    except json.JSONDecodeError:
        raise ValueError("it is not JSON") from None
    except UnicodeDecodeError:
        raise ValueError("it is not UTF-8") from None
    if not isinstance(value, dict):
        raise ValueError("it is no JSON object")
    return value


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a member is there twice")
    return found


def _no_number(text: str) -> NoReturn:
    raise ValueError("a number is no integer")


_DECODER = json.JSONDecoder(
    object_pairs_hook=_once, parse_float=_no_number, parse_constant=_no_number
)


def _check_magic(store: object, raw: bytes) -> None:
    if raw.startswith(MAGIC):
        return
    first = raw[: len(MAGIC) + 8].split(b"\n")[0]
    if raw == b"" or MAGIC.startswith(raw):
        raise StoreTruncated(store, "the file is empty or cut off", part="magic", remedy=_RESTORE)
    if first.rstrip(b"\r") == MAGIC.rstrip():
        raise StoreDamaged(
            store,
            "its line ends were changed to CR LF",
            part="magic",
            remedy="let git leave it alone ('*.sms -text' in .gitattributes) and check it out anew",
        )
    if re.fullmatch(rb"SMSTORE [0-9]{1,4}", first):
        raise StoreFormatUnknown(
            store,
            f"it has the format {first.decode()!r}; this version reads {FORMAT!r}",
            part="magic",
            remedy="use a newer smclient, or restore the file if nobody made it with one",
        )
    raise StoreFormatUnknown(
        store, f"it is no store: the first line is not {FORMAT!r}", part="magic", remedy=_RESTORE
    )


def _without_mac(store: object, raw: bytes) -> NoReturn:
    if b"\n<<<<<<< " in raw or b"\n>>>>>>> " in raw:
        raise StoreDamaged(
            store,
            "it has git's conflict marks in it",
            part="body",
            remedy="take one side back and use 'smclient file merge'",
        )
    if _MAC_LINE.search(raw):
        raise StoreDamaged(
            store, "something follows the MAC line", part="MAC line", remedy=_RESTORE
        )
    raise StoreTruncated(
        store, "the MAC line at the end is missing or damaged", part="MAC line", remedy=_RESTORE
    )


def _store_id(value: Any) -> str:
    if not isinstance(value, str) or str(uuid.UUID(value)) != value:
        raise ValueError("its store id is no UUID")
    return value


def _number(value: Any, limit: int) -> int:
    if type(value) is not int or not 1 <= value < limit:
        raise ValueError("a number is missing or out of range")
    return value


def _hex(value: Any) -> str:
    if not isinstance(value, str) or not _HEX.fullmatch(value):
        raise ValueError("its prev_mac is no MAC")
    return value


def _algorithm(value: Any) -> str:
    if not isinstance(value, str) or value not in ALGORITHMS:
        raise ValueError(f"its algorithm {value!r} is not known")
    return value


def _too_big(what: str, size: int, limit: int) -> str:
    return f"the {what} has {size} bytes, more than the {limit} that the format allows"
