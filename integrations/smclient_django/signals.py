"""Signals about secrets. Receivers get ``alias``, ``secret_id``, ``old_version_id``,
``new_version_id``, ``stage`` and ``error``; never a value. The sender is ``SecretsClient``.

They are sent on a thread of the client, not in a request.
"""

from __future__ import annotations

from functools import partial

from django.db import close_old_connections
from django.dispatch import Signal

from smclient import SecretEvent, SecretsClient
from smclient_django.clients import clients

secret_changed = Signal()
"""AWSCURRENT of a secret was seen to move from ``old_version_id`` to ``new_version_id``."""

secret_refresh_failed = Signal()
"""A value is served past its time because of ``error``."""

fallback_used = Signal()
"""A database login was won by ``new_version_id``, at ``stage``, not by AWSCURRENT."""


def send_for(alias: str, client: SecretsClient) -> None:
    """Send the events of a client as signals."""
    client.on_rotate(partial(_send, secret_changed, alias))
    client.on_stale(partial(_send, secret_refresh_failed, alias))
    client.on_fallback(partial(_send, fallback_used, alias))


def connect() -> None:
    """Send the events of every client that is made from now on. Doing it twice is fine."""
    clients.on_new(send_for)


def _send(signal: Signal, alias: str, event: SecretEvent) -> None:
    try:
        signal.send_robust(
            SecretsClient,
            alias=alias,
            secret_id=event.secret_id,
            old_version_id=event.old_version_id,
            new_version_id=event.new_version_id,
            stage=event.stage,
            error=event.error,
        )
    finally:
        close_old_connections()  # a receiver's, on a thread that no request ends
