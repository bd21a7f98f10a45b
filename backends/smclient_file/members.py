"""Members of a line, read: each of its kind, or ``ValueError``."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any


def time_text(moment: datetime | None) -> str | None:
    """A moment as text, in ISO 8601."""
    return None if moment is None else moment.isoformat()


def text_of(fields: Mapping[str, Any], name: str) -> str:
    """A text that must be there."""
    value = fields.get(name)
    if not isinstance(value, str):
        raise ValueError(f"{name!r} is no text")
    return value


def optional_text(fields: Mapping[str, Any], name: str) -> str | None:
    """A text, if it is there."""
    return text_of(fields, name) if name in fields else None


def moment_of(fields: Mapping[str, Any], name: str) -> datetime:
    """A moment that must be there."""
    return datetime.fromisoformat(text_of(fields, name))


def optional_moment(fields: Mapping[str, Any], name: str) -> datetime | None:
    """A moment, if it is there."""
    return moment_of(fields, name) if name in fields else None


def count_of(fields: Mapping[str, Any], name: str) -> int:
    """A number from 0 on that must be there."""
    value = fields.get(name)
    if type(value) is not int or value < 0:
        raise ValueError(f"{name!r} is no count")
    return value


def texts_of(value: Any) -> dict[str, str]:
    """An object whose values are all texts."""
    if not isinstance(value, dict) or not all(isinstance(text, str) for text in value.values()):
        raise ValueError("an object of texts was expected")
    return value


def list_of(fields: Mapping[str, Any], name: str) -> list[Any]:
    """A list; empty if it is not there."""
    value = fields.get(name, [])
    if not isinstance(value, list):
        raise ValueError(f"{name!r} is no list")
    return value


def pairs_of(value: Any) -> tuple[tuple[str, str], ...]:
    """A list of pairs of texts."""
    if not isinstance(value, list):
        raise ValueError("a list of pairs was expected")
    pairs: list[tuple[str, str]] = []
    for pair in value:
        if (
            not isinstance(pair, list)
            or len(pair) != 2
            or not all(isinstance(p, str) for p in pair)
        ):
            raise ValueError("a pair is not of two texts")
        pairs.append((pair[0], pair[1]))
    return tuple(pairs)
