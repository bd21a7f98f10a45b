"""Condition values as typed things: numbers, instants, truth values, bytes, address ranges.

Each parser returns None for text that is not of its type; it never raises. What that means is the
operator's business (`conditions`).

Source: IAM user guide, "IAM JSON policy elements: Condition operators"; W3C note on date and time
formats.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import re
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from functools import lru_cache

_NUMBER = re.compile(r"[+-]?[0-9]{1,100}(?:\.[0-9]{1,100})?(?:[eE][+-]?[0-9]{1,3})?")
_EPOCH = re.compile(r"-?[0-9]{5,15}(?:\.[0-9]{1,9})?|-?[0-9]{1,3}(?:\.[0-9]{1,9})?")
_DATE = re.compile(
    r"([0-9]{4})(?:-([0-9]{2})(?:-([0-9]{2})"
    r"(?:T([0-9]{2}):([0-9]{2})(?::([0-9]{2})(?:\.([0-9]{1,9}))?)?(Z|[+-][0-9]{2}:?[0-9]{2})?)?)?)?"
)
_EPOCH_START = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

Network = tuple[int, int, int]
"""IP version, network address and netmask."""


def number(text: str) -> Decimal | None:
    """An integer or decimal number, so that 7 equals 7.0 and 100 exceeds 30."""
    return Decimal(text) if _NUMBER.fullmatch(text) else None


@lru_cache(maxsize=1024)
def instant(text: str) -> int | None:
    """Microseconds since 1970 for a W3C ISO 8601 date or for epoch seconds.

    A date alone is its midnight in UTC; a time without an offset is taken as UTC. Four digits are
    a year.
    """
    if _EPOCH.fullmatch(text):
        return int(Decimal(text) * 1_000_000)
    found = _DATE.fullmatch(text)
    if found is None:
        return None
    year, month, day, hour, minute, second, fraction, offset = found.groups()
    try:
        moment = datetime(
            int(year),
            int(month or 1),
            int(day or 1),
            int(hour or 0),
            int(minute or 0),
            int(second or 0),
            int((fraction or "0").ljust(6, "0")[:6]),
            tzinfo=_timezone(offset),
        )
    except ValueError:
        return None
    return (moment - _EPOCH_START) // _MICROSECOND


def _timezone(offset: str | None) -> timezone:
    if offset is None or offset == "Z":
        return UTC
    hours, minutes = int(offset[1:3]), int(offset[-2:])
    return timezone((-1 if offset[0] == "-" else 1) * timedelta(hours=hours, minutes=minutes))


def truth(text: str) -> bool | None:
    """``true`` or ``false``, in any case."""
    return {"true": True, "false": False}.get(text.lower())


def binary(text: str) -> bytes | None:
    """The bytes behind base64 text."""
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None


@lru_cache(maxsize=1024)
def network(text: str) -> Network | None:
    """A CIDR range, IPv4 or IPv6; an address without a prefix is one host."""
    address, slash, prefix = text.partition("/")
    if "%" in address or (slash and not (prefix.isascii() and prefix.isdigit())):
        return None
    try:
        parsed = ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None
    return parsed.version, int(parsed.network_address), int(parsed.netmask)


@lru_cache(maxsize=4096)
def address(text: str) -> tuple[int, int] | None:
    """IP version and number of one address."""
    if "%" in text:
        return None
    try:
        parsed = ipaddress.ip_address(text)
    except ValueError:
        return None
    return parsed.version, int(parsed)
