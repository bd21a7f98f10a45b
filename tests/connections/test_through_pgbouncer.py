"""The ladder through a real PgBouncer: its own words for a wrong password, and a real rotation."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import asyncpg
import psycopg
import pytest

from smclient import AsyncSecretsClient, SecretsClient
from smclient.drivers import Verdict, verdict
from smclient.testing import Inline
from smclient_demo.pgbouncer_server import PgBouncerServer
from tests.servers import started

from .conftest import Account

pytestmark = pytest.mark.server


@pytest.fixture(scope="module")
def pooler(postgres: Any) -> Iterator[PgBouncerServer]:
    """Before the shared PostgreSQL."""
    server = started(PgBouncerServer(postgres))
    yield server
    server.stop()


@pytest.fixture
def account(make_account: Callable[[str], Account], pooler: PgBouncerServer) -> Account:
    """An account that logs in through the pooler."""
    return make_account("postgres")


@pytest.fixture
def secret(account: Account, pooler: PgBouncerServer) -> Callable[[], dict[str, Any]]:
    """Its secret, with the pooler's address."""
    return lambda: {**account.secret(), "port": pooler.port}


@pytest.fixture
def client(bench: Any) -> Iterator[SecretsClient]:
    found = SecretsClient(bench.service.backend(), clock=bench.clock, worker=Inline(), jitter=0.0)
    yield found
    found.close()


@pytest.fixture(params=["psycopg", "asyncpg"])
def log_in(request: pytest.FixtureRequest, bench: Any, client: SecretsClient) -> Callable[[], str]:
    """Logs in through the ladder and says who that was."""

    def sync() -> str:
        with client.connect(bench.name, psycopg.connect) as connection:
            return str(connection.execute("SELECT current_user").fetchone()[0])

    async def main() -> str:
        connection = await AsyncSecretsClient(sync=client).connect(
            bench.name, asyncpg.connect, statement_cache_size=0
        )
        try:
            return str(await connection.fetchval("SELECT current_user"))
        finally:
            await connection.close()

    return sync if request.param == "psycopg" else lambda: asyncio.run(main())


def _psycopg(*, database: str, **login: Any) -> None:
    psycopg.connect(dbname=database, **login).close()


def _asyncpg(**login: Any) -> None:
    async def main() -> None:
        await (await asyncpg.connect(**login)).close()

    asyncio.run(main())


@pytest.mark.parametrize("connect", [_psycopg, _asyncpg], ids=["psycopg", "asyncpg"])
def test_a_wrong_password_is_told_as_one(
    account: Account, pooler: PgBouncerServer, connect: Any
) -> None:
    """In the pooler's own words, which are not PostgreSQL's."""
    login = {"host": pooler.host, "port": pooler.port, "user": account.name, "password": "wrong"}
    with pytest.raises((psycopg.Error, asyncpg.PostgresError)) as caught:
        connect(**login, database=account.dbname)
    assert verdict(caught.value) is not Verdict.NO
    assert "SASL authentication failed" in str(caught.value)


def test_the_window_of_a_rotation_is_passed(
    bench: Any,
    account: Account,
    client: SecretsClient,
    secret: Callable[[], dict[str, Any]],
    put_pending: Callable[[Any], None],
    log_in: Callable[[], str],
) -> None:
    """PostgreSQL knows the new password, AWSCURRENT is the old one."""
    bench.create(secret())
    assert log_in() == account.name
    account.become(f"canary-{uuid.uuid4().hex}")
    put_pending(secret())
    assert log_in() == account.name
    assert client.usage().logins == {"cached": 1, "AWSPENDING": 1}


def test_a_database_that_is_not_there_is_no_matter_of_passwords(
    bench: Any,
    client: SecretsClient,
    secret: Callable[[], dict[str, Any]],
    log_in: Callable[[], str],
) -> None:
    """The pooler takes the client and cannot go on."""
    bench.create({**secret(), "dbname": "no_such_database"})
    with pytest.raises((psycopg.Error, asyncpg.PostgresError)):
        log_in()
    assert client.usage().api_calls["GetSecretValue"] <= 4
