"""What only a backend can tell of the secrets that settings refer to; for checks and commands."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from smclient import (
    NotSupportedError,
    ResourceNotFoundError,
    SecretRef,
    SecretValue,
    SmclientError,
    TransientError,
)
from smclient.fresh import ttl_of
from smclient.keyring import signing_key
from smclient.references import AnyReference, as_text, parse, shown
from smclient.remedies import with_remedy
from smclient_django import discover
from smclient_django.clients import clients
from smclient_django.values import SigningKey

DAY = 86_400.0


@dataclass(frozen=True, slots=True)
class Use:
    """A place in the settings and the secret it reads.

    ``parsed`` is ``None`` for a database, which reads the whole secret; ``signs`` says that the
    value is a signing key.
    """

    where: str
    alias: str
    ref: SecretRef
    parsed: AnyReference | None
    signs: bool = False


@dataclass(frozen=True, slots=True)
class Trouble:
    """What is wrong with a secret, where settings name it."""

    where: str
    said: str
    hint: str | None = None
    check_id: str = ""


def uses() -> list[Use]:
    """Every secret that the settings read, where they do. Bad references are left out."""
    found: list[Use] = []
    for place in discover.found_in_settings():
        value = place.value
        if value.problem is not None:
            continue
        parsed = parse(value.reference)
        where, signs = f"settings.{place.setting}", isinstance(value, SigningKey)
        found += [Use(where, value.alias, ref, parsed, signs) for ref in parsed.refs()]
    for _, wanted in discover.databases():
        found.append(Use(wanted.where, wanted.alias, SecretRef(wanted.secret_id), None))
    return found


def warm() -> list[Trouble]:
    """Read everything that the settings refer to: one batch for each alias, and one call for each
    reference to another stage or version. Returns what could not be read."""
    wanted: dict[str, list[str]] = {}
    for use in uses():
        if use.ref.is_current:
            wanted.setdefault(use.alias, []).append(use.ref.secret_id)
    for alias, ids in wanted.items():
        clients[alias].preload(ids)
    return list(dict.fromkeys(trouble for use in uses() for trouble in _tried(use)))


unreadable_secrets = warm


def _tried(use: Use) -> Iterator[Trouble]:
    try:
        if use.parsed is None:
            _check_login(use, read(use))
            return
        value = clients[use.alias].resolve(use.parsed)
        if use.signs:
            signing_key(as_text(value, use.parsed), use.parsed)
    except SmclientError as error:
        yield Trouble(_where(use), with_remedy(error))


def read(use: Use) -> SecretValue:
    """The version that a place of the settings reads. Raises what ``SecretsClient.get`` does."""
    ref = use.ref
    return clients[use.alias].get(
        ref.secret_id, version_stage=ref.version_stage, version_id=ref.version_id
    )


def unrotated_secrets() -> Iterator[Trouble]:
    """Secrets of databases without rotation, and those whose rotation outruns the ttl."""
    seen: set[tuple[str, str]] = set()
    for use in uses():
        key = use.alias, use.ref.secret_id
        if key not in seen:
            seen.add(key)
            yield from _rotation(use)


def _rotation(use: Use) -> Iterator[Trouble]:
    client = clients[use.alias]
    try:
        told: dict[str, Any] = client.call("DescribeSecret", SecretId=use.ref.secret_id)
    except (NotSupportedError, ResourceNotFoundError, TransientError):
        return  # a backend without rotation, or what W004 tells already
    except SmclientError as error:
        said = f"whether it is rotated is not known: {with_remedy(error)}"
        yield Trouble(use.where, said, "allow secretsmanager:DescribeSecret too", "smclient.W007")
        return
    rules = told.get("RotationRules") or {}
    days = rules.get("AutomaticallyAfterDays")
    ttl = ttl_of(client, use.ref)
    if told.get("RotationEnabled") and days and ttl > days * DAY:
        yield Trouble(
            use.where,
            f"its secret is rotated every {days} days, and a value is served for {ttl:g} s",
            "set TTL (or that of PER_SECRET) of SMCLIENT below the rotation interval",
            "smclient.W003",
        )
    if use.parsed is None and not told.get("RotationEnabled"):
        yield Trouble(
            use.where,
            f"secret {use.ref.secret_id!r} is not rotated",
            "give it a rotation function and a schedule; logins survive it",
            "smclient.W005",
        )


def _check_login(use: Use, value: SecretValue) -> None:
    for _, wanted in discover.databases():
        if wanted.where == use.where:
            wanted.filled({}, value)


def _where(use: Use) -> str:
    return use.where if use.parsed is None else f"{use.where} = {shown(use.parsed)!r}"
