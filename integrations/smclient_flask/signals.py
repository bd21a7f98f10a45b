"""Blinker signals: what happens to the secrets of an app. The sender is the app; ``event`` is the
``smclient.SecretEvent``, which holds no value. Sent off the request's path, in an app context."""

from __future__ import annotations

import weakref
from collections.abc import Callable

from blinker import NamedSignal, Namespace
from flask import Flask

from smclient import SecretEvent, SecretsClient

_signals = Namespace()
secret_rotated: NamedSignal = _signals.signal("smclient-secret-rotated")
"""AWSCURRENT of a secret was seen to move."""
secret_fallback: NamedSignal = _signals.signal("smclient-secret-fallback")
"""A login was won with a version that is not AWSCURRENT."""
secret_stale: NamedSignal = _signals.signal("smclient-secret-stale")
"""A value is served past its time because of an error."""


def send_for(app: Flask, client: SecretsClient) -> None:
    """Have the events of a client sent as signals of an app, as long as the app lives."""
    client.on_rotate(_sender(app, secret_rotated))
    client.on_fallback(_sender(app, secret_fallback))
    client.on_stale(_sender(app, secret_stale))


def _sender(app: Flask, signal: NamedSignal) -> Callable[[SecretEvent], None]:
    alive = weakref.ref(app)  # a client that several apps share may outlive them

    def send(event: SecretEvent) -> None:
        sender = alive()
        if sender is not None and signal.receivers:
            with sender.app_context():
                signal.send(sender, event=event)

    return send
