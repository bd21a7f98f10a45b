"""What is asked for and what comes back: ``SecretRef``, ``SecretValue``, text that hides itself."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NoReturn

from smclient.errors import (
    ConfigError,
    NotBinaryError,
    NotJsonError,
    NotTextError,
    SecretKeyError,
)

AWSCURRENT = "AWSCURRENT"
AWSPENDING = "AWSPENDING"
AWSPREVIOUS = "AWSPREVIOUS"

MASK = "***"


@dataclass(frozen=True, slots=True)
class SecretRef:
    """One version of one secret, as it is asked for.

    ``secret_id`` is a name, a full ARN or an ARN without its six random characters. Without a
    version id and without a stage it means AWSCURRENT, so that both spellings are equal.
    """

    secret_id: str
    version_stage: str | None = None
    version_id: str | None = None

    def __post_init__(self) -> None:
        if not self.secret_id:
            raise ConfigError("a secret id is empty; give a name or an ARN")
        if self.version_stage is None and self.version_id is None:
            object.__setattr__(self, "version_stage", AWSCURRENT)

    @property
    def is_current(self) -> bool:
        """Whether this asks for AWSCURRENT and nothing else."""
        return self.version_id is None and self.version_stage == AWSCURRENT


class RedactedStr(str):
    """A real string whose ``repr`` is stars. ``str()`` of it is the plain text.

    Works wherever a string works. It refuses to be pickled; say ``str(value)`` where that is meant.
    """

    __slots__ = ()

    def __repr__(self) -> str:
        return f"'{MASK}'"

    def __copy__(self) -> RedactedStr:
        return self

    def __deepcopy__(self, memo: object) -> RedactedStr:
        return self

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a secret string refuses pickling; pass str(value) if that is meant")


class _Fields(dict[str, Any]):
    """A JSON object read once: keys are looked up in it without parsing again."""

    def __repr__(self) -> str:
        return f"{{{MASK}}}"


ARN_SUFFIX = 7
"""An ARN ends in a hyphen and six random characters."""


class SecretValue:
    """One version of a secret with its value. Never shows the value unless asked.

    ``text`` and ``binary`` give the value, ``json()`` the parsed text, ``value["key"]`` one field
    of a JSON object. ``repr``, ``str`` and ``format`` show the name and the version only; pickling
    and copying are refused, so that the value does not end up where nobody looks for it.
    """

    __slots__ = (
        "_binary",
        "_keyed",
        "_text",
        "arn",
        "created_date",
        "name",
        "version_id",
        "version_stages",
    )

    arn: str
    name: str
    version_id: str
    version_stages: frozenset[str]
    created_date: datetime | None

    def __init__(
        self,
        *,
        arn: str,
        name: str,
        version_id: str,
        version_stages: Iterable[str] = (),
        created_date: datetime | None = None,
        text: str | None = None,
        binary: bytes | None = None,
    ) -> None:
        if (text is None) == (binary is None):
            raise ConfigError(f"secret {name!r}: a value is either text or binary")
        self.arn = arn
        self.name = name
        self.version_id = version_id
        self.version_stages = frozenset(version_stages)
        self.created_date = created_date
        self._text = None if text is None else RedactedStr(text)
        self._binary = binary
        self._keyed: _Fields | None = None

    @property
    def is_binary(self) -> bool:
        """Whether the value is bytes."""
        return self._binary is not None

    @property
    def text(self) -> str:
        """The value as text. Raises ``NotTextError`` for a binary secret."""
        if self._text is None:
            raise NotTextError(f"secret {self.name!r} is binary; read .binary instead of .text")
        return self._text

    @property
    def binary(self) -> bytes:
        """The value as bytes. Raises ``NotBinaryError`` for a text secret."""
        if self._binary is None:
            raise NotBinaryError(f"secret {self.name!r} is text; read .text instead of .binary")
        return self._binary

    def json(self) -> Any:
        """The text parsed as JSON, new at each call. Raises ``NotJsonError``."""
        text = self.text
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            pass  # the parser's own error holds the whole text, so it is not chained
        raise NotJsonError(f"secret {self.name!r} is not JSON; read .text, or store a JSON object")

    @property
    def fields(self) -> Mapping[str, Any]:
        """The top-level fields of a JSON object. Raises ``NotJsonError``. Do not change it."""
        if self._keyed is None:
            self._keyed = _fields_of(self.json())
        if self._keyed is None:
            raise NotJsonError(
                f"secret {self.name!r} is JSON but not an object, so it has no keys; "
                "read .json() instead"
            )
        return self._keyed

    def __getitem__(self, key: str) -> Any:
        """One top-level field. Raises ``NotJsonError`` or ``SecretKeyError``."""
        fields = self.fields
        if key not in fields:
            raise self.no_key(key)
        value = fields[key]
        return value if isinstance(value, str) else deepcopy(value)

    def no_key(self, key: str) -> SecretKeyError:
        """The error that says which keys there are."""
        keys = ", ".join(sorted(map(repr, self.fields))) or "none"
        return SecretKeyError(
            f"secret {self.name!r} has no key {key!r}; its keys are {keys}; a reference may say "
            "optional=1 where it may be absent"
        )

    def __contains__(self, key: object) -> bool:
        return key in self.fields

    def __iter__(self) -> NoReturn:
        raise TypeError("a SecretValue is not iterable; use .json() for its content")

    def size(self) -> int:
        """About how many bytes the value holds in memory."""
        return len(self._text.encode()) if self._text is not None else len(self._binary or b"")

    def same_value(self, other: SecretValue) -> bool:
        """Whether both hold the same value, compared in constant time."""
        if self.is_binary != other.is_binary:
            return False
        mine, theirs = (v._binary or (v._text or "").encode() for v in (self, other))
        return _same(mine, theirs)

    def __repr__(self) -> str:
        stages = ",".join(sorted(self.version_stages))
        return f"SecretValue({MASK}, name={self.name!r}, version={self.version_id!r} [{stages}])"

    def __format__(self, spec: str) -> str:
        return repr(self)

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a SecretValue refuses pickling and copying; pass its reference instead")

    def __copy__(self) -> NoReturn:
        raise TypeError("a SecretValue refuses copying; it never changes, so share it")

    def __deepcopy__(self, memo: object) -> NoReturn:
        raise TypeError("a SecretValue refuses copying; it never changes, so share it")


def _same(one: bytes, other: bytes) -> bool:
    from hmac import compare_digest  # loads OpenSSL's hashes: 4 ms, needed by few

    return compare_digest(one, other)


def _fields_of(parsed: Any) -> _Fields | None:
    return _Fields(hidden(parsed)) if isinstance(parsed, dict) else None


def hidden(value: Any) -> Any:
    """JSON content with every string in it hidden from ``repr``, however deep."""
    if isinstance(value, str):
        return RedactedStr(value)
    if isinstance(value, dict):
        return {key: hidden(item) for key, item in value.items()}
    return [hidden(item) for item in value] if isinstance(value, list) else value


class LazySecret:
    """A secret that is read at each use: ``str(lazy)`` is the value of that moment.

    Neither iterable nor indexable: libraries take an iterable for a list of keys and would sign
    with single characters of it (seen with itsdangerous). Compares in constant time. Its ``repr``
    has ``shown``, or the reference.
    """

    __slots__ = ("_read", "_shown", "reference")

    def __init__(
        self, reference: str, read: Callable[[], str], *, shown: str | None = None
    ) -> None:
        self.reference = reference
        self._read = read
        self._shown = reference if shown is None else shown

    def __str__(self) -> str:
        return str(self._read())

    def __repr__(self) -> str:
        return f"LazySecret({self._shown!r})"

    def __format__(self, spec: str) -> str:
        return format(str(self), spec)

    def encode(self, encoding: str = "utf-8", errors: str = "strict") -> bytes:
        """The text of this moment, encoded."""
        return str(self).encode(encoding, errors)

    def __bool__(self) -> bool:
        return bool(str(self))

    def __eq__(self, other: object) -> bool:
        if isinstance(other, str | LazySecret):
            return _same(str(self).encode(), str(other).encode())
        return NotImplemented

    __hash__ = None  # type: ignore[assignment]  # its text changes, so it must not be a dict key

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a LazySecret refuses pickling; pass its reference instead")


@dataclass(frozen=True, slots=True)
class SecretDescription:
    """What DescribeSecret says: labels, rotation and key, never a value."""

    arn: str
    name: str
    version_stages: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """Version id to its staging labels."""
    kms_key_id: str | None = None
    next_rotation_date: datetime | None = None
    last_changed_date: datetime | None = None
    deleted_date: datetime | None = None
    rotation_enabled: bool | None = None
    tags: Mapping[str, str] = field(default_factory=dict)

    def version_at(self, stage: str) -> str | None:
        """The version id that carries a staging label, if any."""
        for version_id, stages in self.version_stages.items():
            if stage in stages:
                return version_id
        return None
