"""A database of a real PostgreSQL for the tests of stores, empty at the beginning of each."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from smclient.backend import BackendUrl
from smclient_demo.postgres_server import PostgresServer
from smclient_embedded.store.sql import SqlStore
from smclient_embedded.store.sql_postgres import postgres_store

DATABASE = "stores"


@pytest.fixture(scope="session")
def stores_database(postgres: PostgresServer) -> PostgresServer:
    """The server, with a database for stores."""
    postgres.create_database(DATABASE, postgres.superuser)
    return postgres


@pytest.fixture(scope="session")
def passfile(postgres: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where libpq finds the superuser's password, whatever the server's port."""
    file = tmp_path_factory.mktemp("postgres") / "passfile"
    file.touch(mode=0o600)
    file.write_text(f"*:*:*:{postgres.superuser}:{postgres.superuser_password}\n")
    return file


@pytest.fixture
def postgres_url(stores_database: PostgresServer, passfile: Path) -> str:
    """The URL of an empty database, without its scheme."""
    server = stores_database
    emptied(server)
    place = f"{server.superuser}@{server.host}:{server.port}/{DATABASE}"
    return f"embedded+postgresql://{place}?passfile={passfile}"


def emptied(server: PostgresServer) -> None:
    """Remove all tables."""
    with server.connect(dbname=DATABASE) as connection:
        connection.execute("DROP SCHEMA public CASCADE")
        connection.execute("CREATE SCHEMA public")


def opened(url: str, *, wait: float = 30.0) -> SqlStore:
    """The store of a URL."""
    return postgres_store(BackendUrl.parse(url), wait=wait)


@pytest.fixture
def postgres_records(postgres_url: str) -> Iterator[SqlStore]:
    """An empty store in PostgreSQL."""
    store = opened(postgres_url)
    yield store
    store.close()
