"""The error of a login that failed: the driver's own, with the versions tried and no password."""

from __future__ import annotations

import traceback

import pytest

from smclient import SecretsClient
from smclient.testing import FakeBackend
from tests.core.login.helpers_login import CANARY, Database, NoDatabase, WrongPassword, add


def test_the_driver_s_own_error_is_raised_with_the_versions_tried(
    client: SecretsClient, backend: FakeBackend, database: Database
) -> None:
    """The same object, its note without a value."""
    raised: list[Exception] = []

    def error() -> Exception:
        raised.append(WrongPassword("refused"))
        return raised[-1]

    add(backend, "v2", "AWSPENDING")
    database.users.clear()
    database.error = error
    with pytest.raises(WrongPassword) as caught:
        client.connect("db", database.connect)
    assert caught.value is raised[-1]
    assert caught.value.args == ("refused",)
    assert caught.value.__notes__ == [
        f"smclient: secret {backend.arn('db')}, versions tried: v1, v2, v0"
    ]


def test_no_password_is_in_the_error_nor_in_a_frame_below_it(
    client: SecretsClient, backend: FakeBackend
) -> None:
    """Drivers put it into connection strings, which are plain text."""
    backend.put("db", {"username": "app", "password": CANARY, "deep": {"er": CANARY}})

    def connect(user: str, password: str) -> None:
        conninfo = f"user={user} password={password}"
        raise WrongPassword(len(conninfo))

    with pytest.raises(WrongPassword) as caught:
        client.connect("db", connect)
    told = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    text = "".join(told.format())
    assert "in connect" in text
    assert CANARY not in text


@pytest.mark.parametrize("module", ["psycopg", "psycopg2", "pymysql", "pg8000.dbapi"])
def test_no_password_is_in_what_a_real_driver_leaves_behind(
    module: str, client: SecretsClient, backend: FakeBackend
) -> None:
    """Of a login at a port where nobody listens; the host is told plainly."""
    import importlib
    import socket

    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        port = reserved.getsockname()[1]
        login = {"username": "app", "password": CANARY, "host": "127.0.0.1", "port": port}
        backend.put("db", login)
        with pytest.raises(Exception, match=r"127\.0\.0\.1") as caught:
            client.connect("db", importlib.import_module(module).connect)
    assert type(caught.value).__module__.startswith(module.partition(".")[0])
    assert caught.value.__traceback__ is not None
    below = caught.value.__traceback__.tb_next
    told = traceback.TracebackException(
        type(caught.value), caught.value, below, capture_locals=True
    )
    assert CANARY not in "".join(told.format())
    assert "versions tried" in caught.value.__notes__[0]


def test_a_login_inside_an_except_is_judged_by_its_own_error(
    client: SecretsClient, backend: FakeBackend, database: Database
) -> None:
    """The one that is being handled is of another login."""
    client.get("db")
    add(backend, "v2", "AWSPENDING")
    database.users.clear()
    database.error = NoDatabase
    try:
        raise WrongPassword
    except WrongPassword:
        with pytest.raises(NoDatabase):
            client.connect("db", database.connect)
    assert len(database.tried) == 1
