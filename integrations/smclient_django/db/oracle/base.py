"""Django's Oracle backend, with logins that follow a secret. Its driver's own pool keeps one
password for good, so it cannot be used together with a secret."""

from __future__ import annotations

from typing import Any

from django.db.backends.oracle import base, client

from smclient import NotSupportedError
from smclient_django.db.login import RotatingClientMixin, RotatingCredentialsMixin
from smclient_django.errors import told


class DatabaseClient(RotatingClientMixin, client.DatabaseClient):
    """``dbshell``."""


class DatabaseWrapper(RotatingCredentialsMixin, base.DatabaseWrapper):
    """A connection."""

    client_class = DatabaseClient

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        """See ``RotatingCredentialsMixin``. Raises ``SecretConfigError`` for a pool."""
        wanted = self.wanted
        if wanted is not None and self.settings_dict["OPTIONS"].get("pool"):
            error = NotSupportedError(
                "Oracle's pool keeps the password it was made with; leave 'pool' out of OPTIONS "
                "and use CONN_MAX_AGE"
            )
            raise told(wanted.where, error) from error
        return super().get_new_connection(conn_params)
