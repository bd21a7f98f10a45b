"""The reference grammar: text that names a secret, parsed once, with the wrong segment named.

    secret://<name-or-arn>[?stage=…|version=…][&optional=1][#key]
    {{resolve:secretsmanager:<id>[:SecretString[:key[:stage[:version]]]]}}   also inside longer text
    [optional:]aws-secretsmanager:<id>[;<id>…]                               as Spring writes it
    arn:…:secret:<name>-AbCdEf[:key[:stage[:version]]]                       only where asked for

``parse`` reads one reference, ``find`` looks at a configuration value and leaves alone what is
none. Names may hold ``A-Z a-z 0-9 / _ + = . @ ! -``; ``%``, ``?`` and ``#`` are percent-encoded.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn
from urllib.parse import unquote

from smclient.errors import InvalidReferenceError, NotJsonError, NotTextError, ResourceNotFoundError
from smclient.secret import RedactedStr, SecretRef, SecretValue, hidden

SCHEME = "secret://"
SPRING = "aws-secretsmanager:"
SPRING_OPTIONAL = "optional:"

_NAME = re.compile(r"[A-Za-z0-9/_+=.@!-]{1,512}")
_ARN = re.compile(r"arn:[a-z0-9-]+:secretsmanager:[a-z0-9-]+:[0-9]{12}:secret:[A-Za-z0-9/_+=.@!-]+")
_ARN_START = re.compile(r"arn:[a-z0-9-]+:secretsmanager:")
_DYNAMIC = re.compile(r"\{\{resolve:secretsmanager:(?P<body>[^{}]*)\}\}")
_DYNAMIC_START = "{{resolve:secretsmanager:"
_DYNAMIC_OPENED = re.compile(r"\{\{resolve:secretsmanager:[^{}\s]+?:SecretString")
_BAD_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")
_YES_NO = {"1": True, "true": True, "0": False, "false": False}


@dataclass(frozen=True, slots=True)
class Reference:
    """One secret, or one key of it, as a reference names it."""

    ref: SecretRef
    key: str | None = None
    optional: bool = False

    def refs(self) -> tuple[SecretRef, ...]:
        """Every secret that resolving this reads."""
        return (self.ref,)

    def render(self, read: Callable[[Reference], Any]) -> Any:
        """The value, given a way to read one reference."""
        return read(self)

    def __str__(self) -> str:
        query = []
        if self.ref.version_id is not None:
            query.append(f"version={_quote(self.ref.version_id)}")
        elif not self.ref.is_current:
            query.append(f"stage={_quote(self.ref.version_stage or '')}")
        if self.optional:
            query.append("optional=1")
        tail = f"#{_quote(self.key)}" if self.key is not None else ""
        return SCHEME + self.ref.secret_id + ("?" + "&".join(query) if query else "") + tail


@dataclass(frozen=True, slots=True)
class Template:
    """Longer text with references inside it, as CloudFormation allows."""

    parts: tuple[str | Reference, ...]

    @property
    def optional(self) -> bool:
        """Whether it may lead nowhere: all that it refers to may."""
        return all(part.optional for part in self.parts if isinstance(part, Reference))

    def refs(self) -> tuple[SecretRef, ...]:
        """Every secret that resolving this reads."""
        return tuple(part.ref for part in self.parts if isinstance(part, Reference))

    def render(self, read: Callable[[Reference], Any]) -> str:
        """The text with every reference replaced by its value."""
        return RedactedStr(
            "".join(
                part if isinstance(part, str) else as_text(read(part), part) for part in self.parts
            )
        )

    def __str__(self) -> str:
        return "".join(part if isinstance(part, str) else _dynamic(part) for part in self.parts)


@dataclass(frozen=True, slots=True)
class Merged:
    """Several JSON secrets read as one object, later ones first, as Spring's list does."""

    parts: tuple[Reference, ...]

    @property
    def optional(self) -> bool:
        """Whether it may lead nowhere: all that it refers to may."""
        return all(part.optional for part in self.parts)

    def refs(self) -> tuple[SecretRef, ...]:
        """Every secret that resolving this reads."""
        return tuple(part.ref for part in self.parts)

    def render(self, read: Callable[[Reference], Any]) -> dict[str, Any]:
        """One dict of all fields. Raises ``NotJsonError`` for a secret that is no JSON object."""
        merged: dict[str, Any] = {}
        for part in self.parts:
            merged.update(_as_object(part, read(part)))
        return merged

    def __str__(self) -> str:
        prefix = SPRING_OPTIONAL if self.parts[0].optional else ""
        return prefix + SPRING + ";".join(part.ref.secret_id for part in self.parts)


AnyReference = Reference | Template | Merged


def parse(text: str, *, arns: bool = True) -> AnyReference:
    """Read a reference. With ``arns`` a bare ARN, also ECS's longer form, is one too.

    Raises:
        InvalidReferenceError: naming the segment that is wrong.
    """
    found = find(text)
    if found is None and arns and _ARN_START.match(text):
        found = _parse_arn(text, text)
    if found is None:
        _refuse(
            text,
            "form",
            "it is none of secret://NAME[#key], {{resolve:secretsmanager:NAME:SecretString:key}}, "
            "aws-secretsmanager:NAME" + (" or a secret's ARN" if arns else ""),
        )
    return found


def find(text: str) -> AnyReference | None:
    """What a configuration value refers to, or ``None`` if it is ordinary text (bare ARNs too).

    Raises:
        InvalidReferenceError: it looks like a reference and is a bad one.
    """
    if text.startswith(SCHEME):
        return _parse_uri(text)
    if _DYNAMIC_START in text:
        return _parse_dynamic(text)
    if text.startswith((SPRING, SPRING_OPTIONAL + SPRING)):
        return _parse_spring(text)
    return None


def is_reference(text: str) -> bool:
    """Whether configuration scanning would take this text for a reference, good or bad."""
    return _DYNAMIC_START in text or text.startswith((SCHEME, SPRING, SPRING_OPTIONAL + SPRING))


def shown(reference: AnyReference | str) -> str:
    """What may be shown of a reference, parsed or as somebody wrote it: without the text around it,
    which might be a password written out."""
    if isinstance(reference, Template):
        return " and ".join(str(part) for part in reference.parts if isinstance(part, Reference))
    if isinstance(reference, str) and _DYNAMIC_START in reference:
        whole = [match[0] for match in _DYNAMIC.finditer(reference)]
        return " and ".join(whole) or _opened(reference)
    return str(reference)


def read(reference: Reference, get: Callable[[SecretRef], SecretValue]) -> Any:
    """What a reference names, read with ``get``; ``None`` where it is optional and absent.

    Raises:
        What ``get`` and ``pick`` raise.
    """
    try:
        value = get(reference.ref)
    except ResourceNotFoundError:
        if reference.optional:
            return None
        raise
    return pick(value, reference)


def pick(value: SecretValue, reference: Reference) -> Any:
    """What a reference says of a value that was read: the whole text, or one key of the JSON.

    A flat key wins over JMESPath. Strings come as strings, numbers and objects as JSON has them.

    Raises:
        NotJsonError: a key is asked of what is no JSON object.
        SecretKeyError: it has no such key; an optional reference gives ``None`` then.
    """
    if reference.key is None:
        return value.binary if value.is_binary else value.text
    fields = value.fields
    if reference.key in fields:
        return value[reference.key]
    found = _search(reference.key, value)
    if found is None and not reference.optional:
        raise value.no_key(reference.key)
    return found


def _search(key: str, value: SecretValue) -> Any:
    import jmespath

    try:
        return hidden(jmespath.search(key, value.json()))  # its functions know plain str only
    except (ValueError, RecursionError):
        return None  # a key that is no JMESPath expression is simply not there


def _parse_uri(text: str) -> Reference:
    body, hash_, key = text[len(SCHEME) :].partition("#")
    secret_id, question, query = body.partition("?")
    if _BAD_PERCENT.search(text):
        _refuse(text, "percent-encoding", "write a lone % as %25")
    options = _parse_query(text, query) if question else {}
    if "stage" in options and "version" in options:
        _refuse(text, "query", "stage and version exclude each other")
    if hash_ and not key:
        _refuse(text, "key", "it is empty after #")
    return Reference(
        ref=SecretRef(
            _checked_id(text, unquote(secret_id)),
            version_stage=options.get("stage"),
            version_id=options.get("version"),
        ),
        key=unquote(key) if hash_ else None,
        optional=_YES_NO[options.get("optional", "0")],
    )


def _parse_query(text: str, query: str) -> dict[str, str]:
    options: dict[str, str] = {}
    for pair in query.split("&"):
        name, equals, value = pair.partition("=")
        if name not in ("stage", "version", "optional"):
            _refuse(text, f"query option {name!r}", "the options are stage, version and optional")
        if name in options:
            _refuse(text, f"query option {name!r}", "it stands there twice")
        if not equals or not value:
            _refuse(text, f"query option {name!r}", "it has no value")
        options[name] = unquote(value)
    if options.get("optional", "0") not in _YES_NO:
        _refuse(text, "query option 'optional'", "its value is 1 or 0")
    return options


def _parse_dynamic(text: str) -> Reference | Template:
    parts: list[str | Reference] = []
    position = 0
    for match in _DYNAMIC.finditer(text):
        parts += [text[position : match.start()], _parse_dynamic_body(match[0], match["body"])]
        position = match.end()
    parts.append(text[position:])
    for part in parts:
        if isinstance(part, str) and _DYNAMIC_START in part:
            _refuse(_opened(part), "end", "the closing }} is missing")
    parts = [part for part in parts if part != ""]
    if len(parts) == 1 and isinstance(parts[0], Reference):
        return parts[0]
    return Template(tuple(parts))


def _opened(text: str) -> str:
    """A reference without an end, as far as it is one for sure."""
    match = _DYNAMIC_OPENED.search(text)
    return f"{match[0]}…" if match else f"{_DYNAMIC_START}…"


def _parse_dynamic_body(text: str, body: str) -> Reference:
    secret_id, marker, rest = body.partition(":SecretString")
    if marker and rest and not rest.startswith(":"):
        _refuse(text, "SecretString segment", "after SecretString comes : or the end")
    if not marker and not _ARN_START.match(secret_id) and ":" in secret_id:
        _refuse(text, f"segment {secret_id.split(':')[1]!r}", "only SecretString can stand there")
    return _from_segments(text, secret_id, rest[1:].split(":") if rest else [])


def _parse_arn(text: str, arn: str) -> Reference:
    segments = arn.split(":")
    return _from_segments(text, ":".join(segments[:7]), segments[7:])


def _from_segments(text: str, secret_id: str, segments: list[str]) -> Reference:
    if len(segments) > 3:
        _refuse(text, f"segment {segments[3]!r}", "after the version id nothing can follow")
    key, stage, version = [*segments, "", "", ""][:3]
    if stage and version:
        _refuse(text, "version", "stage and version id exclude each other")
    return Reference(
        ref=SecretRef(
            _checked_id(text, secret_id), version_stage=stage or None, version_id=version or None
        ),
        key=key or None,
    )


def _parse_spring(text: str) -> Reference | Merged:
    optional = text.startswith(SPRING_OPTIONAL)
    ids = text.removeprefix(SPRING_OPTIONAL).removeprefix(SPRING).split(";")
    parts = tuple(Reference(SecretRef(_checked_id(text, i)), optional=optional) for i in ids)
    return parts[0] if len(parts) == 1 else Merged(parts)


def _checked_id(text: str, secret_id: str) -> str:
    if not secret_id:
        _refuse(text, "secret name", "it is empty")
    if secret_id.startswith("arn:"):
        if not _ARN.fullmatch(secret_id):
            _refuse(
                text,
                f"ARN {secret_id!r}",
                "an ARN reads arn:PARTITION:secretsmanager:REGION:ACCOUNT:secret:NAME",
            )
    elif not _NAME.fullmatch(secret_id):
        _refuse(
            text,
            f"secret name {secret_id!r}",
            "names have 1 to 512 letters, digits and /_+=.@!- (percent-encode ? # and %)",
        )
    return secret_id


def _refuse(text: str, segment: str, why: str) -> NoReturn:
    raise InvalidReferenceError(f"bad secret reference {text!r}: {segment}: {why}")


def _quote(text: str) -> str:
    return text.replace("%", "%25").replace("?", "%3F").replace("#", "%23").replace("&", "%26")


def _dynamic(reference: Reference) -> str:
    ref = reference.ref
    stage = "" if ref.is_current else ref.version_stage or ""
    segments = f"SecretString:{reference.key or ''}:{stage}:{ref.version_id or ''}".rstrip(":")
    return f"{_DYNAMIC_START}{ref.secret_id}:{segments}}}}}"


def as_text(value: Any, reference: AnyReference) -> str:
    """What a reference resolved to, as text: nothing for an absent value, JSON for an object.

    Raises:
        NotTextError: it is bytes that are no UTF-8.
    """
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, bytes):
        try:
            return RedactedStr(value.decode())
        except UnicodeDecodeError:
            pass  # that error holds the whole value, so it is not chained
        value = None
        raise NotTextError(
            f"{shown(reference)} is binary and no UTF-8, so it cannot be used as text"
        )
    import json

    return RedactedStr(json.dumps(value))


def _as_object(part: Reference, value: Any) -> Mapping[str, Any]:
    import json

    if value is None:
        return {}
    try:
        parsed = hidden(json.loads(value))
    except (ValueError, RecursionError):
        parsed = None
    if not isinstance(parsed, dict):
        parsed = value = None
        raise NotJsonError(f"secret {part.ref.secret_id!r} is no JSON object; it cannot be merged")
    return parsed
