"""``bind_engine`` on MariaDB, on async engines, and on pools whose user is retired."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
import sqlalchemy
from sqlalchemy.engine import URL, Engine
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

import smclient_sqlalchemy.engine as binding
from smclient import AsyncSecretsClient, ConfigError
from smclient_sqlalchemy import bind_engine

WHO = sqlalchemy.text("SELECT current_user")
_numbers = itertools.count(1)


@pytest.fixture
def maria(mariadb: Any) -> dict[str, Any]:
    """The secret of a user on the real MariaDB."""
    name, password = f"bound_{next(_numbers)}", "canary-first"
    mariadb.create_user(name, password)
    mariadb.create_database(name, name)
    login = {"engine": "mariadb", "host": mariadb.host, "port": mariadb.port, "dbname": name}
    return {**login, "username": name, "password": password}


@pytest.fixture(params=["pymysql", "mysqlconnector", "mysqldb"])
def maria_engine(request: pytest.FixtureRequest, bench: Any) -> Iterator[Engine]:
    """An engine without an address, on each driver that is installed."""
    pytest.importorskip(
        {"mysqldb": "MySQLdb", "mysqlconnector": "mysql.connector"}.get(
            request.param, request.param
        )
    )
    engine = sqlalchemy.create_engine(f"mariadb+{request.param}://", poolclass=sqlalchemy.NullPool)
    yield bind_engine(engine, bench.name, bench.client)
    engine.dispose()


def test_each_driver_of_mariadb_logs_in_through_a_rotation(
    bench: Any, mariadb: Any, maria: dict[str, Any], maria_engine: Engine
) -> None:
    """Whatever it calls its arguments: with the address of the secret, and the password that was
    set a moment ago."""

    def who() -> str:
        with maria_engine.connect() as connection:
            return str(connection.execute(WHO).scalar_one()).partition("@")[0]

    bench.create(maria)
    assert who() == maria["username"]
    mariadb.execute("SET PASSWORD FOR %s@'%%' = PASSWORD(%s)", maria["username"], "canary-second")
    bench.put({**maria, "password": "canary-second"}, VersionStages=["AWSPENDING"])
    assert who() == maria["username"]
    assert bench.client.usage().logins == {"cached": 1, "AWSPENDING": 1}


# --- async engines --------------------------------------------------------------------------------


def run(bench: Any, drivername: str, main: Callable[[AsyncEngine], Awaitable[Any]]) -> Any:
    """Bind an async engine, and do this with it."""

    async def within() -> Any:
        engine = create_async_engine(f"{drivername}://", poolclass=sqlalchemy.NullPool)
        bound = bind_engine(engine, bench.name, AsyncSecretsClient(sync=bench.client))
        assert bound is engine
        try:
            return await main(engine)
        finally:
            await engine.dispose()

    return asyncio.run(within())


async def who_async(engine: AsyncEngine) -> str:
    async with engine.connect() as connection:
        return str((await connection.execute(WHO)).scalar_one()).partition("@")[0]


@pytest.mark.parametrize("driver", ["asyncpg", "psycopg"])
def test_async_engines_of_postgresql_log_in_through_a_rotation(
    bench: Any, user: Any, driver: str
) -> None:
    """The window included."""
    bench.create(user.secret())

    async def main(engine: AsyncEngine) -> list[str]:
        before = await who_async(engine)
        user.set_password("canary-second")
        bench.put(user.secret(password="canary-second"), VersionStages=["AWSPENDING"])
        return [before, await who_async(engine)]

    assert run(bench, f"postgresql+{driver}", main) == [user.name] * 2
    assert bench.client.usage().logins == {"cached": 1, "AWSPENDING": 1}


def test_async_engines_of_mariadb_log_in_too(bench: Any, maria: dict[str, Any]) -> None:
    """Through aiomysql."""
    bench.create(maria)
    assert run(bench, "mariadb+aiomysql", who_async) == maria["username"]


def test_the_loop_goes_on_while_a_secret_is_fetched(bench: Any, user: Any) -> None:
    """A cold cache, and a backend that answers once the loop has run something else."""
    bench.create(user.secret())
    backend = bench.client._backend
    fetch = backend.fetch
    ran: list[bool] = []

    async def main(engine: AsyncEngine) -> str:
        loop, free = asyncio.get_running_loop(), asyncio.Event()

        def slow(ref: Any) -> Any:
            loop.call_soon_threadsafe(free.set)
            ran.append(asyncio.run_coroutine_threadsafe(free.wait(), loop).result(20))
            return fetch(ref)

        backend.fetch = slow
        return await who_async(engine)

    assert run(bench, "postgresql+asyncpg", main) == user.name
    assert ran == [True]


# --- retired users --------------------------------------------------------------------------------


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The age of connections, by hand."""
    time = [1000.0]
    monkeypatch.setattr(binding.time, "monotonic", lambda: time[0])
    return time


@pytest.fixture
def pooled(bench: Any, user: Any, now: list[float]) -> Iterator[Engine]:
    """A pool of one connection, which is open."""
    bench.create(user.secret())
    url = URL.create("postgresql+psycopg", host=user.server.host, port=user.server.port)
    engine = sqlalchemy.create_engine(url, pool_size=1, max_overflow=0)
    bind_engine(engine, bench.name, bench.client)
    with engine.connect():
        pass
    yield engine
    engine.dispose()


def seen(engine: Engine) -> tuple[str, int]:
    """Who is logged in, and on which server process."""
    with engine.connect() as connection:
        row = connection.execute(sqlalchemy.text("SELECT current_user, pg_backend_pid()")).one()
    return row[0], row[1]


def test_a_pooled_connection_of_a_retired_user_is_replaced_without_an_error(
    bench: Any, user: Any, make_user: Any, pooled: Engine, now: list[float]
) -> None:
    """Alternating users: once AWSCURRENT is the other one, its sessions may be cut any time."""
    other = make_user()
    first = seen(pooled)
    bench.put(other.secret())
    bench.client.refresh(bench.name)
    now[0] += binding.SETTLED
    assert seen(pooled)[0] == other.name
    assert first[0] == user.name


def test_a_new_password_of_the_same_user_replaces_nothing(
    bench: Any, user: Any, pooled: Engine, now: list[float]
) -> None:
    """It cuts no connection, so a login would be wasted."""
    first = seen(pooled)
    user.set_password("canary-second")
    bench.put(user.secret(password="canary-second"))
    bench.client.refresh(bench.name)
    now[0] += 10 * binding.SETTLED
    assert seen(pooled) == first


def test_a_connection_of_the_pending_user_is_not_replaced_in_the_window(
    bench: Any, user: Any, make_user: Any, pooled: Engine, now: list[float]
) -> None:
    """It is ahead of AWSCURRENT, not behind; nor is it once AWSCURRENT is its own."""
    other = make_user()
    user.set_password("canary-nobody-knows")
    bench.put(other.secret(), VersionStages=["AWSPENDING"])
    pooled.dispose()
    first = seen(pooled)
    assert first[0] == other.name
    now[0] += 10 * binding.SETTLED
    assert seen(pooled) == first
    bench.client.call(
        "UpdateSecretVersionStage",
        SecretId=bench.name,
        VersionStage="AWSCURRENT",
        MoveToVersionId=bench.labels()["AWSPENDING"],
        RemoveFromVersionId=bench.labels()["AWSCURRENT"],
    )
    bench.client.refresh(bench.name)
    assert seen(pooled) == first


def test_checking_out_asks_nobody(bench: Any, pooled: Engine, now: list[float]) -> None:
    """Only what is held is looked at, and with nothing held nothing is replaced."""
    calls = bench.client.usage().calls
    first = seen(pooled)
    bench.client.invalidate()
    assert seen(pooled) == first
    assert bench.client.usage().calls == calls


def test_a_database_without_logins_is_refused_when_it_is_bound(bench: Any) -> None:
    """A secret that nobody looks at would be a false comfort."""
    with pytest.raises(ConfigError, match="sqlite"):
        bind_engine(sqlalchemy.create_engine("sqlite://"), bench.name, bench.client)
