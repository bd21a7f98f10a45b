"""Usage as Prometheus text (exposition format 0.0.4), and that text back to usage."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from smclient.errors import BackendUnavailableError, ConfigError
from smclient.report.measures import Family, families, usage_of
from smclient.usage import Usage

PREFIX = "smclient_"
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
MOST_BYTES = 64 * 1024 * 1024
"""More than this is not read from an endpoint or a file."""

_LINE = re.compile(
    r"(?P<name>[a-zA-Z_:][a-zA-Z0-9_:]*)"
    r"(?:\{(?P<labels>(?:[^\"}]|\"(?:[^\"\\]|\\.)*\")*)\})?"
    r"[ \t]+(?P<value>[^ \t]+)(?:[ \t]+-?\d+)?[ \t]*",
    re.DOTALL,
)
_LABEL = re.compile(
    r'[ \t]*([a-zA-Z_][a-zA-Z0-9_]*)[ \t]*=[ \t]*"((?:[^"\\]|\\.)*)"[ \t]*(?:,|$)', re.DOTALL
)
_ESCAPES = {"\\": "\\", '"': '"', "n": "\n"}


def render(usage: Usage) -> str:
    """The text that a metrics endpoint answers with; its type is ``CONTENT_TYPE``."""
    return "".join(line for family in families(usage) for line in _lines(family))


def parse(text: str) -> Usage:
    """The usage that ``render`` was given; metrics of others in the same text are left out.

    Raises:
        ConfigError: there are none of ours, or a line is none of the format.
    """
    return usage_of(_samples(text))


def read(source: str, *, timeout: float = 10.0) -> Usage:
    """The usage at a metrics endpoint (``http://`` or ``https://``) or in a file.

    Raises:
        BackendUnavailableError: the endpoint does not answer.
        ConfigError: there is no such file, or no usage in it.
    """
    if source.startswith(("http://", "https://")):
        raw = _get(source, timeout)
    else:
        try:
            with Path(source).open("rb") as file:
                raw = file.read(MOST_BYTES + 1)
        except OSError as error:
            raise ConfigError(f"{source} cannot be read: {error.strerror}") from error
    if len(raw) > MOST_BYTES:
        raise ConfigError(f"{source} holds more than {MOST_BYTES} bytes; that is no usage")
    try:
        return parse(raw.decode())
    except UnicodeDecodeError:
        raise ConfigError(f"{source} is no text") from None


def _get(url: str, timeout: float) -> bytes:
    from http.client import HTTPException
    from urllib.request import urlopen

    try:
        with urlopen(url, timeout=timeout) as answer:  # noqa: S310  http or https, looked at above
            raw: bytes = answer.read(MOST_BYTES + 1)
            return raw
    except (OSError, HTTPException, ValueError) as error:
        told = f"the metrics endpoint does not answer: {type(error).__name__}"
        raise BackendUnavailableError(told, attempts=0) from error


def _lines(family: Family) -> Iterator[str]:
    name = PREFIX + family.name
    told = family.help.replace("\\", r"\\").replace("\n", r"\n")
    yield f"# HELP {name} {told}\n# TYPE {name} {family.kind}\n"
    for sample in family.samples:
        labels = ",".join(f'{label}="{_escape(value)}"' for label, value in sample.labels)
        yield f"{name}{sample.suffix}{f'{{{labels}}}' if labels else ''} {sample.value!r}\n"


def _escape(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def _unescape(value: str) -> str:
    return re.sub(r"\\(.)", lambda m: _ESCAPES.get(m[1], "\\" + m[1]), value, flags=re.DOTALL)


def _samples(text: str) -> Iterator[tuple[str, dict[str, str], int | float]]:
    for number, raw in enumerate(text.split("\n"), 1):
        line = raw.strip(" \t\r") if not raw.startswith(PREFIX) else raw.rstrip(" \t\r")
        if not line.startswith(PREFIX):
            continue
        found = _LINE.fullmatch(line)
        if found is None:
            raise ConfigError(f"line {number} is no sample of Prometheus's text format")
        try:
            value = float(found["value"])
            whole = value.is_integer()
        except ValueError:
            raise ConfigError(f"line {number} has no number for a value") from None
        labels = {m[1]: _unescape(m[2]) for m in _LABEL.finditer(found["labels"] or "")}
        name = found["name"].removeprefix(PREFIX)
        yield name, labels, _number(found["value"], value, whole)


def _number(text: str, value: float, whole: bool) -> int | float:
    """Whole numbers exactly, however large."""
    try:
        return int(text)
    except ValueError:
        return int(value) if whole else value
