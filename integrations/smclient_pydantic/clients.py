"""Which client a settings class reads through: one a process, made when it is first needed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from smclient import ConfigError, SecretsClient
from smclient.shared import default_client

_override: ContextVar[SecretsClient | None] = ContextVar("smclient_pydantic_client", default=None)


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


__all__ = ["client_for", "default_client", "overriding", "use_client"]
