"""Before each request: what settings refer to is not older than its ttl.

See ``smclient.fresh``. It runs on a thread under ASGI too: Django calls receivers of
``request_started`` there. Where the look fails the request goes on, and whoever uses the value is
told.
"""

from __future__ import annotations

import logging
from typing import Any

from smclient import SecretsClient, SmclientError, fresh
from smclient.fresh import RETRY
from smclient_django.clients import clients
from smclient_django.errors import SecretConfigError
from smclient_django.values import known

logger = logging.getLogger("smclient.django")


class Freshness(fresh.Freshness):
    """The receiver of ``request_started``."""

    def __call__(self, **_: Any) -> None:
        """Fetch what is too old, in one batch for each alias. Raises nothing."""
        for alias, uses in known().items():
            try:
                client = clients[alias]
            except SecretConfigError as error:
                logger.debug("smclient[%s]: %s", alias, error)  # whoever uses a value is told
                continue
            for ref, optional in uses.items():
                fresh.note(client, [ref], optional=optional)
            self.look(client)
            self._look_at_rings(alias, client)

    def _look_at_rings(self, alias: str, client: SecretsClient) -> None:
        for ring in clients.rings(alias):
            ref = ring.reference.ref
            if ring.would_wait() and not self.is_held_back(client, ref):
                try:
                    ring.others()
                except SmclientError as error:
                    self.hold_back(client, ref, error)


before_request = Freshness()

__all__ = ["RETRY", "Freshness", "before_request"]
