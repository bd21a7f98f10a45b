"""Django's PostgreSQL backend, with logins that follow a secret; psycopg 3 (pool too), psycopg2."""

from __future__ import annotations

from django.db.backends.postgresql import base, client

from smclient_django.db.login import RotatingClientMixin
from smclient_django.db.postgresql.pooled import PooledCredentialsMixin


class DatabaseClient(RotatingClientMixin, client.DatabaseClient):
    """``dbshell``."""


class DatabaseWrapper(PooledCredentialsMixin, base.DatabaseWrapper):
    """A connection."""

    client_class = DatabaseClient
