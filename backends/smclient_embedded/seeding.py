"""Secrets that are there from the start: an init file in JSON or TOML, read and sown.

    {"secrets": {"prod/db": {"username": "app", "password": "…"}, "prod/token": "…"}}

    [[secrets]]
    name = "prod/tls"
    value_file = "server.pem"
    tags = {env = "prod"}

Either a table of names and values (a text as it is, anything else as JSON), or a list of secrets
with ``name`` and at most one of ``value``, ``binary`` (base64), ``value_file``; also
``description``, ``tags``, ``kms_key``, ``account``, ``region``. A secret that is there already is
left alone.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from smclient.errors import ConfigError
from smclient_embedded.config_reading import content_of
from smclient_embedded.context import Principal, RequestContext
from smclient_embedded.errors import ServiceError

if TYPE_CHECKING:
    from smclient_embedded.service import EmbeddedService

_VALUES = ("value", "binary", "value_file")
_KNOWN = ("name", *_VALUES, "description", "tags", "kms_key", "account", "region")


@dataclass(frozen=True, slots=True)
class Seed:
    """One secret of an init file. Hides its value."""

    name: str
    request: Mapping[str, Any] = field(repr=False)
    account: str | None = None
    region: str | None = None


def read_seeds(path: Path) -> list[Seed]:
    """The secrets of an init file: TOML if its name ends so, else JSON.

    Raises:
        ConfigError: it cannot be read, or says something that nobody reads; the message names the
            place, never a value.
    """
    return list(seeds_of(content_of(path, f"the init file {path}"), path))


def sow(service: EmbeddedService, seeds: Sequence[Seed]) -> int:
    """Create what is not there yet, as the administrator of each account; how many were.

    Raises:
        ConfigError: the service refuses one; its name and the reason are said.
    """
    created = 0
    for seed in seeds:
        context = _context(service, seed)
        try:
            service.call("DescribeSecret", {"SecretId": seed.name}, context)
            continue
        except ServiceError as error:
            if error.code != "ResourceNotFoundException":
                raise ConfigError(f"the secret {seed.name!r} of the init file: {error}") from None
        token = context.request_id
        try:
            service.call("CreateSecret", {**seed.request, "ClientRequestToken": token}, context)
        except ServiceError as error:
            if error.code != "ResourceExistsException":  # else another node was faster
                raise ConfigError(f"the secret {seed.name!r} of the init file: {error}") from None
        created += 1
    return created


def _context(service: EmbeddedService, seed: Seed) -> RequestContext:
    principal = Principal.administrator(seed.account or service.account)
    return service.context(principal, seed.region)


def seeds_of(content: Any, path: Path) -> Iterator[Seed]:
    if not isinstance(content, Mapping) or set(content) != {"secrets"}:
        raise ConfigError(f"the init file {path} has to have one member, 'secrets'")
    secrets = content["secrets"]
    if isinstance(secrets, Mapping):
        secrets = [{"name": name, "value": value} for name, value in secrets.items()]
    if not isinstance(secrets, list):
        raise ConfigError(f"'secrets' in {path} is neither a list nor a table of names and values")
    for number, one in enumerate(secrets, 1):
        yield _seed(one, path, f"secret {number} in {path}")


def _seed(one: Any, path: Path, where: str) -> Seed:
    if not isinstance(one, Mapping) or not isinstance(one.get("name"), str):
        raise ConfigError(f"{where} has no 'name'")
    where = f"{where} ({one['name']!r})"
    unknown = sorted(set(one) - set(_KNOWN))
    if unknown:
        raise ConfigError(f"{where} has no member {unknown[0]!r}; known: {', '.join(_KNOWN)}")
    for name in ("binary", "value_file", "description", "kms_key", "account", "region"):
        if name in one and not isinstance(one[name], str):
            raise ConfigError(f"{where}: {name!r} has to be a text")
    request: dict[str, Any] = {"Name": one["name"], **_value(one, path, where)}
    if "description" in one:
        request["Description"] = one["description"]
    if "kms_key" in one:
        request["KmsKeyId"] = one["kms_key"]
    if "tags" in one:
        tags = one["tags"]
        if not isinstance(tags, Mapping) or not all(isinstance(v, str) for v in tags.values()):
            raise ConfigError(f"{where}: 'tags' has to be a table of texts")
        request["Tags"] = [{"Key": key, "Value": value} for key, value in tags.items()]
    return Seed(one["name"], request, one.get("account"), one.get("region"))


def _value(one: Mapping[str, Any], path: Path, where: str) -> dict[str, Any]:
    given = [name for name in _VALUES if name in one]
    if len(given) > 1:
        raise ConfigError(f"{where} has both {given[0]!r} and {given[1]!r}")
    if given == ["binary"]:
        try:
            return {"SecretBinary": base64.b64decode(one["binary"], validate=True)}
        except (binascii.Error, ValueError):
            raise ConfigError(f"{where}: 'binary' is not base64") from None
    if given == ["value_file"]:
        file = path.parent / one["value_file"]
        try:
            return {"SecretString": file.read_text(encoding="utf-8")}
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "it is not UTF-8"
            raise ConfigError(f"{where}: {file} cannot be read: {reason}") from None
    if given == ["value"]:
        value = one["value"]
        try:
            return {"SecretString": value if isinstance(value, str) else json.dumps(value)}
        except TypeError:
            raise ConfigError(f"{where}: 'value' holds what JSON does not have, a date") from None
    return {}
