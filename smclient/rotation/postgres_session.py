"""A connection to a PostgreSQL or Redshift server, over whichever driver is installed.

Statements are whole texts: what goes into them is quoted here, so that all drivers do the same, and
none looks for placeholders in a password.
"""

from __future__ import annotations

from typing import Any

from smclient.rotation.databases import (
    CONNECT_TIMEOUT,
    Login,
    ca_file,
    load_driver,
    tls_context,
)

DRIVERS = ("psycopg", "psycopg2", "pg8000.native")


class PostgresSession:
    """Runs statements, each in a transaction of its own unless one was begun."""

    def __init__(self, driver: str, connection: Any) -> None:
        self._driver = driver
        self._connection = connection

    def run(self, statement: str) -> list[tuple[Any, ...]]:
        """Run one statement and give its rows, if it has any."""
        if self._driver == "pg8000.native":
            found = self._connection.execute_simple(statement).rows
            return [tuple(row) for row in found or ()]
        with self._connection.cursor() as cursor:
            cursor.execute(statement)
            return list(cursor.fetchall()) if cursor.description else []

    def close(self) -> None:
        """Close the connection; a transaction that was begun is undone."""
        self._connection.close()


def errors() -> tuple[type[Exception], ...]:
    """What the driver raises."""
    name, module = load_driver(*DRIVERS)
    if name != "pg8000.native":
        return (module.Error,)
    return (module.DatabaseError, module.InterfaceError)


def connect(login: Login) -> PostgresSession:
    """Log in. Raises the driver's errors."""
    name, module = load_driver(*DRIVERS)
    if name == "pg8000.native":
        return PostgresSession(name, _pg8000(module, login))
    arguments: dict[str, Any] = {
        "host": login.host,
        "port": login.port,
        "dbname": login.dbname,
        "user": login.username,
        "password": str(login.password),
        "connect_timeout": CONNECT_TIMEOUT,
        "client_encoding": "UTF8",
    }
    if login.use_tls:
        arguments |= {"sslmode": "verify-full", "sslrootcert": ca_file() or "system"}
    else:
        arguments["sslmode"] = "prefer" if login.use_tls is None else "disable"
    connection = module.connect(**arguments)
    connection.autocommit = True
    return PostgresSession(name, connection)


def _pg8000(module: Any, login: Login) -> Any:
    return module.Connection(
        login.username,
        host=login.host,
        port=login.port,
        database=login.dbname,
        password=str(login.password),
        timeout=CONNECT_TIMEOUT,
        # To pg8000, None is: with TLS where the server has it.
        ssl_context=tls_context(verified=True) if login.use_tls else login.use_tls,
    )


def identifier(name: str) -> str:
    """A name quoted for a statement."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """Text quoted for a statement, whatever ``standard_conforming_strings`` says."""
    quoted = "'" + text.replace("'", "''") + "'"
    return " E" + quoted.replace("\\", "\\\\") if "\\" in quoted else quoted
