"""botocore's model of the service, read: which operations exist, what is valid, what is secret.

The only file that knows botocore's model (``shapes`` reads it from the package). Messages are AWS's
own, as recorded. botocore's validator leaves out maximum, pattern and enum, so the shapes are
walked here. Types are checked before the caller is authorised, values after, as AWS does.
"""

from __future__ import annotations

import base64
import binascii
import functools
import json
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from smclient_embedded.errors import (
    SerializationException,
    UnknownOperationException,
    ValidationException,
)
from smclient_embedded.shapes import Shape, load_description

TARGET_PREFIX = "secretsmanager."

_JSON_TYPES: dict[str, Any] = {
    "string": str,
    "boolean": bool,
    "integer": int,
    "long": int,
    "structure": (dict, Mapping),  # a dict is known by its type, others are asked
    "map": (dict, Mapping),
    "list": (list, tuple),
    "blob": (bytes, bytearray, memoryview),
    "timestamp": (datetime, int, float),
}
_BITS = {"integer": 32, "long": 64}


class ServiceModel:
    """The service as botocore describes it."""

    def __init__(self) -> None:
        self._description = load_description("secretsmanager")
        self.operations: frozenset[str] = self._description.operations
        self._inputs: dict[str, Shape | None] = {}

    def input_shape(self, operation: str) -> Shape | None:
        """The shape of a request. Raises ``UnknownOperationException``."""
        if operation not in self.operations:
            raise UnknownOperationException(f"Unknown operation {operation}")
        if operation not in self._inputs:
            self._inputs[operation] = self._description.input_shape(operation)
        return self._inputs[operation]

    def parse(self, operation: str, request: Mapping[str, Any]) -> dict[str, Any]:
        """The members that the operation knows, their types checked; others and nulls are left out.

        Raises:
            UnknownOperationException, SerializationException
        """
        shape = self.input_shape(operation)
        parsed: dict[str, Any] = {} if shape is None else _parse(shape, request, decode=False)
        return parsed

    def parse_json(self, operation: str, body: Any) -> dict[str, Any]:
        """``parse`` for a body of JSON: blobs are base64 there."""
        shape = self.input_shape(operation)
        parsed: dict[str, Any] = {} if shape is None else _parse(shape, body, decode=True)
        return parsed

    def check_values(self, operation: str, request: Mapping[str, Any]) -> None:
        """Presence, length, range, pattern and enum of every member.

        Raises:
            ValidationException: with all faults in AWS's one sentence.
        """
        shape = self.input_shape(operation)
        faults = [] if shape is None else list(_faults(shape, request, ""))
        if faults:
            count = f"{len(faults)} validation error{'s' * (len(faults) > 1)} detected: "
            raise ValidationException(count + "; ".join(faults))

    def public_part(self, operation: str, request: Mapping[str, Any]) -> dict[str, Any]:
        """The request without its sensitive members, for the audit trail."""
        shape = self.input_shape(operation)
        return {} if shape is None else _public(shape, request)


@functools.cache
def service_model() -> ServiceModel:
    """The one model of this process."""
    return ServiceModel()


def to_json(value: Any) -> Any:
    """An answer as AWS JSON 1.1 has it: base64 for bytes, seconds for times."""
    if isinstance(value, str):
        return value
    if isinstance(value, dict | Mapping):
        return {key: to_json(member) for key, member in value.items()}
    if isinstance(value, list | tuple):
        return [to_json(member) for member in value]
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, datetime):
        return value.timestamp()
    return value


json_text = json.JSONEncoder(separators=(",", ":"), default=to_json).encode
"""An answer as the text of AWS JSON 1.1."""


# --- types ----------------------------------------------------------------------------------------


def _parse(shape: Shape, value: Any, *, decode: bool) -> Any:
    kind = shape.type_name
    if kind == "blob" and decode:
        return _decode_blob(value)
    _check_kind(kind, value)
    if kind == "structure":
        return {
            name: _parse(member, value[name], decode=decode)
            for name, member in shape.members.items()
            if value.get(name) is not None
        }
    if kind == "list":
        return [_parse(shape.member, item, decode=decode) for item in value]
    if kind == "map":
        return {
            _parse(shape.key, key, decode=decode): _parse(shape.value, item, decode=decode)
            for key, item in value.items()
        }
    if kind == "string":
        return _checked_text(value)
    if kind == "blob":
        return bytes(value)
    if kind == "timestamp" and not isinstance(value, datetime):
        return datetime.fromtimestamp(value, UTC)
    return value


def _check_kind(kind: str, value: Any) -> None:
    is_truth = isinstance(value, bool)
    if not isinstance(value, _JSON_TYPES[kind]) or (is_truth and kind != "boolean"):
        raise SerializationException(_wrong_type(kind, value))
    bits = _BITS.get(kind)
    if bits is not None and value.bit_length() >= bits:
        raise SerializationException(f"The number does not fit into {_TARGETS[kind]}.")


def _checked_text(value: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError:
        raise SerializationException("The text holds half of a surrogate pair.") from None
    return str(value)


def _decode_blob(value: Any) -> bytes:
    if not isinstance(value, str):
        raise SerializationException(_wrong_type("blob", value))
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        raise SerializationException("The binary value is not base64.") from None


_EXPECTED = {"list": "Expected list or null", "map": "Expected map or null"}
_TARGETS = {"boolean": "an Boolean", "integer": "an Integer", "long": "a Long"}


def _wrong_type(wanted: str, value: Any) -> str:
    if isinstance(value, Mapping):
        return "Start of structure or map found where not expected."
    if isinstance(value, list | tuple):
        return "Start of list found where not expected"
    if wanted == "structure":
        return "Expected null"
    if wanted in _EXPECTED:
        return _EXPECTED[wanted]
    truth = "TRUE_VALUE" if value is True else "FALSE_VALUE"
    names = {bool: truth, int: "NUMBER_VALUE", float: "NUMBER_VALUE"}
    found = names.get(type(value), "STRING_VALUE" if isinstance(value, str) else "The value")
    return f"{found} can not be converted to {_TARGETS.get(wanted, 'a String')}"


# --- values ---------------------------------------------------------------------------------------


def _faults(shape: Shape, value: Mapping[str, Any], path: str) -> Iterator[str]:
    for name in shape.required_members:
        if name not in value:
            where = _path(path, name)
            yield f"Value null at '{where}' failed to satisfy constraint: Member must not be null"
    for name, member in shape.members.items():
        if name in value:
            yield from _member_faults(member, value[name], _path(path, name))


def _member_faults(shape: Shape, value: Any, path: str) -> Iterator[str]:
    for constraint in _broken(shape, value):
        shown = "Value" if shape.metadata.get("sensitive") else f"Value '{_shown(value)}'"
        yield f"{shown} at '{path}' failed to satisfy constraint: {constraint}"
    if shape.type_name == "structure":
        yield from _faults(shape, value, path)
    elif shape.type_name == "list":
        inner = shape.member
        if inner.type_name == "structure":
            for index, item in enumerate(value):
                yield from _member_faults(inner, item, f"{path}.{index + 1}.member")
        elif any(True for item in value for _ in _broken(inner, item)):
            texts = ", ".join(_constraints(inner))
            yield (
                f"Value '{_shown(value)}' at '{path}' failed to satisfy constraint: "
                f"Member must satisfy constraint: [{texts}]"
            )


def _broken(shape: Shape, value: Any) -> Iterator[str]:
    for text, holds in _rules(shape):
        if not holds(value):
            yield text


def _constraints(shape: Shape) -> list[str]:
    return [text for text, _ in _rules(shape)]


_RULES: dict[int, tuple[Shape, list[tuple[str, Callable[[Any], bool]]]]] = {}


def _rules(shape: Shape) -> list[tuple[str, Callable[[Any], bool]]]:
    """The constraints of a shape as AWS words them, each with its test; kept by shape."""
    known = _RULES.get(id(shape))
    if known is not None and known[0] is shape:
        return known[1]
    rules = list(_make_rules(shape))
    _RULES[id(shape)] = (shape, rules)
    return rules


def _make_rules(shape: Shape) -> Iterator[tuple[str, Callable[[Any], bool]]]:
    limits = shape.metadata
    low, high = limits.get("min"), limits.get("max")
    numeric = shape.type_name in ("integer", "long")
    measure: Callable[[Any], int] = (lambda v: v) if numeric else len
    if limits.get("sensitive") and shape.type_name == "string":  # a value's quota is in bytes
        measure = _bytes_of
    what = "value" if numeric else "length"
    if high is not None:
        yield f"Member must have {what} less than or equal to {high}", lambda v: measure(v) <= high
    if low:
        yield f"Member must have {what} greater than or equal to {low}", lambda v: measure(v) >= low
    if "pattern" in limits:
        pattern = re.compile(limits["pattern"])
        yield (
            f"Member must satisfy regular expression pattern: {limits['pattern']}",
            lambda v: pattern.fullmatch(v) is not None,
        )
    if getattr(shape, "enum", None):
        options = list(shape.enum)
        yield (
            f"Member must satisfy enum value set: [{', '.join(options)}]",
            lambda v: v in options,
        )


def _bytes_of(text: str) -> int:
    return len(text.encode())


def _path(path: str, name: str) -> str:
    camel = name[0].lower() + name[1:]
    return f"{path}.{camel}" if path else camel


def _shown(value: Any) -> str:
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_shown(item) for item in value) + "]"
    return str(value)


def _public(shape: Shape, value: Mapping[str, Any]) -> dict[str, Any]:
    return {
        shown: _public_member(member, value[name])
        for name, shown, member in _public_members(shape)
        if name in value
    }


@functools.cache
def _public_members(shape: Shape) -> list[tuple[str, str, Shape]]:
    return [
        (name, name[0].lower() + name[1:], member)
        for name, member in shape.members.items()
        if not member.metadata.get("sensitive")
    ]


def _public_member(shape: Shape, value: Any) -> Any:
    if shape.type_name == "structure":
        return _public(shape, value)
    if shape.type_name == "list":
        return [_public_member(shape.member, item) for item in value]
    return to_json(value)
