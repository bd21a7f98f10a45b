"""``clients``: one ``SecretsClient`` per alias of ``SMCLIENT`` and process, made when it is used.

Settings are read late: a settings module that asks for a secret while it is being loaded cannot be
asked for ``SMCLIENT`` yet. ``configure`` or ``SMCLIENT_…`` variables serve it until it is loaded.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields
from typing import Any, TypeVar

from django.conf import settings

from smclient import ClientConfig, ConfigError, SecretsClient
from smclient.forking import survive_fork
from smclient.keyring import KeyRing
from smclient.references import Reference
from smclient_django.errors import SecretConfigError, told

SETTING = "SMCLIENT"
DEFAULT_ALIAS = "default"
BACKEND_VARIABLE = "SMCLIENT_BACKEND"
BUILD_SCHEME = "null:"

Aliases = Mapping[str, Mapping[str, Any]]
A = TypeVar("A", bound=Aliases)

_TOO_EARLY = (
    "a secret is read while the settings are being loaded, and nothing says yet where from: set "
    "SMCLIENT_BACKEND in the environment, or write SMCLIENT = configure({...}) above it; or read "
    "it later, with secret() instead of secret_now()"
)


class Clients:
    """The clients of this process by alias: ``clients["default"]``.

    Safe between threads, and in workers that were forked after a client was made.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._made: dict[str, SecretsClient] = {}
        self._early: dict[str, tuple[tuple[Any, ClientConfig], SecretsClient]] = {}
        self._rings: dict[tuple[SecretsClient, Reference, tuple[str, ...]], KeyRing] = {}
        self._configured: Aliases | None = None
        self._on_new: list[Callable[[str, SecretsClient], object]] = []
        survive_fork(self)

    def after_fork(self) -> None:
        """A thread of the parent may have held the lock."""
        self._lock = threading.RLock()

    def __getitem__(self, alias: str) -> SecretsClient:
        """The client of an alias.

        Raises:
            SecretConfigError: there is no such alias, its settings are wrong, or the settings are
                not loaded yet and nothing else says where secrets are.
            SmclientError: the backend cannot be opened.
        """
        client = self._made.get(alias)
        return client if client is not None else self._make(alias)

    def __iter__(self) -> Iterator[str]:
        """The aliases of ``SMCLIENT``."""
        return iter(self.aliases())

    def aliases(self) -> list[str]:
        """The aliases there are; without the setting, ``default``."""
        return list(self._setting() or {DEFAULT_ALIAS: {}})

    def made(self) -> list[SecretsClient]:
        """The clients that there are by now."""
        with self._lock:
            return [*self._made.values(), *(client for _, client in self._early.values())]

    def has_made(self, alias: str) -> bool:
        """Whether there is a client of this alias by now."""
        return alias in self._made

    def config(self, alias: str) -> tuple[Any, ClientConfig]:
        """Backend (URL or object) and settings of an alias. Asks nobody.

        Raises:
            SecretConfigError
        """
        try:
            return self._read_config(alias)
        except ConfigError as error:
            raise told(f"settings.{SETTING}[{alias!r}]", error) from error

    def ring(self, alias: str, reference: Reference, stages: tuple[str, ...]) -> KeyRing:
        """The key ring of a reference; one per client and reference."""
        client = self[alias]
        ring = self._rings.get((client, reference, stages))
        if ring is None:
            with self._lock:
                ring = KeyRing(client, reference, stages=stages)
                ring = self._rings.setdefault((client, reference, stages), ring)
        return ring

    def rings(self, client: SecretsClient) -> list[KeyRing]:
        """The key rings that were used with a client."""
        return [ring for (owner, *_), ring in list(self._rings.items()) if owner is client]

    def configure(self, aliases: Aliases) -> None:
        """See ``smclient_django.configure``."""
        self._configured = aliases
        self._close_early()

    def on_new(self, callback: Callable[[str, SecretsClient], object]) -> None:
        """Call back with alias and client when one is made for the loaded settings. The same
        callback twice is called once."""
        if callback not in self._on_new:
            self._on_new.append(callback)

    @contextmanager
    def replaced(self, alias: str, client: SecretsClient) -> Iterator[SecretsClient]:
        """Let an alias mean another client for a while; for tests. It is closed in the end."""
        before = self._made.get(alias)
        self._made[alias] = client
        try:
            yield client
        finally:
            if before is None:
                self._made.pop(alias, None)
            else:
                self._made[alias] = before
            self._close(client)

    def close(self) -> None:
        """Close every client; the next use makes new ones from the settings of then."""
        with self._lock:
            made, self._made = self._made, {}
        for client in made.values():
            self._close(client)
        self._close_early()

    def _close_early(self) -> None:
        with self._lock:
            early, self._early = self._early, {}
        for _, client in early.values():
            self._close(client)

    def _close(self, client: SecretsClient) -> None:
        with self._lock:
            self._rings = {key: ring for key, ring in self._rings.items() if key[0] is not client}
        client.close()

    # --- inside ---------------------------------------------------------------------------------

    def _make(self, alias: str) -> SecretsClient:
        with self._lock:
            client = self._made.get(alias)
            if client is not None:
                return client
            wanted = self.config(alias)
            config, early = self._early.get(alias, (None, None))
            client = early if early is not None and config == wanted else self._open(alias, wanted)
            if settings.configured:
                self._made[alias] = client
                if client is early:
                    del self._early[alias]
                for callback in self._on_new:
                    callback(alias, client)
            else:
                self._early[alias] = wanted, client
            return client

    def _open(self, alias: str, wanted: tuple[Any, ClientConfig]) -> SecretsClient:
        backend, config = wanted
        known = {f.name: getattr(config, f.name) for f in fields(config) if f.name != "backend"}
        try:
            return SecretsClient(backend, **known)
        except ConfigError as error:
            raise told(f"settings.{SETTING}[{alias!r}]", error) from error

    def _read_config(self, alias: str) -> tuple[Any, ClientConfig]:
        aliases = self._setting()
        if aliases is None:
            if alias != DEFAULT_ALIAS:
                raise ConfigError(f"there is no setting {SETTING}, so no alias but 'default'")
            if not settings.configured and BACKEND_VARIABLE not in os.environ:
                raise ConfigError(_TOO_EARLY)
            config = ClientConfig.from_env()
            return config.backend, config
        if alias not in aliases:
            raise ConfigError(f"no such alias; there are {', '.join(map(repr, aliases)) or 'none'}")
        given = {name: value for name, value in aliases[alias].items() if name != "BACKEND"}
        config = ClientConfig.from_mapping(given, prefix="")
        return self._backend(aliases[alias].get("BACKEND")), config

    def _backend(self, given: Any) -> Any:
        told_by_environment = os.environ.get(BACKEND_VARIABLE)
        if told_by_environment and told_by_environment.startswith(BUILD_SCHEME):
            return told_by_environment  # a build reads no secrets, whatever the settings say
        if given is None:
            return told_by_environment or ClientConfig().backend
        return given

    def _setting(self) -> Aliases | None:
        """``SMCLIENT``, without loading settings that are not loaded."""
        found = getattr(settings, SETTING, None) if settings.configured else self._configured
        if found is None:
            return self._configured
        if not isinstance(found, Mapping) or not all(
            isinstance(v, Mapping) for v in found.values()
        ):
            raise SecretConfigError(
                f"settings.{SETTING} must map aliases to settings, as in "
                f"{{'default': {{'BACKEND': 'aws://'}}}}"
            )
        return found


def configure(aliases: A) -> A:
    """Say where secrets are before the settings are loaded, and return what was said:
    ``SMCLIENT = configure({"default": {"BACKEND": "aws://eu-west-1"}})``. Asks nobody."""
    clients.configure(aliases)
    return aliases


clients = Clients()
