"""Flask config that follows its secrets."""

from smclient_flask.extension import LiveConfig, SecretConfigError, Secrets

__all__ = ["LiveConfig", "SecretConfigError", "Secrets"]
