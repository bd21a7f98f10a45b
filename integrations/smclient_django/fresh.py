"""Before each request: what settings refer to is not older than its ttl.

See ``smclient.fresh``. It runs on a thread under ASGI too: Django calls receivers of
``request_started`` there. Where the look fails, or a backend cannot be opened, the request goes on,
and whoever uses the value is told.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

from smclient import SecretsClient, SmclientError, fresh
from smclient.fresh import RETRY
from smclient.keyring import KeyRing
from smclient_django.clients import clients
from smclient_django.errors import SecretConfigError
from smclient_django.values import known

logger = logging.getLogger("smclient.django")


class Freshness(fresh.Freshness):
    """The receiver of ``request_started``."""

    def __init__(self, now: Callable[[], float] | None = None) -> None:
        super().__init__(now)
        self._unopened: dict[str, float] = {}

    def __call__(self, **_: Any) -> None:
        """Fetch what is too old, in one batch for each alias. Raises nothing."""
        for alias, uses in known().items():
            client = self._opened(alias)
            if client is None:
                continue
            for ref, optional in uses.items():
                fresh.note(client, [ref], optional=optional)
            self.look(client)

    def _opened(self, alias: str) -> SecretsClient | None:
        """The client of an alias; none if it cannot be made, which is tried every ``RETRY`` seconds
        as long as nobody else makes it."""
        now = (self._given_now or time.monotonic)()
        if not clients.has_made(alias) and now < self._unopened.get(alias, 0.0):
            return None
        try:
            return clients[alias]
        except (SmclientError, SecretConfigError) as error:
            self._unopened[alias] = now + RETRY
            logger.warning("smclient[%s] has no client: %s", alias, error)
            return None

    def _is_due(self, client: SecretsClient) -> bool:
        return super()._is_due(client) or bool(self._rings(client))

    def _look(self, client: SecretsClient) -> None:
        super()._look(client)
        for ring in self._rings(client):
            try:
                ring.others()
            except SmclientError as error:
                self.hold_back(client, ring.reference.ref, error)

    def _rings(self, client: SecretsClient) -> list[KeyRing]:
        """Those whose keys are due."""
        return [
            ring
            for ring in clients.rings(client)
            if ring.would_wait() and not self.is_held_back(client, ring.reference.ref)
        ]


before_request = Freshness()

__all__ = ["RETRY", "Freshness", "before_request"]
