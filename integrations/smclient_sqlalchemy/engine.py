"""``bind_engine``: every new connection of an engine logs in with a secret's credentials."""

from __future__ import annotations

from typing import Any, TypeVar

from sqlalchemy import event
from sqlalchemy.engine import Dialect, Engine

from smclient import SecretsClient
from smclient.drivers import argument_fields, login_arguments, login_fields
from smclient.secret import SecretValue

E = TypeVar("E", bound=Engine)

_LOGIN = frozenset({"user", "username", "password", "passwd"})


def bind_engine(engine: E, secret_id: str, client: SecretsClient) -> E:
    """Let the engine take user and password from a secret at each connect, and return the engine.

    User and password in the engine's URL are ignored. Host, port and database come from the URL
    where it has them, else from the secret. Pooled connections stay as they are: a password change
    does not cut them.

    Raises:
        Nothing now. At connect: see ``SecretsClient.login``; SQLAlchemy wraps the driver's errors
        as usual.
    """

    @event.listens_for(engine, "do_connect")
    def connect(dialect: Dialect, record: Any, args: list[Any], kwargs: dict[str, Any]) -> Any:
        for name in _LOGIN:  # of the dialect, for good: tracebacks show no password of the URL
            kwargs.pop(name, None)
        dsn = tuple(arg for arg in args if arg)  # psycopg2's "" for an empty URL is none
        mapping = argument_fields(dialect.loaded_dbapi.connect, None)

        def open_one(value: SecretValue) -> Any:
            return dialect.connect(*args, **login_arguments(value, mapping, dsn, kwargs))

        return client.login(secret_id, open_one, fields=login_fields(mapping))

    return engine
