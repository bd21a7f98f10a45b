"""Which arguments a connection factory gets from a secret."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest

from smclient import ConfigError, CredentialFieldError, SecretsClient
from smclient.testing import FakeBackend

LOGIN = {
    "username": "app",
    "password": "p1",
    "host": "db.internal",
    "port": "5432",
    "dbname": "shop",
    "engine": "postgres",
}


@pytest.fixture
def backend() -> FakeBackend:
    """A secret as RDS writes it."""
    return FakeBackend({"db": LOGIN})


def factory_of(module: str) -> Callable[..., Any]:
    """Says what it was called with; comes from a module of choice."""

    def connect(*args: Any, **kwargs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
        return args, kwargs

    connect.__module__ = module
    return connect


PG = {"user": "app", "password": "p1", "host": "db.internal", "port": 5432, "dbname": "shop"}
DATABASE = {**{k: v for k, v in PG.items() if k != "dbname"}, "database": "shop"}
NAMES = {"username": "app", "password": "p1", "host": "db.internal", "port": 5432}


@pytest.mark.parametrize(
    ("module", "expected"),
    [
        ("psycopg", PG),
        ("psycopg.connection", PG),
        ("psycopg2", PG),
        ("asyncpg.connection", DATABASE),
        ("pg8000.dbapi", DATABASE),
        ("pymysql.connections", DATABASE),
        ("MySQLdb", DATABASE),
        ("mysql.connector", DATABASE),
        ("aiomysql", {**{k: v for k, v in DATABASE.items() if k != "database"}, "db": "shop"}),
        ("redis.client", NAMES),
        ("pymongo.mongo_client", NAMES),
        ("unknown.module", PG),
    ],
)
def test_the_module_of_the_factory_tells_the_names(
    module: str, expected: dict[str, Any], client: SecretsClient
) -> None:
    """The port as a number; fields that no driver knows are left out."""
    args, got = client.connect("db", factory_of(module))
    if module.startswith("asyncpg"):
        got["password"] = got["password"]()
    assert (args, got) == ((), expected)


@pytest.mark.parametrize("module", ["psycopg", "psycopg2", "asyncpg", "pg8000", "pymysql"])
def test_the_names_are_those_that_real_drivers_take(module: str) -> None:
    """Each is a parameter, or goes into the connection string."""
    import importlib
    import inspect

    from smclient.drivers import argument_fields

    connect = importlib.import_module(module).connect
    names = argument_fields(connect, None)
    if module.startswith("psycopg"):
        assert set(names) == {"user", "password", "host", "port", "dbname"}
    else:
        assert set(names) <= set(inspect.signature(connect).parameters)


def test_asyncpg_gets_a_function_that_gives_the_password(client: SecretsClient) -> None:
    """Its protocol takes no subclass of ``str``; a plain one would be in every traceback."""
    _, got = client.connect("db", factory_of("asyncpg"))
    assert type(got["password"]()) is str
    assert type(got["user"]) is str
    assert "p1" not in repr(got)


def test_the_password_hides_and_user_and_address_do_not(client: SecretsClient) -> None:
    """Drivers show these in their errors."""
    _, got = client.connect("db", factory_of("psycopg"))
    assert repr(got["password"]) == "'***'"
    assert repr(got["user"]) == "'app'"
    assert (repr(got["host"]), repr(got["dbname"])) == ("'db.internal'", "'shop'")


def test_arguments_of_the_caller_win(client: SecretsClient) -> None:
    """For the address; others pass through."""
    _, got = client.connect("db", factory_of("psycopg"), host="127.0.0.1", port=6, sslmode="off")
    assert got == {**PG, "host": "127.0.0.1", "port": 6, "sslmode": "off"}


def test_a_dsn_stands_for_the_address(client: SecretsClient) -> None:
    """So only user and password are added."""
    args, got = client.connect("db", factory_of("psycopg"), "host=a dbname=b", connect_timeout=3)
    assert args == ("host=a dbname=b",)
    assert got == {"user": "app", "password": "p1", "connect_timeout": 3}


def test_a_partial_is_its_factory_with_arguments_of_the_caller(client: SecretsClient) -> None:
    """However deep; what it was given wins too, and a DSN in it is a DSN."""
    inner = partial(factory_of("pg8000"), host="inner", timeout=1)
    _, got = client.connect("db", partial(inner, timeout=2), ssl=True)
    assert got == {**DATABASE, "host": "inner", "timeout": 2, "ssl": True}
    args, got = client.connect("db", partial(factory_of("psycopg"), "dsn"), "more")
    assert (args, got) == (("dsn", "more"), {"user": "app", "password": "p1"})
    with pytest.raises(ConfigError, match="password come"):
        client.connect("db", partial(factory_of("psycopg"), password="x"))


def test_parameters_tell_the_names_where_the_module_does_not(client: SecretsClient) -> None:
    """Of functions, methods and classes; only those that are there."""

    def mine(username: str, passwd: str, db: str) -> tuple[str, ...]:
        return username, passwd, db

    class Connection:
        def __init__(self, *, user: str, password: str, port: int = 0) -> None:
            self.got = (user, password, port)

    assert client.connect("db", mine) == ("app", "p1", "shop")
    assert client.connect("db", Connection).got == ("app", "p1", 5432)
    assert client.connect("db", lambda password: password) == "p1"


def test_any_keywords_beside_named_ones_take_the_login_too(client: SecretsClient) -> None:
    """A wrapper names what it needs and passes on the rest."""

    def wrapper(host: str, **kwargs: Any) -> dict[str, Any]:
        return {"host": host, **kwargs}

    assert client.connect("db", wrapper) == {
        "host": "db.internal",
        "user": "app",
        "password": "p1",
    }


def test_a_factory_without_a_password_is_refused(client: SecretsClient) -> None:
    """Rather than called without one; the message says what to do, before anything is read."""

    def nothing() -> None:
        raise AssertionError("never called")

    def url_only(url: str, user: str) -> None:
        raise AssertionError("never called")

    for factory in (nothing, url_only):
        with pytest.raises(ConfigError, match=r"fields=\{argument: field") as caught:
            client.connect("db", factory)
        assert factory.__name__ in str(caught.value)
        with pytest.raises(ConfigError):
            client.connector("db", factory)


def test_a_factory_whose_signature_cannot_be_read_gets_psycopg_s_names(
    client: SecretsClient,
) -> None:
    """Many are written in C."""

    class Opaque:
        __signature__ = "none"

        def __call__(self, **kwargs: Any) -> dict[str, Any]:
            return kwargs

    assert client.connect("db", Opaque()) == PG
    assert client.connect("db", SimpleNamespace) == SimpleNamespace(**PG)


def test_fields_decide_where_they_are_given(client: SecretsClient, backend: FakeBackend) -> None:
    """Argument to field of the secret; nothing else is added."""
    backend.put("db", {"login": "app", "secret": "s1", "address": "h"})
    fields = {"user": "login", "pwd": "secret", "server": "address", "absent": "nowhere"}
    _, got = client.connect("db", factory_of("psycopg"), fields=fields)
    assert got == {"user": "app", "pwd": "s1", "server": "h"}


def test_fields_of_any_name_make_up_the_credentials(
    client: SecretsClient, backend: FakeBackend
) -> None:
    """So that another version is another login."""

    class Refused(Exception):
        sqlstate = "28P01"

    Refused.__module__ = "asyncpg"
    backend.put("db", {"token": "t2"}, stages=["AWSPENDING"])
    backend.put("db", {"token": "t1"})

    def connect(key: str) -> str:
        if key != "t2":
            raise Refused
        return key

    assert client.connect("db", connect, fields={"key": "token"}) == "t2"


@pytest.mark.parametrize("name", ["user", "username", "password", "passwd"])
def test_user_and_password_come_from_the_secret_only(
    name: str, client: SecretsClient, backend: FakeBackend
) -> None:
    """Whatever the driver calls them; a connector refuses before a pool is made."""
    for make in (client.connect, client.connector):
        with pytest.raises(ConfigError, match=f"{name} come from secret 'db'") as caught:
            make("db", factory_of("psycopg"), **{name: "canary"})
        assert "canary" not in str(caught.value)
    assert backend.calls == []


def test_mapped_arguments_for_user_and_password_come_from_the_secret_only(
    client: SecretsClient,
) -> None:
    """Whatever ``fields`` calls them."""
    with pytest.raises(ConfigError, match="pwd come from secret 'db'"):
        client.connect("db", factory_of("x"), fields={"pwd": "password"}, pwd="x")


@pytest.mark.parametrize("port", ["none", "", {"a": 1}, [5432]])
def test_a_port_that_is_no_number_is_refused(
    port: Any, client: SecretsClient, backend: FakeBackend
) -> None:
    """With the secret named."""
    backend.put("db", {**LOGIN, "port": port})
    with pytest.raises(CredentialFieldError, match="'db': its field 'port' is not a number"):
        client.connect("db", factory_of("psycopg"))
    assert client.connect("db", factory_of("psycopg"), port=1)[1]["port"] == 1


def test_what_the_secret_does_not_have_is_left_to_the_driver(
    client: SecretsClient, backend: FakeBackend
) -> None:
    """Absent and null are the same."""
    backend.put("db", {"username": "app", "password": "p1", "host": None})
    assert client.connect("db", factory_of("psycopg")) == ((), {"user": "app", "password": "p1"})


def test_a_connector_is_a_factory_without_arguments(
    client: SecretsClient, backend: FakeBackend
) -> None:
    """For pools; nothing is read before it is called, and each call is a login of its own."""
    connector = client.connector("db", factory_of("psycopg"), connect_timeout=3)
    assert backend.calls == []
    assert connector() == connector() == ((), {**PG, "connect_timeout": 3})
    assert client.usage().logins == {"cached": 2}


@pytest.mark.parametrize("connect", [SecretsClient.connect, SecretsClient.connector])
@pytest.mark.parametrize(
    ("module", "argument"),
    [
        ("asyncpg.connection", "dsn"),
        ("psycopg2", "dsn"),
        ("psycopg", "conninfo"),
        ("psycopg", "service"),
        ("redis.client", "url"),
        ("unknown.module", "uri"),
    ],
)
def test_an_address_by_keyword_is_the_address(
    client: SecretsClient, module: str, argument: str, connect: Callable[..., Any]
) -> None:
    """Only user and password are added: the secret's host must not win over what was said."""
    where = {argument: "postgresql://replica.internal/shop"}
    made = connect(client, "db", factory_of(module), **where)
    _, kwargs = made() if callable(made) else made
    password = kwargs["password"]
    user = kwargs.get("user") or kwargs["username"]
    assert (user, str(password() if callable(password) else password)) == ("app", "p1")
    assert kwargs.keys() - {"user", "username", "password"} == {argument}
    assert kwargs[argument] == where[argument]


def test_an_address_that_was_left_out_is_the_secrets_own(client: SecretsClient) -> None:
    """``dsn=os.environ.get(…)``: the password must not go to whatever the driver's default is."""
    _, kwargs = client.connect("db", factory_of("asyncpg.connection"), dsn=None)
    assert kwargs["host"] == PG["host"]
