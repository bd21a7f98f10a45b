"""Django's option ``pool`` with credentials that follow a secret.

Django gives the pool one set of arguments for all its connections. So the pool gets a connection
class that logs in by the ladder each time. And since a pool swallows why its connections fail, and
lets whoever waits run into a time-out that says nothing, the class keeps the last reason.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from smclient import SecretValue, SmclientError
from smclient_django.clients import clients
from smclient_django.db.login import RotatingCredentialsMixin, unreadable
from smclient_django.db.wanted import Wanted

_ARGUMENTS = {"USER": "user", "PASSWORD": "password", "HOST": "host", "PORT": "port"}


class PooledCredentialsMixin(RotatingCredentialsMixin):
    """``RotatingCredentialsMixin`` for PostgreSQL."""

    @property
    def pool(self) -> Any:
        """Django's pool of this database, if it has one, with connections of ours."""
        wanted = self.wanted
        options = self.settings_dict["OPTIONS"].get("pool")
        if wanted is None or not options:
            return getattr(super(), "pool", None)
        shared = self.settings_dict
        kind = _kind_for(wanted, shared)
        given = options if isinstance(options, Mapping) else {}
        self.settings_dict = {
            **shared,
            "OPTIONS": {**shared["OPTIONS"], "pool": {"connection_class": kind, **given}},
        }
        try:
            return getattr(super(), "pool", None)
        finally:
            self.settings_dict = shared

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        """See ``RotatingCredentialsMixin``; a pool logs in by itself, on threads of its own."""
        wanted = self.wanted
        pool = self.pool if wanted is not None else None
        if wanted is None or pool is None:
            return super().get_new_connection(conn_params)
        from psycopg_pool import PoolTimeout

        self._current(wanted)  # else a secret that is absent would be a time-out of the pool
        try:
            return self._djangos_connection(conn_params)
        except PoolTimeout as error:
            why = getattr(pool.connection_class, "last_error", None)
            if why is None:
                raise
            raise PoolTimeout(f"{error}; the last connection failed: {why}") from error


_kinds: dict[str, type[Any]] = {}


def _kind_for(wanted: Wanted, entry: Mapping[str, Any]) -> type[Any]:
    """One class per database, as long as its settings are the same."""
    kind = _kinds.get(wanted.database)
    if kind is None or kind.made_for != (wanted, entry):
        kind = _kinds[wanted.database] = connection_class(wanted, {**entry})
    return kind


def connection_class(wanted: Wanted, entry: Mapping[str, Any]) -> type[Any]:
    """A psycopg connection that logs in with a secret, by the ladder, each time."""
    from psycopg import Connection

    class RotatingConnection(Connection[Any]):
        """Logs in with the credentials of a secret."""

        made_for = (wanted, entry)
        last_error: str | None = None

        @classmethod
        def connect(cls, conninfo: str = "", **kwargs: Any) -> Any:
            """psycopg's, with the secret's user, password and, where settings leave them out,
            host, port and database."""

            def attempt(version: SecretValue) -> Any:
                told = login_arguments(wanted, entry, version)
                return super(RotatingConnection, cls).connect(conninfo, **{**kwargs, **told})

            try:
                client = clients[wanted.alias]
                made = client.login(wanted.secret_id, attempt, fields=wanted.login_fields)
            except SmclientError as error:
                cls.last_error = str(unreadable(wanted, error))
                raise
            except Exception as error:
                notes = "; ".join(getattr(error, "__notes__", ()))
                cls.last_error = f"{error} ({notes})" if notes else str(error)
                raise
            cls.last_error = None
            return made

    return RotatingConnection


def login_arguments(
    wanted: Wanted, entry: Mapping[str, Any], version: SecretValue
) -> dict[str, Any]:
    """psycopg's arguments for what the secret decides."""
    filled = wanted.filled(entry, version)
    decided = {s: filled[s] for s in wanted.fields if filled.get(s) != entry.get(s)}
    arguments = {_ARGUMENTS[s]: value for s, value in decided.items() if s in _ARGUMENTS}
    return {**arguments, **({"dbname": decided["NAME"]} if "NAME" in decided else {})}
