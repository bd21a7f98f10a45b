"""Tags of a request as a store keeps them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from smclient_embedded.errors import InvalidParameterException

RESERVED = "aws:"
"""Tags whose keys begin so, in capitals or not, are AWS's own."""


def checked_tags(shapes: Iterable[Mapping[str, str]]) -> tuple[tuple[str, str], ...]:
    """Key and value pairs in order.

    Raises:
        InvalidParameterException: a tag without a key, a key given twice, or one of AWS's own.
    """
    tags: dict[str, str] = {}
    for shape in shapes:
        key = shape.get("Key")
        if key is None:
            raise InvalidParameterException("Every tag must have a key.")
        if key in tags:
            raise InvalidParameterException(
                f"Duplicate tag keys are not allowed: '{key}' is given more than once."
            )
        tags[key] = shape.get("Value", "")
    check_keys(tags)
    return tuple(tags.items())


def check_keys(keys: Iterable[str]) -> None:
    """Refuse keys of AWS's own tags. Raises ``InvalidParameterException``."""
    for key in keys:
        if key.lower().startswith(RESERVED):
            raise InvalidParameterException(
                f"Tag keys that start with '{RESERVED}' are reserved for AWS use: '{key}'."
            )
