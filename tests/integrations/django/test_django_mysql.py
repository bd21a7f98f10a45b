"""``smclient_django.db.mysql`` on a real MariaDB, with mysqlclient and with PyMySQL."""

from __future__ import annotations

import importlib
import importlib.util
import itertools
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pymysql
import pytest

from smclient import SecretsClient
from smclient.testing import FakeBackend, FakeClock, Inline
from smclient_django import clients

_BORROWED = "MySQLdb" not in sys.modules and importlib.util.find_spec("MySQLdb") is None
if _BORROWED:  # no mysqlclient here: PyMySQL stands in for it while Django's backend is loaded
    # All of its modules under both names, else they are loaded twice and its errors exist twice.
    for name in [name for name in sys.modules if name.partition(".")[0] == "pymysql"]:
        sys.modules[name.replace("pymysql", "MySQLdb", 1)] = sys.modules[name]
importlib.import_module("smclient_django.db.mysql.base")
if _BORROWED:
    for name in [name for name in sys.modules if name.partition(".")[0] == "MySQLdb"]:
        del sys.modules[name]
from django.db import OperationalError  # noqa: E402
from django.db.utils import ConnectionHandler  # noqa: E402

_numbers = itertools.count(1)


@pytest.fixture
def account(mariadb: Any) -> tuple[str, str, str]:
    """A user with a database of the same name: name, password, database."""
    name = f"django_{next(_numbers)}"
    with (
        pymysql.connect(
            host=mariadb.host,
            port=mariadb.port,
            user=mariadb.admin,
            password=mariadb.admin_password,
        ) as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute(f"CREATE DATABASE {name}")
        cursor.execute(f"CREATE USER '{name}'@'%' IDENTIFIED BY 'old-canary-1'")
        cursor.execute(f"GRANT ALL ON {name}.* TO '{name}'@'%'")
    return name, "old-canary-1", name


def change(mariadb: Any, name: str, password: str) -> None:
    """setSecret of a single-user rotation."""
    with (
        pymysql.connect(
            host=mariadb.host,
            port=mariadb.port,
            user=mariadb.admin,
            password=mariadb.admin_password,
        ) as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute(f"ALTER USER '{name}'@'%' IDENTIFIED BY '{password}'")


@pytest.fixture
def secrets(mariadb: Any, account: tuple[str, str, str]) -> Iterator[FakeBackend]:
    """The secret of that user, behind the alias ``default``."""
    backend = FakeBackend({"prod/db": content(mariadb, account, account[1])})
    client = SecretsClient(backend, clock=FakeClock(), jitter=0.0, worker=Inline())
    with clients.replaced("default", client):
        yield backend


def content(mariadb: Any, account: tuple[str, str, str], password: str) -> dict[str, Any]:
    """The secret's JSON, as AWS has it."""
    name, _, dbname = account
    address = {"engine": "mariadb", "host": mariadb.host, "port": mariadb.port, "dbname": dbname}
    return {**address, "username": name, "password": password}


@pytest.fixture
def database(secrets: FakeBackend) -> Iterator[Any]:
    """A connection as ``django.db.connections`` has it."""
    entry = {"ENGINE": "smclient_django.db.mysql", "SECRET": "prod/db", "CONN_MAX_AGE": 600}
    connection: Any = ConnectionHandler({"default": entry})["default"]
    yield connection
    connection.close()


def who(connection: Any) -> tuple[str, str]:
    """User and database."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT SUBSTRING_INDEX(CURRENT_USER(), '@', 1), DATABASE()")
        user, name = cursor.fetchone()
        return str(user), str(name)


def test_every_login_of_a_rotation_wins(
    mariadb: Any, account: tuple[str, str, str], secrets: FakeBackend, database: Any
) -> None:
    """Before, in the window where only AWSPENDING logs in, and after; the address too comes from
    the secret."""
    name, _, dbname = account
    assert who(database) == (name, dbname)
    pending = secrets.put("prod/db", content(mariadb, account, "new-pw"), stages=["AWSPENDING"])
    change(mariadb, name, "new-pw")
    database.close()
    assert who(database) == (name, dbname)
    secrets.move("prod/db", "AWSCURRENT", pending)
    secrets.move("prod/db", "AWSPENDING", None)
    database.close()
    assert who(database) == (name, dbname)
    assert clients["default"].usage().logins["AWSPENDING"] == 1


def test_a_connection_that_stays_survives(
    mariadb: Any, account: tuple[str, str, str], database: Any
) -> None:
    """CONN_MAX_AGE: what is logged in is not cut by a password change."""
    who(database)
    before = database.connection
    change(mariadb, account[0], "new-pw")
    database.close_if_unusable_or_obsolete()
    assert who(database)[0] == account[0]
    assert database.connection is before


def test_a_refused_login_is_djangos_error(
    mariadb: Any, account: tuple[str, str, str], database: Any, shown: Any
) -> None:
    """With the versions tried, and no value anywhere."""
    change(mariadb, account[0], "nobody-knows")
    with pytest.raises(OperationalError, match="1045") as caught:
        database.ensure_connection()
    assert "versions tried" in shown(caught.value)
    assert "canary" not in shown(caught.value)


def test_dbshell_gets_the_credentials_that_log_in(
    mariadb: Any,
    account: tuple[str, str, str],
    secrets: FakeBackend,
    database: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In the window of a rotation; in the environment, not among the arguments."""
    ran: list[Any] = []
    monkeypatch.setattr(subprocess, "run", lambda args, env, check: ran.append((args, env)))
    secrets.put("prod/db", content(mariadb, account, "new-pw"), stages=["AWSPENDING"])
    change(mariadb, account[0], "new-pw")
    database.client.runshell([])
    ((args, env),) = ran
    assert str(env["MYSQL_PWD"]) == "new-pw"
    assert f"--user={account[0]}" in args
    assert "new-pw" not in " ".join(args)


def test_pymysql_does_as_well(mariadb: Any, account: tuple[str, str, str], tmp_path: Path) -> None:
    """``pymysql.install_as_MySQLdb()``, which has to come before Django loads the driver: in a
    process of its own, against a secret whose AWSCURRENT is over."""
    code = f"""
import pymysql; pymysql.install_as_MySQLdb()
import django
from django.conf import settings
from smclient.testing import FakeBackend
content = {content(mariadb, account, account[1])!r}
backend = FakeBackend({{"prod/db": {{**content, "password": "over"}}}})
backend.put("prod/db", content, stages=["AWSPENDING"])
settings.configure(
    SMCLIENT={{"default": {{"BACKEND": backend}}}}, INSTALLED_APPS=["smclient_django"],
    DATABASES={{"default": {{"ENGINE": "smclient_django.db.mysql", "SECRET": "prod/db"}}}},
)
django.setup()
from django.db import connection
with connection.cursor() as cursor:
    cursor.execute("SELECT CURRENT_USER()")
    print(cursor.fetchone()[0].partition("@")[0], type(connection.connection).__module__)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.stdout.split() == [account[0], "pymysql.connections"], done.stderr
