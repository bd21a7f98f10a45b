"""Which variables secrets become. Shared by ``exec`` and ``export``."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from smclient import references
from smclient.cli.dotenv import VARIABLE, text_of
from smclient.client import SecretsClient
from smclient.errors import ConfigError, NotTextError, SmclientError
from smclient.secret import SecretValue

_ASSIGNMENT = re.compile(r"(?P<name>[A-Za-z_][A-Za-z0-9_]*)=(?P<reference>.*)", re.DOTALL)


class EnvironmentRefusedError(SmclientError):
    """The secrets do not give the environment that was asked for."""


@dataclass(frozen=True, slots=True)
class Found:
    """Variables from secrets, and the versions of the secrets they came from."""

    variables: dict[str, Any] = field(default_factory=dict, repr=False)
    sources: dict[str, str] = field(default_factory=dict)
    """Variable to the secret it came from."""


def read_secrets(client: SecretsClient, asked: Iterable[str], *, upper: bool = False) -> Found:
    """The variables of some secrets, later ones over earlier ones.

    Each is a name, an ARN or a reference; the keys of a JSON object become variables, any other
    value one variable named after the last part of the secret's name. ``NAME=reference`` says the
    name itself. Characters that a variable cannot have become ``_``.

    Raises:
        EnvironmentRefusedError: two keys of a secret would become the same variable.
        NotTextError: a secret is binary.
    """
    found = Found()
    for text in asked:
        match = _ASSIGNMENT.fullmatch(text)
        if match is not None:
            value = client.resolve(match["reference"])
            if value is not None:
                found.variables[match["name"]] = references.as_text(
                    value, references.parse(match["reference"])
                )
                found.sources[match["name"]] = match["reference"]
            continue
        variables = _of_secret(client, text, upper)
        found.variables.update(variables)
        found.sources.update(dict.fromkeys(variables, text))
    return found


def refs_in(asked: Iterable[str]) -> list[tuple[str, str | None, str | None]]:
    """Id, stage and version of every secret that ``read_secrets`` would read."""
    refs: list[tuple[str, str | None, str | None]] = []
    for text in asked:
        match = _ASSIGNMENT.fullmatch(text)
        reference = match["reference"] if match is not None else text
        if match is None and not references.is_reference(reference):
            refs.append((reference, None, None))
            continue
        for ref in references.parse(reference).refs():
            refs.append(
                (ref.secret_id, None if ref.version_id else ref.version_stage, ref.version_id)
            )
    return list(dict.fromkeys(refs))


def references_in(environ: Mapping[str, str]) -> list[str]:
    """Variables of an environment that are references, as ``NAME=reference``."""
    return [
        f"{n}={v}"
        for n, v in environ.items()
        if references.is_reference(v) and VARIABLE.fullmatch(n)
    ]


def build(
    environ: Mapping[str, str],
    found: Found,
    *,
    pristine: bool = False,
    strict: bool = False,
    placeholder: str = "",
) -> dict[str, str]:
    """The environment of a child.

    Args:
        environ: what there is now.
        found: what the secrets give.
        pristine: only what the secrets give.
        strict: every placeholder and reference in ``environ`` must be given by a secret, and
            nothing else in it may be.
        placeholder: the text that stands for "a secret gives this".

    Raises:
        EnvironmentRefusedError: naming the variables, never a value.
    """
    given = {name: text_of(value) for name, value in found.variables.items()}
    bad = sorted(name for name, text in given.items() if "\0" in text)
    if bad:
        given.clear()
        raise EnvironmentRefusedError(f"an environment cannot hold a NUL: {', '.join(bad)}")
    if strict:
        expected = {n for n, v in environ.items() if v == placeholder or references.is_reference(v)}
        missing = sorted(expected - given.keys())
        clobbered = sorted(name for name in given if name in environ and name not in expected)
        if missing or clobbered:
            given.clear()
            told = [f"no secret gives {', '.join(missing)}"] if missing else []
            told += [f"they are set already: {', '.join(clobbered)}"] if clobbered else []
            raise EnvironmentRefusedError("--strict: " + "; ".join(told))
    kept = {} if pristine else {n: v for n, v in environ.items() if not references.is_reference(v)}
    return {**kept, **given}


def _of_secret(client: SecretsClient, text: str, upper: bool) -> dict[str, Any]:
    if references.is_reference(text):
        parsed = references.parse(text)
        if isinstance(parsed, references.Reference) and parsed.key is None:
            ref = parsed.ref
            stage = None if ref.version_id else ref.version_stage
            value = client.get(ref.secret_id, version_stage=stage, version_id=ref.version_id)
        else:
            raise ConfigError(f"{text}: a part of a secret has no name; write NAME={text}")
    else:
        value = client.get(text)
    fields = _fields(value)
    if fields is None:
        return {_variable(value.name.rpartition("/")[2].upper(), upper): value.text}
    names: dict[str, str] = {}
    for key in fields:
        name = _variable(key, upper)
        if name in names:
            other = names[name]
            del fields, value
            raise EnvironmentRefusedError(
                f"secret {text!r}: keys {other!r} and {key!r} are both the variable {name}"
            )
        names[name] = key
    return {name: value[key] for name, key in names.items()}


def _fields(value: SecretValue) -> Mapping[str, Any] | None:
    if value.is_binary:
        raise NotTextError(f"secret {value.name!r} is binary; an environment holds text only")
    try:
        return value.fields
    except SmclientError:
        return None


def _variable(key: str, upper: bool) -> str:
    name = re.sub(r"[^A-Za-z0-9_]", "_", key) or "_"
    name = f"_{name}" if name[0].isdigit() else name
    return name.upper() if upper else name
