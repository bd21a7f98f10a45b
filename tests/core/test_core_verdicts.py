"""Which errors of which drivers mean a bad password: every row of the facts, and wrappers."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smclient.drivers import Verdict, scrub, verdict

YES, MAYBE, NO = Verdict.YES, Verdict.MAYBE, Verdict.NO


def error(
    module: str, name: str, *args: Any, base: type[Exception] = Exception, **state: Any
) -> Any:
    """An error of a driver that is not installed here."""
    return type(name, (base,), {"__module__": module, **state})(*args)


CONNECT = 'connection to server at "127.0.0.1", port 5432 failed: '
BAD = CONNECT + 'FATAL:  password authentication failed for user "app"'

ROWS = [
    # psycopg 3 and psycopg2: no code, text only
    ("psycopg", "OperationalError", (BAD,), {"sqlstate": None}, YES),
    ("psycopg.errors", "OperationalError", ("connection failed: " + BAD,), {}, YES),
    ("psycopg2", "OperationalError", (BAD + "\n",), {"pgcode": None}, YES),
    ("psycopg", "OperationalError", (CONNECT + 'FATAL:  database "x" does not exist',), {}, NO),
    (
        "psycopg",
        "OperationalError",
        (CONNECT + "Connection refused\n\tIs the server running",),
        {},
        NO,
    ),
    ("psycopg", "ConnectionTimeout", ("connection timeout expired",), {}, NO),
    ("psycopg2", "OperationalError", ('could not translate host name "x" to address',), {}, NO),
    ("psycopg", "OperationalError", ("FATAL:  the database system is starting up",), {}, NO),
    ("psycopg", "OperationalError", ("FATAL:  sorry, too many clients already",), {}, NO),
    ("psycopg", "OperationalError", ("server closed the connection unexpectedly",), {}, NO),
    ("psycopg", "OperationalError", ("FATAL:  remaining connection slots are reserved",), {}, NO),
    ("psycopg", "InvalidPassword", ("x",), {"sqlstate": "28P01"}, YES),
    # several hosts: the line about the password comes first, every failure after it
    (
        "psycopg",
        "OperationalError",
        (BAD + "\nMultiple connection attempts failed.\n- host: 'b': Connection refused",),
        {},
        YES,
    ),
    # a localised server: no code and no known words
    (
        "psycopg",
        "OperationalError",
        (CONNECT + "FATAL:  Passwort-Authentifizierung für Benutzer »app« fehlgeschlagen",),
        {},
        MAYBE,
    ),
    (
        "psycopg2",
        "OperationalError",
        ("FATAL:  l'authentification par mot de passe a échoué",),
        {},
        MAYBE,
    ),
    *(
        ("psycopg", "OperationalError", (CONNECT + told,), {}, MAYBE)
        for told in (  # a server that translates the severity too, as PostgreSQL's catalogues do
            'ВАЖНО:  пользователь "app" не прошёл проверку подлинности (по паролю)',
            '致命错误:  用户 "app" Password 认证失败',
            'FATALE:  autenticazione con password fallita per l\'utente "app"',
            'KATASTROFALNY:  autoryzacja hasłem nie powiodła się dla użytkownika "app"',
        )
    ),
    (
        "psycopg",
        "OperationalError",
        ("Verbindung zum Server auf »127.0.0.1«, Port 5432 fehlgeschlagen: Verbindung abgelehnt",),
        {},
        NO,
    ),
    *(  # what a name says is not what the server says
        ("psycopg", "OperationalError", (CONNECT + told,), {}, MAYBE)
        for told in (
            "FATAL:  Passwort-Authentifizierung für Benutzer »ssl_app« fehlgeschlagen",
            "FATAL:  Passwort-Authentifizierung für Benutzer »SSL« fehlgeschlagen",
            "FATAL:  l'authentification par mot de passe a échoué pour l'utilisateur « timeout »",
            'ВАЖНО:  пользователь "refused" не прошёл проверку подлинности (по паролю)',
            "FATAL:  no such user: ssl_app",
        )
    ),
    (
        "psycopg",
        "OperationalError",
        (
            'connection to server at "ssl.example.com", port 5432 failed: FATAL:  '
            'autenticazione con password fallita per l\'utente "app"',
        ),
        {},
        MAYBE,
    ),
    ("psycopg", "OperationalError", (CONNECT + "SSL error: certificate verify failed",), {}, NO),
    (
        "psycopg",
        "OperationalError",
        (CONNECT + "server does not support SSL, but SSL was required",),
        {},
        NO,
    ),
    # asyncpg gives codes
    ("asyncpg.exceptions", "InvalidPasswordError", (BAD,), {"sqlstate": "28P01"}, YES),
    ("asyncpg.exceptions", "InvalidPasswordError", ("Passwort …",), {"sqlstate": "28P01"}, YES),
    (
        "asyncpg.exceptions",
        "InvalidCatalogNameError",
        ('"x" does not exist',),
        {"sqlstate": "3D000"},
        NO,
    ),
    (
        "asyncpg.exceptions",
        "InvalidAuthorizationSpecificationError",
        ('role "app" is not permitted to log in',),
        {"sqlstate": "28000"},
        MAYBE,
    ),
    # PgBouncer
    (
        "asyncpg",
        "ProtocolViolationError",
        ("SASL authentication failed",),
        {"sqlstate": "08P01"},
        YES,
    ),
    ("psycopg", "OperationalError", ("FATAL:  SASL authentication failed",), {}, YES),
    (
        "asyncpg",
        "ProtocolViolationError",
        ("password authentication failed",),
        {"sqlstate": "08P01"},
        YES,
    ),
    ("asyncpg", "ProtocolViolationError", ("no such user",), {"sqlstate": "08P01"}, MAYBE),
    ("asyncpg", "ProtocolViolationError", ("query_wait_timeout",), {"sqlstate": "08P01"}, NO),
    # pg8000: the code is in a dict
    ("pg8000.exceptions", "DatabaseError", ({"S": "FATAL", "C": "28P01", "M": "x"},), {}, YES),
    ("pg8000.exceptions", "DatabaseError", ({"S": "FATAL", "C": "3D000", "M": "x"},), {}, NO),
    ("pg8000.exceptions", "InterfaceError", ("Can't create a connection to host",), {}, NO),
    # PyMySQL, aiomysql, mysqlclient: the number comes first
    ("pymysql.err", "OperationalError", (1045, "Access denied for user"), {}, YES),
    ("pymysql.err", "OperationalError", (1045, "x"), {"sqlstate": "28000"}, YES),
    ("pymysql.err", "OperationalError", (1044, "Access denied for user to database"), {}, NO),
    ("aiomysql", "OperationalError", (1045, "x"), {}, YES),
    ("MySQLdb", "OperationalError", (1045, "x"), {}, YES),
    ("MySQLdb", "OperationalError", (1044, "x"), {}, NO),
    ("pymysql.err", "OperationalError", (2003, "Can't connect"), {}, NO),
    ("pymysql.err", "OperationalError", (4151, "Access denied, this account is locked"), {}, NO),
    ("pymysql.err", "OperationalError", (3118, "Access denied; account is locked"), {}, NO),
    ("pymysql.err", "OperationalError", (1862, "Your password has expired"), {}, NO),
    ("pymysql.err", "OperationalError", (1698, "Access denied"), {}, MAYBE),
    ("pymysql.err", "OperationalError", (), {}, NO),
    # mysql-connector: attributes, and another class
    (
        "mysql.connector.errors",
        "ProgrammingError",
        ("x",),
        {"errno": 1045, "sqlstate": "28000"},
        YES,
    ),
    (
        "mysql.connector.errors",
        "ProgrammingError",
        ("x",),
        {"errno": 1044, "sqlstate": "42000"},
        NO,
    ),
    ("mysql.connector.errors", "InterfaceError", (1045, "args lie"), {"errno": 2003}, NO),
    # redis-py: a class, which is a ConnectionError too
    (
        "redis.exceptions",
        "AuthenticationError",
        ("invalid username-password pair or user is disabled.",),
        {"base": ConnectionError},
        YES,
    ),
    ("redis.exceptions", "ConnectionError", ("Error 111 connecting",), {}, NO),
    ("redis.exceptions", "NoPermissionError", ("this user has no permissions",), {}, NO),
    # pymongo gives codes of its own
    ("pymongo.errors", "OperationFailure", ("Authentication failed.",), {"code": 18}, YES),
    ("pymongo.errors", "OperationFailure", ("bad auth",), {"code": 8000}, YES),
    ("pymongo.errors", "OperationFailure", ("not authorized",), {"code": 13}, NO),
    ("pymongo.errors", "OperationFailure", ("reauthentication required",), {"code": 391}, NO),
    ("pymongo.errors", "ServerSelectionTimeoutError", ("timed out",), {}, NO),
    # nobody's
    ("builtins", "TimeoutError", ("password authentication failed",), {}, NO),
    ("my.app", "LoginError", ("password authentication failed", 1045), {"sqlstate": "28P01"}, NO),
]


@pytest.mark.parametrize(
    ("module", "name", "args", "state", "expected"),
    ROWS,
    ids=[f"{n}-{row[0]}-{row[1]}" for n, row in enumerate(ROWS)],
)
def test_each_row_of_the_facts(
    module: str, name: str, args: tuple[Any, ...], state: dict[str, Any], expected: Verdict
) -> None:
    """As observed on real servers."""
    assert verdict(error(module, name, *args, **state)) is expected


def real_errors() -> list[tuple[str, BaseException, Verdict]]:
    """Errors made of the classes of installed drivers."""
    import asyncpg
    import psycopg
    import psycopg2
    import pymysql
    from pg8000.exceptions import DatabaseError, InterfaceError

    return [
        ("psycopg", psycopg.OperationalError(BAD), YES),
        ("psycopg code", psycopg.errors.InvalidPassword("x"), YES),
        ("psycopg ambiguous", psycopg.errors.InvalidAuthorizationSpecification("x"), MAYBE),
        ("psycopg database", psycopg.errors.InvalidCatalogName("x"), NO),
        ("psycopg refused", psycopg.OperationalError(CONNECT + "Connection refused"), NO),
        ("psycopg2", psycopg2.OperationalError(BAD + "\n"), YES),
        ("psycopg2 refused", psycopg2.OperationalError(CONNECT + "Connection refused\n"), NO),
        ("asyncpg", asyncpg.InvalidPasswordError("x"), YES),
        ("asyncpg nologin", asyncpg.InvalidAuthorizationSpecificationError("x"), MAYBE),
        ("asyncpg database", asyncpg.InvalidCatalogNameError("x"), NO),
        ("asyncpg pooler", asyncpg.ProtocolViolationError("SASL authentication failed"), YES),
        ("asyncpg busy", asyncpg.TooManyConnectionsError("x"), NO),
        ("pg8000", DatabaseError({"S": "FATAL", "C": "28P01", "M": "x"}), YES),
        ("pg8000 database", DatabaseError({"S": "FATAL", "C": "3D000", "M": "x"}), NO),
        ("pg8000 refused", InterfaceError("Can't create a connection to host"), NO),
        ("pymysql", pymysql.err.OperationalError(1045, "Access denied"), YES),
        ("pymysql database", pymysql.err.OperationalError(1044, "Access denied"), NO),
        ("pymysql refused", pymysql.err.OperationalError(2003, "Can't connect"), NO),
    ]


@pytest.mark.parametrize(
    ("told", "expected"), [row[1:] for row in real_errors()], ids=[row[0] for row in real_errors()]
)
def test_real_errors_of_installed_drivers(told: BaseException, expected: Verdict) -> None:
    """The module of the class and its attributes are the real ones."""
    assert verdict(told) is expected


@pytest.mark.parametrize(
    ("told", "expected"), [row[1:] for row in real_errors()], ids=[row[0] for row in real_errors()]
)
def test_wrapped_errors_mean_what_is_inside(told: BaseException, expected: Verdict) -> None:
    """SQLAlchemy's ``orig``, a cause as Django sets it, a context, all of them at once."""
    from sqlalchemy.exc import OperationalError

    assert verdict(OperationalError("select", {}, told)) is expected
    caused = error("django.db.utils", "OperationalError", "x")
    caused.__cause__ = told
    assert verdict(caused) is expected
    around = error("my.app", "CannotConnect", "x")
    around.__context__ = caused
    assert verdict(around) is expected


def test_unwrapped_errors_of_newer_dialects_are_found() -> None:
    """SQLAlchemy 2.1 with asyncpg: ``orig`` is the dialect's, whose cause is the driver's."""
    from sqlalchemy.exc import DBAPIError

    dialect = error("sqlalchemy.dialects.postgresql.asyncpg", "Error", "x", sqlstate="28P01")
    dialect.__cause__ = error("asyncpg.exceptions", "InvalidPasswordError", "x", sqlstate="28P01")
    assert verdict(DBAPIError("connect", {}, dialect)) is YES


def test_yes_outweighs_maybe_and_maybe_outweighs_no() -> None:
    """Whichever comes first in the chain."""
    no = error("pymysql.err", "OperationalError", 2003)
    maybe = error("asyncpg", "Error", "x", sqlstate="28000")
    yes = error("asyncpg", "Error", "x", sqlstate="28P01")
    no.__cause__ = maybe
    assert verdict(no) is MAYBE
    maybe.__cause__ = yes
    assert verdict(no) is YES


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), max_size=60))
def test_chains_of_any_shape_end(links: list[tuple[int, int]]) -> None:
    """Circles among them."""
    errors = [Exception(n) for n in range(31)]
    for n, (a, b) in enumerate(links):
        if a != b:
            setattr(errors[a], ("orig", "__cause__", "__context__")[n % 3], errors[b])
    assert verdict(errors[0]) is NO
    scrub(errors[0])


def test_what_was_handled_when_the_login_began_says_nothing() -> None:
    """One often reconnects inside an ``except``."""
    before = error("asyncpg", "InvalidPasswordError", "x", sqlstate="28P01")
    now = error("asyncpg", "TooManyConnectionsError", "x", sqlstate="53300")
    now.__context__ = before
    assert verdict(now) is YES
    assert verdict(now, but=before) is NO


def test_the_connection_is_cut_from_a_driver_s_error() -> None:
    """psycopg keeps it there, and its ``repr`` shows the password; wrapped too."""
    import psycopg

    class Pgconn:
        def __repr__(self) -> str:
            return "password=canary"

    inner = psycopg.OperationalError(BAD)
    inner._pgconn = Pgconn()  # type: ignore[assignment]
    assert "canary" in repr(inner.pgconn)
    outer = error("sqlalchemy.exc", "OperationalError", "x", orig=inner)
    scrub(outer)
    assert inner.pgconn is None
    plain = error("psycopg", "OperationalError", "x", pgconn=Pgconn())
    scrub(plain)
    assert plain.pgconn is None


def test_frames_of_a_driver_are_cut_and_those_of_others_stay() -> None:
    """A driver holds the password in connection strings; an application's own bug should show."""

    def raised(told: Exception) -> Exception:
        try:
            raise told
        except Exception as caught:
            return caught

    ours = raised(ValueError("a bug"))
    scrub(ours)
    assert ours.__traceback__ is not None
    inner = raised(error("psycopg", "OperationalError", BAD))
    outer = raised(error("sqlalchemy.exc", "OperationalError", "x", orig=inner))
    scrub(outer)
    assert (inner.__traceback__, outer.__traceback__) == (None, None)
