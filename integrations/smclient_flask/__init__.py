"""Flask config that follows its secrets."""

from smclient_flask.config import LiveConfig, SecretConfigError
from smclient_flask.extension import Secrets
from smclient_flask.sessions import KeyRingSessionInterface
from smclient_flask.signals import secret_fallback, secret_rotated, secret_stale

__all__ = [
    "KeyRingSessionInterface",
    "LiveConfig",
    "SecretConfigError",
    "Secrets",
    "secret_fallback",
    "secret_rotated",
    "secret_stale",
]
