"""``bind_engine``: every new connection of an engine logs in with a secret's credentials."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy import event
from sqlalchemy.engine import URL, Dialect, Engine
from sqlalchemy.exc import ArgumentError, DisconnectionError

from smclient import AsyncSecretsClient, ConfigError, SecretsClient
from smclient.drivers import giver, login_arguments, login_fields
from smclient.secret import SecretValue

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

    E = TypeVar("E", Engine, AsyncEngine)
else:
    E = TypeVar("E")

_LOGIN = frozenset({"user", "username", "password", "passwd"})
_FIELDS = ("username", "password", "host", "dbname")
_NOTE = "smclient.login"

SETTLED = 5.0
"""Seconds in which a new connection is not replaced: a pool gives up after a few replacements."""


@dataclass(slots=True)
class _Login:
    """What a pooled connection logged in as, and which version was AWSCURRENT then."""

    user: object
    current: str | None
    at: float


def bind_engine(engine: E, secret_id: str, client: SecretsClient | AsyncSecretsClient) -> E:
    """Let the engine take user and password from a secret at each connect, and return the engine.

    User and password in the engine's URL are ignored. Host, port and database come from the URL
    where it has them, else from the secret. A password change does not cut connections, so pooled
    ones stay as they are. Once AWSCURRENT has moved to another user (alternating users), a pooled
    connection of the old one is replaced when it is checked out next, and nobody sees an error.

    An ``AsyncEngine`` is bound alike; its loop is not held up while a backend is asked.

    Raises:
        ConfigError: the engine's database has no logins. At connect: see ``SecretsClient.login``;
            SQLAlchemy wraps the driver's errors as usual.
    """
    inner: Engine | None = getattr(engine, "sync_engine", None)
    run = _at_once if inner is None else _off_the_loop
    target: Any = engine if inner is None else inner
    secrets = client.sync if isinstance(client, AsyncSecretsClient) else client
    mapping, give = _arguments(target.dialect), giver(target.dialect.driver)

    @event.listens_for(target, "do_connect")
    def connect(dialect: Dialect, record: Any, args: list[Any], kwargs: dict[str, Any]) -> Any:
        for name in _LOGIN:  # of the dialect, for good: tracebacks show no password of the URL
            kwargs.pop(name, None)
        dsn = tuple(arg for arg in args if arg)  # psycopg2's "" for an empty URL is none
        used: list[SecretValue] = []

        def open_one(value: SecretValue) -> Any:
            used.append(value)
            return dialect.connect(*args, **login_arguments(value, mapping, dsn, kwargs, give))

        connection = secrets.login(secret_id, open_one, fields=login_fields(mapping), run=run)
        current = secrets.peek(secret_id)
        version = None if current is None else current.version_id
        record.info[_NOTE] = _Login(used[-1]["username"], version, time.monotonic())
        return connection

    @event.listens_for(target, "checkout")
    def replace_retired(connection: Any, record: Any, proxy: Any) -> None:
        login: _Login | None = record.info.get(_NOTE)
        current = secrets.peek(secret_id)
        if login is None or current is None or current.version_id == login.current:
            return
        if time.monotonic() - login.at < SETTLED:
            return
        if current.fields.get("username") != login.user:
            raise DisconnectionError(f"secret {secret_id!r} moved to another user")
        login.current = current.version_id

    return engine


def _arguments(dialect: Dialect) -> Mapping[str, str]:
    """Argument of the driver to field of the secret, as the dialect itself names them."""
    port = 1
    marks = {f"smclient-{field}": field for field in _FIELDS}
    username, password, host, database = marks
    url = URL.create(
        dialect.name, username=username, password=password, host=host, port=port, database=database
    )
    try:
        _, named = dialect.create_connect_args(url)
    except ArgumentError:
        named = {}
    found = {a: marks[mark] for a, mark in named.items() if isinstance(mark, str) and mark in marks}
    if "password" not in found.values():
        raise ConfigError(f"engines of {dialect.name} have no login that a secret could give")
    return {**found, **({"port": "port"} if named.get("port") == port else {})}


def _at_once(work: Callable[[], Any]) -> Any:
    return work()


def _off_the_loop(work: Callable[[], Any]) -> Any:
    """Do blocking work on a thread; SQLAlchemy calls us inside the greenlet of a task."""
    from sqlalchemy.util import await_only

    return await_only(asyncio.to_thread(work))
