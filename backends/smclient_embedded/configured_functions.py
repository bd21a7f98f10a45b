"""Functions in the file of ``smclient serve --config``: the ordinary way to give a server code."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from smclient.errors import ConfigError
from smclient_embedded.config_reading import Table
from smclient_embedded.functions import DEFAULT_HANDLER, DEFAULT_MEMORY, DEFAULT_TIMEOUT
from smclient_embedded.functions.package import package_of

if TYPE_CHECKING:
    from smclient_embedded.service import EmbeddedService


@dataclass(frozen=True, slots=True)
class ConfiguredFunction:
    """A function as the file has it; its code is read."""

    table: Table = field(repr=False)
    name: str
    package: bytes = field(repr=False)
    handler: str
    python: str
    environment: Mapping[str, str] = field(repr=False)
    role: str | None
    role_policy: Any
    timeout: float
    memory_mb: int


def read_function(table: Table) -> ConfiguredFunction:
    """Read one table of ``functions``. Raises ``ConfigError``, which names file and key."""
    name, file = table.needed("name"), table.needed("file")
    try:
        package = package_of(table.path.parent / file)
    except ConfigError as error:
        raise table.fault(f"is wrong: {error}", "file") from error
    found = ConfiguredFunction(
        table=table,
        name=name,
        package=package,
        handler=table.text("handler") or DEFAULT_HANDLER,
        python=table.text("python") or sys.executable,
        environment=_environment(table.table("environment")),
        role=table.text("role"),
        role_policy=table.document("role_policy"),
        timeout=_number(table, "timeout", DEFAULT_TIMEOUT),
        memory_mb=int(_number(table, "memory", DEFAULT_MEMORY)),
    )
    table.done()
    return found


def put_function(service: EmbeddedService, function: ConfiguredFunction) -> None:
    """Bring a service's function to what the file says. Raises ``ConfigError``."""
    try:
        service.register_function(
            function.name,
            function.handler,
            function.role,
            package=function.package,
            python=function.python,
            environment=function.environment,
            role_policy=function.role_policy,
            timeout=function.timeout,
            memory_mb=function.memory_mb,
        )
    except ConfigError as error:
        raise function.table.fault(f"is wrong: {error}") from error


def _environment(table: Table | None) -> dict[str, str]:
    """Variables: a text, ``env:NAME`` or ``@file``."""
    found: dict[str, str] = {}
    for name in table.content if table is not None else ():
        text = "" if table is None else table.text(name) or ""
        is_elsewhere = text.startswith(("env:", "@"))
        found[name] = table.secret(name) if table is not None and is_elsewhere else text
    return found


def _number(table: Table, key: str, default: float) -> float:
    found = table.get(key)
    if found is None:
        return default
    if isinstance(found, bool) or not isinstance(found, int | float):
        raise table.fault("has to be a number", key)
    return found
