"""Tags of a request as a store keeps them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping


def tags_of(shapes: Iterable[Mapping[str, str]]) -> tuple[tuple[str, str], ...]:
    """Key and value pairs in order; a key given twice has its last value."""
    return tuple({tag.get("Key", ""): tag.get("Value", "") for tag in shapes}.items())
