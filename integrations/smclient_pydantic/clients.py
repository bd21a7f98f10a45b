"""Which client a settings class reads through: one a process, made when it is first needed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace
from typing import Any

from smclient import ClientConfig, ConfigError, SecretsClient
from smclient.forking import survive_fork

_override: ContextVar[SecretsClient | None] = ContextVar("smclient_pydantic_client", default=None)


class _Clients:
    """The clients of this process, by their settings."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._clients: list[tuple[ClientConfig, SecretsClient]] = []
        survive_fork(self)

    def after_fork(self) -> None:
        self._lock = threading.Lock()

    def get(self, config: ClientConfig) -> SecretsClient:
        with self._lock:
            for known, client in self._clients:
                if known == config:
                    return client
            made = SecretsClient.from_config(config)
            self._clients.append((config, made))
            return made


_clients = _Clients()


def default_client(**changes: Any) -> SecretsClient:
    """The client of this process for the ``SMCLIENT_…`` variables of its environment.

    ``changes`` are settings of ``ClientConfig`` that win over the environment: ``backend="…"``,
    ``ttl=60``. The same settings give the same client.

    Raises:
        ConfigError, UnknownSettingError
    """
    given = {name: value for name, value in changes.items() if value is not None}
    return _clients.get(replace(ClientConfig.from_env(), **given))


@contextmanager
def use_client(client: SecretsClient | None) -> Iterator[SecretsClient | None]:
    """Have every settings class read through this client meanwhile, for tests; None changes
    nothing."""
    token = _override.set(client or _override.get())
    try:
        yield client
    finally:
        _override.reset(token)


def overriding() -> SecretsClient | None:
    """The client that ``use_client`` named, if it did."""
    return _override.get()


def client_for(
    config: Any, given: SecretsClient | Callable[[], SecretsClient] | None = None
) -> SecretsClient:
    """The client for a settings class with that ``model_config``: what ``use_client`` says, else
    the one that was given, else the one that the config names, else the process's."""
    found = _override.get() or given or config.get("smclient_client")
    if found is None:
        return default_client(
            backend=config.get("smclient_backend"), ttl=config.get("smclient_ttl")
        )
    if not isinstance(found, SecretsClient):
        found = found() if callable(found) else found
    if not isinstance(found, SecretsClient):
        raise ConfigError(
            "smclient_client is a SecretsClient, or a callable without arguments that returns one; "
            f"it is a {type(found).__name__}"
        )
    return found
