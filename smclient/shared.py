"""``default_client``: one client a process for the same settings, for whoever is given none."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import Any

from smclient.client import SecretsClient
from smclient.config import ClientConfig
from smclient.forking import survive_fork


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
            self._clients = [known for known in self._clients if not known[1]._closed]
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
    ``ttl=60``. The same settings give the same client, until somebody closes it.

    Raises:
        ConfigError, UnknownSettingError
    """
    given = {name: value for name, value in changes.items() if value is not None}
    return _clients.get(replace(ClientConfig.from_env(), **given))
