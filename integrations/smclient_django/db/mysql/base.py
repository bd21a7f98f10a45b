"""Django's MySQL and MariaDB backend, with logins that follow a secret."""

from __future__ import annotations

from django.db.backends.mysql import base, client

from smclient_django.db.login import RotatingClientMixin, RotatingCredentialsMixin


class DatabaseClient(RotatingClientMixin, client.DatabaseClient):
    """``dbshell``."""


class DatabaseWrapper(RotatingCredentialsMixin, base.DatabaseWrapper):
    """A connection."""

    client_class = DatabaseClient
