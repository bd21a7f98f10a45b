"""Before each request: what settings refer to is not older than the client's ttl.

A client serves a value past its ttl once more while it looks for a newer one. That is right for a
busy worker and wrong for one that slept for an hour, so the request waits for that one look here.
It runs on a thread under ASGI too: Django calls receivers of ``request_started`` there. Where the
look fails the request goes on, and whoever uses the value is told.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from time import monotonic
from typing import Any

from smclient import SmclientError
from smclient_django.clients import clients
from smclient_django.errors import SecretConfigError
from smclient_django.values import known_ids

RETRY = 10.0
"""Seconds until a request waits again for what could not be read."""

logger = logging.getLogger("smclient.django")


class Freshness:
    """The receiver of ``request_started``."""

    def __init__(self, now: Callable[[], float] = monotonic) -> None:
        self._now = now
        self._held_back: dict[tuple[str, str], float] = {}

    def __call__(self, **_: Any) -> None:
        """Fetch what is too old, in one batch for each alias. Raises nothing."""
        now = self._now()
        wanted: dict[str, list[str]] = {}
        for alias, secret_id in known_ids():
            if now >= self._held_back.get((alias, secret_id), 0.0):
                wanted.setdefault(alias, []).append(secret_id)
        for alias, ids in wanted.items():
            try:
                self._freshen(alias, ids, now)
            except (SmclientError, SecretConfigError) as error:
                self._hold_back(alias, ids, now, error)

    def _freshen(self, alias: str, ids: list[str], now: float) -> None:
        client = clients[alias]
        batch = client.preload(ids, max_age=client.config.ttl)
        for secret_id, error in batch.errors.items():
            self._hold_back(alias, [secret_id], now, error)
        for ring in clients.rings(alias):
            if ring.would_wait():
                ring.others()

    def _hold_back(self, alias: str, ids: list[str], now: float, error: Exception) -> None:
        for secret_id in ids:
            self._held_back[alias, secret_id] = now + RETRY
        logger.warning("smclient[%s]: %s could not be read: %s", alias, ", ".join(ids), error)


before_request = Freshness()
