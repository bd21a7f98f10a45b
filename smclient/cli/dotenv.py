"""Environments as text: read from dotenv, written as dotenv, shell, JSON and YAML. Pure."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping
from typing import Any

VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

_LINE = re.compile(
    r"""[^\S\n]* (?:export[^\S\n]+)? (?P<name>[A-Za-z_][A-Za-z0-9_.-]*) [^\S\n]* = [^\S\n]*
    (?: '(?P<single>(?:[^'\\]|\\.)*)' | "(?P<double>(?:[^"\\]|\\.)*)" | (?P<bare>[^\n'"][^\n]*)? )
    [^\S\n]* (?:\#[^\n]*)? (?:\n|\Z)""",
    re.VERBOSE | re.DOTALL,
)
_EMPTY = re.compile(r"[^\S\n]*(?:#[^\n]*)?(?:\n|\Z)")
_SAFE = re.compile(r"[A-Za-z0-9_./:@%+,=-]+")
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t"}


class DotenvError(ValueError):
    """A line that is no assignment. The message has its number, not its text: it may be a value."""


def parse_dotenv(text: str) -> dict[str, str]:
    """The assignments of a dotenv file; a later one of the same name wins.

    ``export``, comments, bare, single- and double-quoted values over several lines are understood.
    A backslash in double quotes makes n, r and t what they are in Python, any other character
    itself; in single quotes it stands for itself unless before a quote or another backslash. ``$``
    is nothing special.

    Raises:
        DotenvError: naming the line.
    """
    text = text.removeprefix("\ufeff").replace("\r\n", "\n")
    found: dict[str, str] = {}
    position = 0
    while position < len(text):
        empty = _EMPTY.match(text, position)
        if empty is not None and empty.end() > position:
            position = empty.end()
            continue
        match = _LINE.match(text, position)
        if match is None:
            line = text.count("\n", 0, position) + 1
            text = ""
            raise DotenvError(f"line {line} is no assignment such as NAME='value'")
        found[match["name"]] = _unquoted(match)
        position = match.end()
    return found


def _unquoted(match: re.Match[str]) -> str:
    if match["single"] is not None:
        return re.sub(r"\\(['\\])", r"\1", match["single"])
    if match["double"] is not None:
        return re.sub(
            r"\\(.)", lambda m: _ESCAPES.get(m[1], m[1]), match["double"], flags=re.DOTALL
        )
    return re.sub(r"(?:^|\s+)#.*", "", match["bare"] or "").strip()


def write_dotenv(variables: Mapping[str, Any]) -> str:
    """A dotenv file that ``parse_dotenv`` reads back; bare where nothing needs a quote."""
    return "".join(f"{name}={_quoted(text_of(v))}\n" for name, v in variables.items())


def _quoted(text: str) -> str:
    if _SAFE.fullmatch(text):
        return text
    if "'" not in text and "\\" not in text and "\r" not in text:
        return f"'{text}'"
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + escaped.replace("\n", "\\n").replace("\r", "\\r") + '"'


def write_shell(variables: Mapping[str, Any]) -> str:
    """Lines for ``eval``: export NAME='value', for POSIX shells."""
    return "".join(f"export {name}={shlex.quote(text_of(v))}\n" for name, v in variables.items())


def write_json(variables: Mapping[str, Any]) -> str:
    """One object; numbers and objects as they are in the secrets."""
    return json.dumps(dict(variables), indent=2, ensure_ascii=False) + "\n"


def write_yaml(variables: Mapping[str, Any]) -> str:
    """One mapping, each value as JSON, which every YAML reader takes: nothing is guessed."""
    return "".join(f"{_yaml(name)}: {_yaml(v)}\n" for name, v in variables.items()) or "{}\n"


def _yaml(value: Any) -> str:
    plain = json.dumps(value, ensure_ascii=False)
    return "".join(c if c.isprintable() else _escaped(ord(c)) for c in plain)


def _escaped(code: int) -> str:
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def text_of(value: Any) -> str:
    """A JSON value as an environment holds it: text as it is, null as nothing, else JSON."""
    if isinstance(value, str):
        return str(value)
    return "" if value is None else json.dumps(value)
