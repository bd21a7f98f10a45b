"""An account on a real server, its secret at each phase of a rotation, every way to connect."""

from __future__ import annotations

import asyncio
import importlib
import itertools
import json
import uuid
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from smclient import AsyncSecretsClient, SecretsClient
from smclient.testing import Inline

CANARY = "canary-"
_numbers = itertools.count(1)


@dataclass
class Account:
    """A database user of a real server, whose password can be changed behind everybody's back."""

    family: str
    server: Any
    name: str
    password: str
    dbname: str

    def secret(self, password: str | None = None) -> dict[str, Any]:
        """As AWS's templates have it."""
        return {
            "engine": self.family,
            "host": self.server.host,
            "port": self.server.port,
            "dbname": self.dbname,
            "username": self.name,
            "password": password or self.password,
        }

    def become(self, password: str) -> None:
        """Let the server know another password only."""
        self.password = password
        if self.family == "postgres":
            from psycopg import sql

            with self.server.connect() as connection:
                statement = sql.SQL("ALTER USER {} PASSWORD {}").format(
                    sql.Identifier(self.name), sql.Literal(password)
                )
                connection.execute(statement)
        elif self.family == "redis":
            self.server.create_user(self.name, password)
        else:
            self.server.execute("SET PASSWORD FOR %s@'%%' = PASSWORD(%s)", self.name, password)


@pytest.fixture
def make_account(request: pytest.FixtureRequest) -> Callable[[str], Account]:
    """Makes accounts on the server of a family, which is started when it is first asked for."""

    def make(family: str) -> Account:
        name, password = f"app_{next(_numbers)}", f"{CANARY}{uuid.uuid4().hex}"
        if family == "postgres":
            server = request.getfixturevalue("postgres")
            server.create_user(name, password)
            return Account(family, server, name, password, "shared")
        server = request.getfixturevalue("redis_server" if family == "redis" else "mariadb")
        server.create_user(name, password)
        if family == "mariadb":
            server.create_database(name, name)
        return Account(family, server, name, password, name)

    return make


@dataclass(frozen=True)
class Way:
    """A driver, and how it connects and says who is logged in."""

    driver: str
    family: str
    connect: Callable[[], Callable[..., Any]]
    who: Callable[[Any], Any]
    asynchronous: bool = False

    def __str__(self) -> str:
        return self.driver


def _sql(connection: Any) -> str:
    try:
        cursor = connection.cursor()
        cursor.execute("SELECT current_user")
        return str(cursor.fetchone()[0])
    finally:
        connection.close()


async def _psycopg_async(connection: Any) -> str:
    async with connection:
        cursor = await connection.execute("SELECT current_user")
        return str((await cursor.fetchone())[0])


async def _asyncpg(connection: Any) -> str:
    try:
        return str(await connection.fetchval("SELECT current_user"))
    finally:
        await connection.close()


async def _aiomysql(connection: Any) -> str:
    try:
        async with connection.cursor() as cursor:
            await cursor.execute("SELECT current_user")
            return str((await cursor.fetchone())[0])
    finally:
        connection.close()


def _module(name: str, function: str = "connect") -> Callable[[], Callable[..., Any]]:
    def load() -> Callable[..., Any]:
        found: Any = importlib.import_module(name)
        for part in function.split("."):
            found = getattr(found, part)
        return found  # type: ignore[no-any-return]

    return load


def _open_redis() -> Callable[..., Any]:
    """redis-py logs in at the first command, so a login is the client and a ping."""
    import redis
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    once = Retry(NoBackoff(), 0)  # else a refused login is repeated for seconds

    def connect(*, username: str, password: str, host: str, port: int) -> redis.Redis:
        login = {"username": username, "password": password}
        client = redis.Redis(host=host, port=port, retry=once, **login)
        client.ping()
        return client

    return connect


def _open_redis_async() -> Callable[..., Any]:
    import redis.asyncio
    from redis.asyncio.retry import Retry
    from redis.backoff import NoBackoff

    once = Retry(NoBackoff(), 0)

    async def connect(*, username: str, password: str, host: str, port: int) -> Any:
        login = {"username": username, "password": password}
        client = redis.asyncio.Redis(host=host, port=port, retry=once, **login)
        await client.ping()
        return client

    return connect


def _redis(client: Any) -> str:
    name = client.acl_whoami()
    client.close()
    return name.decode() if isinstance(name, bytes) else str(name)


async def _redis_async(client: Any) -> str:
    name = await client.acl_whoami()
    await client.aclose()
    return name.decode() if isinstance(name, bytes) else str(name)


WAYS = [
    Way("psycopg", "postgres", _module("psycopg"), _sql),
    Way("psycopg2", "postgres", _module("psycopg2"), _sql),
    Way("pg8000", "postgres", _module("pg8000.dbapi"), _sql),
    Way("pymysql", "mariadb", _module("pymysql"), _sql),
    Way("mysql.connector", "mariadb", _module("mysql.connector"), _sql),
    Way("MySQLdb", "mariadb", _module("MySQLdb"), _sql),
    Way("redis", "redis", _open_redis, _redis),
    Way(
        "psycopg",
        "postgres",
        _module("psycopg", "AsyncConnection.connect"),
        _psycopg_async,
        asynchronous=True,
    ),
    Way("asyncpg", "postgres", _module("asyncpg"), _asyncpg, asynchronous=True),
    Way("aiomysql", "mariadb", _module("aiomysql"), _aiomysql, asynchronous=True),
    Way("redis.asyncio", "redis", _open_redis_async, _redis_async, asynchronous=True),
]


@dataclass
class Connecting:
    """One way to connect with a client, sync or async alike for the test."""

    way: Way
    client: SecretsClient
    name: str

    def whoami(self, factory: Callable[..., Any] | None = None, **more: Any) -> str:
        """Log in through the ladder, and ask the server who that was; MariaDB's ``@host`` cut."""
        factory = factory or self.way.connect()
        if not self.way.asynchronous:
            connection = self.client.connect(self.name, factory, **more)
            return str(self.way.who(connection)).partition("@")[0]

        async def main() -> str:
            client = AsyncSecretsClient(sync=self.client)
            connection = await client.connect(self.name, factory, **more)
            found: Awaitable[str] = self.way.who(connection)
            return (await found).partition("@")[0]

        return asyncio.run(main())


@pytest.fixture(params=WAYS, ids=lambda way: f"{way.driver}{'-async' * way.asynchronous}")
def way(request: pytest.FixtureRequest) -> Way:
    """Each driver that is installed; mysqlclient has no wheel, so it is not everywhere."""
    found: Way = request.param
    pytest.importorskip(found.driver, reason=f"pip install {found.driver}")
    return found


@pytest.fixture
def account(way: Way, make_account: Callable[[str], Account]) -> Account:
    """An account on the driver's server."""
    return make_account(way.family)


@pytest.fixture
def connecting(bench: Any, way: Way) -> Iterator[Connecting]:
    """The driver, and a client on the bench's service and clock."""
    client = SecretsClient(
        bench.service.backend(), clock=bench.clock, worker=Inline(), jitter=0.0, login_wait=0.0
    )
    yield Connecting(way, client, bench.name)
    client.close()


@pytest.fixture
def put_pending(bench: Any) -> Callable[[Any], None]:
    """Stores a version that is only AWSPENDING."""

    def put(value: Any) -> None:
        bench.client.call(
            "PutSecretValue",
            SecretId=bench.name,
            SecretString=json.dumps(value),
            VersionStages=["AWSPENDING"],
        )

    return put
