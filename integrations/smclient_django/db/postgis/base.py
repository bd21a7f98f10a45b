"""Django's PostGIS backend, with logins that follow a secret."""

from __future__ import annotations

from django.contrib.gis.db.backends.postgis import base

from smclient_django.db.postgresql.base import DatabaseClient
from smclient_django.db.postgresql.pooled import PooledCredentialsMixin


class DatabaseWrapper(PooledCredentialsMixin, base.DatabaseWrapper):
    """A connection."""

    client_class = DatabaseClient
